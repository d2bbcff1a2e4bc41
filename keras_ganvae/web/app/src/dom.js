export const element = (id) => document.getElementById(id);

/** Let the page handle input and draw before the next step. */
export const pause = () => new Promise((resolve) => setTimeout(resolve));

/** A new element with text. */
export function textElement(tag, text) {
  const created = document.createElement(tag);
  created.textContent = text;
  return created;
}

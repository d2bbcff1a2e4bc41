export const element = (id) => document.getElementById(id);

/** Let the page take input and draw before going on. */
export const pause = () => new Promise((resolve) => setTimeout(resolve));

/** A new element with a text. */
export function textElement(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

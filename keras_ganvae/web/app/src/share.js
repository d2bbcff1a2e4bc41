// Pictures and links out of the page.

const canShare = (data) => Boolean(navigator.canShare?.(data));

/** Whether this browser's share sheet takes pictures. */
export function sharesFiles() {
  return canShare({files: [new File([''], 'picture.png', {type: 'image/png'})]});
}

export function save(file) {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Rejects with the browser's reason, unless the person just changed their mind. */
export async function share(file, title) {
  try {
    await navigator.share({files: [file], title});
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
  }
}

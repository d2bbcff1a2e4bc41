// Saving and sharing images.

const canShare = (data) => Boolean(navigator.canShare?.(data));

/** Whether this browser can share PNG files. */
export function canShareImages() {
  return canShare({files: [new File([''], 'image.png', {type: 'image/png'})]});
}

export function save(file) {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Rejects with the browser's reason, unless the user cancelled. */
export async function share(file, title) {
  try {
    await navigator.share({files: [file], title});
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
  }
}

// From pixels in [0, 1], row by row, to canvases and PNG files.

const GAP = 2; // pixels between images, as in the package's grids
const GAP_GREY = 96;
const SAVED_SIDE = 560; // approximate shorter side of a saved image in pixels
const MAX_SCALE = 20;

/** RGBA bytes of an image. */
export function toRgba(pixels, [height, width, channels]) {
  const rgba = new Uint8ClampedArray(height * width * 4).fill(255);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      // The array rounds and clamps.
      rgba[4 * i + c] = 255 * pixels[i * channels + (channels === 3 ? c : 0)];
    }
  }
  return rgba;
}

/** Draw an image onto a canvas, resized to the image. */
export function paint(canvas, pixels, shape) {
  const [height, width] = shape;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(toRgba(pixels, shape), width, height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  canvas.classList.add('painted');
}

/** Draw images as a grid onto a canvas, resized to the grid. */
export function paintGrid(canvas, images, shape, columns, gap = GAP) {
  const [height, width] = shape;
  const rows = Math.ceil(images.length / columns);
  canvas.width = columns * (width + gap) - gap;
  canvas.height = rows * (height + gap) - gap;
  const context = canvas.getContext('2d');
  context.fillStyle = `rgb(${GAP_GREY} ${GAP_GREY} ${GAP_GREY})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  images.forEach((pixels, i) => {
    const x = (i % columns) * (width + gap);
    const y = Math.floor(i / columns) * (height + gap);
    context.putImageData(new ImageData(toRgba(pixels, shape), width, height), x, y);
  });
  canvas.classList.add('painted');
}

/** A canvas as a PNG file, enlarged by repeating pixels. */
export function toPng(canvas, name) {
  const {width, height} = canvas;
  const shorter = Math.min(width, height);
  const scale = Math.min(MAX_SCALE, Math.max(1, Math.round(SAVED_SIDE / shorter)));
  const large = document.createElement('canvas');
  large.width = width * scale;
  large.height = height * scale;
  const context = large.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return new Promise((resolve, reject) =>
    large.toBlob(
      (blob) =>
        blob
          ? resolve(new File([blob], `${name}.png`, {type: 'image/png'}))
          : reject(new Error('this browser could not make a PNG file')),
      'image/png',
    ),
  );
}

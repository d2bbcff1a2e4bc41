// Pixels in [0, 1], row by row, to canvases and PNG files.

const GAP = 2; // as in the package's own grids
const MIDDLE_GREY = 96;
const SIDE = 560; // a saved picture has about this many pixels
const MOST_ENLARGED = 20;

/** RGBA bytes of an image. */
export function toRgba(pixels, [height, width, channels]) {
  const rgba = new Uint8ClampedArray(height * width * 4).fill(255);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      rgba[4 * i + c] = 255 * pixels[i * channels + (channels === 3 ? c : 0)]; // it rounds
    }
  }
  return rgba;
}

/** Draw an image onto a canvas of its own size. */
export function paint(canvas, pixels, shape) {
  const [height, width] = shape;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(toRgba(pixels, shape), width, height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  canvas.classList.add('painted');
}

/** Draw many images as a grid onto a canvas, which takes the size of it. */
export function paintGrid(canvas, images, shape, columns, gap = GAP) {
  const [height, width] = shape;
  const rows = Math.ceil(images.length / columns);
  canvas.width = columns * (width + gap) - gap;
  canvas.height = rows * (height + gap) - gap;
  const context = canvas.getContext('2d');
  context.fillStyle = `rgb(${MIDDLE_GREY} ${MIDDLE_GREY} ${MIDDLE_GREY})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  images.forEach((pixels, i) => {
    const x = (i % columns) * (width + gap);
    const y = Math.floor(i / columns) * (height + gap);
    context.putImageData(new ImageData(toRgba(pixels, shape), width, height), x, y);
  });
  canvas.classList.add('painted');
}

/** A canvas as a PNG file, its pixels repeated so that small images can be seen. */
export function toPng(canvas, name) {
  const {width, height} = canvas;
  const factor = Math.min(MOST_ENLARGED, Math.max(1, Math.round(SIDE / Math.min(width, height))));
  const large = document.createElement('canvas');
  large.width = width * factor;
  large.height = height * factor;
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

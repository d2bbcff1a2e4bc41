// From ink on a pad to an image like the training images. As in MNIST, the drawing is scaled to
// 20 of 28 pixels, anti-aliased, and centred by its centre of mass.

const DIGIT_SIZE = 20 / 28; // of the image's side
const MIN_EXTENT = 0.3; // of the pad's side, so that a dot stays small

/**
 * @param ink values from 0 to 1, row by row
 * @param side the square pad's side in pixels
 * @param shape [height, width, channels] of the model's images
 * @returns Float32Array of that shape, or null if the pad is empty
 */
export function fromInk(ink, side, [height, width, channels]) {
  const extent = extentOf(ink, side);
  if (!extent) return null;
  const target = DIGIT_SIZE * Math.min(height, width);
  const step = Math.max(extent.size, MIN_EXTENT * side) / target; // pad pixels per image pixel
  const area = integral(ink, side);
  const pixels = new Float32Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const top = extent.y + (y - height / 2) * step;
    for (let x = 0; x < width; x++) {
      const left = extent.x + (x - width / 2) * step;
      const sum =
        area(left + step, top + step) -
        area(left, top + step) -
        area(left + step, top) +
        area(left, top);
      const value = Math.min(1, Math.max(0, sum / step ** 2));
      pixels.fill(value, (y * width + x) * channels, (y * width + x + 1) * channels);
    }
  }
  return pixels;
}

/** Centre of mass and longer side of the ink's bounding box; null without ink. */
function extentOf(ink, side) {
  let [mass, x, y] = [0, 0, 0];
  let [left, right, top, bottom] = [side, -1, side, -1];
  for (let i = 0; i < ink.length; i++) {
    if (!ink[i]) continue;
    const column = i % side;
    const row = (i - column) / side;
    mass += ink[i];
    x += ink[i] * (column + 0.5);
    y += ink[i] * (row + 0.5);
    left = Math.min(left, column);
    right = Math.max(right, column);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
  }
  if (!mass) return null;
  return {x: x / mass, y: y / mass, size: Math.max(right - left, bottom - top) + 1};
}

/** `area(x, y)`: the ink left of x and above y, which may be fractions of pixels. */
function integral(ink, side) {
  const n = side + 1;
  const sums = new Float64Array(n * n);
  for (let y = 1; y < n; y++) {
    let row = 0;
    for (let x = 1; x < n; x++) {
      row += ink[(y - 1) * side + x - 1];
      sums[y * n + x] = sums[(y - 1) * n + x] + row;
    }
  }
  return (x, y) => {
    [x, y] = [x, y].map((v) => Math.min(side, Math.max(0, v)));
    const [i, j] = [x, y].map((v) => Math.min(side - 1, Math.floor(v)));
    const [u, v] = [x - i, y - j];
    const at = j * n + i;
    return (
      (1 - v) * ((1 - u) * sums[at] + u * sums[at + 1]) +
      v * ((1 - u) * sums[at + n] + u * sums[at + n + 1])
    );
  };
}

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {fromInk} from '../../../keras_ganvae/web/app/src/digit.js';

const SIDE = 56;

/** A pad with a filled box. */
function box(left, top, right, bottom) {
  const ink = new Float32Array(SIDE * SIDE);
  for (let y = top; y < bottom; y++) ink.fill(1, y * SIDE + left, y * SIDE + right);
  return ink;
}

function extent(pixels, height, width) {
  const inked = [...pixels.keys()].filter((i) => pixels[i] > 0.5);
  const rows = inked.map((i) => Math.floor(i / width));
  const columns = inked.map((i) => i % width);
  return [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
}

test('an empty pad gives null', () => {
  assert.equal(fromInk(new Float32Array(SIDE * SIDE), SIDE, [28, 28, 1]), null);
});

test('ink is scaled to 20 of 28 pixels and centred', () => {
  for (const ink of [box(0, 0, 20, 20), box(36, 30, 56, 50), box(8, 8, 48, 48)]) {
    const pixels = fromInk(ink, SIDE, [28, 28, 1]);
    assert.deepEqual(extent(pixels, 28, 28), [4, 23, 4, 23]);
    const sum = pixels.reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(sum - 400) < 1e-3, `the ink of a 20 by 20 box, not ${sum}`);
  }
});

test('the longer side sets the scale, and the aspect ratio is kept', () => {
  const pixels = fromInk(box(10, 3, 20, 43), SIDE, [28, 28, 1]);
  assert.deepEqual(extent(pixels, 28, 28).slice(0, 2), [4, 23]);
  assert.ok(Math.abs(pixels.reduce((a, b) => a + b, 0) - 20 * 5) < 1e-3);
});

test('the centre of mass is centred, not the bounding box', () => {
  const ink = box(0, 0, 40, 4); // a bar and a heavier foot
  box(0, 30, 40, 40).forEach((value, i) => (ink[i] += value));
  const pixels = fromInk(ink, SIDE, [28, 28, 1]);
  let [mass, y] = [0, 0];
  pixels.forEach((value, i) => {
    mass += value;
    y += value * (Math.floor(i / 28) + 0.5);
  });
  assert.ok(Math.abs(y / mass - 14) < 1e-6);
});

test('edges are anti-aliased', () => {
  const pixels = fromInk(box(10, 10, 31, 26), SIDE, [28, 28, 1]);
  assert.ok(pixels.some((value) => value > 0.1 && value < 0.9));
  assert.ok(pixels.every((value) => value >= 0 && value <= 1));
});

test('a dot stays small', () => {
  const pixels = fromInk(box(20, 20, 22, 22), SIDE, [28, 28, 1]);
  const sum = pixels.reduce((a, b) => a + b, 0);
  assert.ok(sum > 1 && sum < 10, `${sum} pixels of ink`);
});

test('colour channels are equal, and the size is that of the model', () => {
  const pixels = fromInk(box(10, 10, 30, 30), SIDE, [32, 40, 3]);
  assert.equal(pixels.length, 32 * 40 * 3);
  for (let i = 0; i < pixels.length; i += 3) {
    assert.equal(pixels[i], pixels[i + 1]);
    assert.equal(pixels[i], pixels[i + 2]);
  }
});

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {toRgba} from '../../../keras_ganvae/web/app/src/canvas.js';
import {readNpz} from '../../../keras_ganvae/web/app/src/npz.js';

test('grey pixels are rounded, clamped and opaque', () => {
  const rgba = toRgba(Float32Array.of(0, 0.5, 1, -1e-6, 1 + 1e-6), [1, 5, 1]);
  const grey = [0, 1, 2, 3, 4].map((i) => [...rgba.slice(4 * i, 4 * i + 4)]);
  assert.deepEqual(
    grey,
    [0, 128, 255, 0, 255].map((v) => [v, v, v, 255]),
  );
});

test('colours keep their order', () => {
  assert.deepEqual([...toRgba(Float32Array.of(1, 0.2, 0), [1, 1, 3])], [255, 51, 0, 255]);
});

for (const [what, bytes] of [
  ['nothing', new Uint8Array()],
  ['noise', new Uint8Array(100).fill(7)],
  ['a directory with an invalid offset', directory(0xffffff00)],
]) {
  test(`${what} is not an archive`, () => assert.rejects(readNpz(bytes.buffer)));
}

function directory(start) {
  const bytes = new Uint8Array(22);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(10, 1, true);
  view.setUint32(16, start, true);
  return bytes;
}

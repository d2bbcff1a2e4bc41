import assert from 'node:assert/strict';
import {test} from 'node:test';

import {keeps, limitsOf, parity} from '../../../keras_ganvae/web/app/src/check.js';

test('parity of a known error', () => {
  const golden = Float32Array.of(0, 0.25, 0.5, 1);
  const measured = parity(
    golden.map((v) => v + 0.125),
    golden,
  );
  assert.equal(measured.max_error, 0.125);
  assert.equal(measured.mean_error, 0.125);
  assert.ok(Math.abs(measured.psnr - 20 * Math.log10(8)) < 1e-9);
  assert.ok(Math.abs(measured.correlation - 1) < 1e-12);
});

test('equal images keep every limit, and NaN none', () => {
  const golden = Float32Array.of(0, 0.5, 1);
  const limits = {max_error: 0, mean_error: 0, psnr: 36, correlation: 0.99};
  assert.ok(keeps(parity(golden, golden), limits));
  const broken = parity(Float32Array.of(0, NaN, 1), golden);
  for (const [name, limit] of Object.entries(limits)) {
    assert.ok(!keeps(broken, {[name]: limit}), name);
  }
});

test('a NaN at the start is not forgotten', () => {
  assert.ok(Number.isNaN(parity(Float32Array.of(NaN, 0.5), Float32Array.of(0, 0.5)).max_error));
});

test('opposites do not correlate', () => {
  const {correlation} = parity(Float32Array.of(1, 0), Float32Array.of(0, 1));
  assert.ok(Math.abs(correlation + 1) < 1e-12);
});

const FLOAT = {variant: 'float32', weights: 'float32', tolerance: {max_error: 1e-5}};
const HALF = {variant: 'sampler', weights: 'float16', tolerance: {max_error: 5e-3}};
const INT8 = {variant: 'int8', weights: 'int8', tolerance: {psnr: 32, reason: 'all is 8-bit'}};

for (const [facts, signature, output, limits] of [
  [FLOAT, 'decode', 'image', {max_error: 1e-4}],
  [INT8, 'decode', 'image', {psnr: 32}],
  [HALF, 'reconstruct', 'reconstruction', {max_error: 5e-3}],
  [HALF, 'encode', 'mean', {max_error: 2e-2}],
  [HALF, 'sample', 'latent', {max_error: 1e-5}],
]) {
  test(`the limits of ${output} of ${signature}, weights ${facts.weights}`, () => {
    assert.deepEqual(limitsOf(facts, signature, output), limits);
  });
}

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {goldenNames, isWithin, limitsOf, parity} from '../../../keras_ganvae/web/app/src/check.js';

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

test('equal images are within every limit, NaN within none', () => {
  const golden = Float32Array.of(0, 0.5, 1);
  const limits = {max_error: 0, mean_error: 0, psnr: 36, correlation: 0.99};
  assert.ok(isWithin(parity(golden, golden), limits));
  const broken = parity(Float32Array.of(0, NaN, 1), golden);
  for (const [name, limit] of Object.entries(limits)) {
    assert.ok(!isWithin(broken, {[name]: limit}), name);
  }
});

test('a NaN makes the maximum error NaN', () => {
  assert.ok(Number.isNaN(parity(Float32Array.of(NaN, 0.5), Float32Array.of(0, 0.5)).max_error));
});

test('inverted images have correlation -1', () => {
  const {correlation} = parity(Float32Array.of(1, 0), Float32Array.of(0, 1));
  assert.ok(Math.abs(correlation + 1) < 1e-12);
});

const FLOAT = {variant: 'float32', weights: 'float32', tolerance: {max_error: 1e-5}};
const HALF = {variant: 'sampler', weights: 'float16', tolerance: {max_error: 5e-3}};
const INT8 = {variant: 'int8', weights: 'int8', tolerance: {psnr: 32, reason: 'all is 8-bit'}};

for (const [file, signature, output, limits] of [
  [FLOAT, 'decode', 'image', {max_error: 1e-4}],
  [INT8, 'decode', 'image', {psnr: 32}],
  [HALF, 'reconstruct', 'reconstruction', {max_error: 5e-3}],
  [HALF, 'encode', 'mean', {max_error: 2e-2}],
  [HALF, 'sample', 'latent', {max_error: 1e-5}],
]) {
  test(`the limits of ${output} of ${signature}, weights ${file.weights}`, () => {
    assert.deepEqual(limitsOf(file, signature, output), limits);
  });
}

for (const [inputs, outputs, expected] of [
  [['latent'], ['image'], {latent: 'latents', image: 'images'}],
  [['seed'], ['image', 'latent'], {seed: 'seeds', image: 'seed_images', latent: 'seed_latents'}],
  [['image'], ['mean'], {image: 'encode_images', mean: 'means'}],
  [['image'], ['reconstruction'], {image: 'encode_images', reconstruction: 'reconstructions'}],
]) {
  test(`the golden arrays of ${inputs} -> ${outputs}`, () => {
    const tensors = (names) => Object.fromEntries(names.map((name) => [name, {}]));
    const names = goldenNames({inputs: tensors(inputs), outputs: tensors(outputs)});
    assert.deepEqual({...names.inputs, ...names.outputs}, expected);
  });
}

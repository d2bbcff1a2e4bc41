import assert from 'node:assert/strict';
import {test} from 'node:test';

import * as cards from '../../../keras_ganvae/web/app/src/card.js';

const decode = {bytes: 10, signatures: ['decode']};
const CARD = {
  schema: 'keras-ganvae/model-card',
  schema_version: 1,
  name: 'x',
  image: {shape: [28, 28, 1]},
  latent: {size: 4, distribution: 'normal'},
  signatures: {decode: {}},
  files: {
    'golden.npz': {bytes: 5},
    'model.tflite': {...decode, variant: 'float32'},
    'model_int8.tflite': {...decode, variant: 'int8'},
    'sampler.tflite': {bytes: 50, signatures: ['decode', 'encode'], variant: 'sampler'},
  },
  recommended: {file: 'model_int8.tflite'},
};

test('a card that is understood is given back', () => assert.equal(cards.checked(CARD), CARD));

for (const [what, changes, reason] of [
  ['of another kind', {schema: 'other'}, /not a model card/],
  ['of a later version', {schema_version: 2}, /version 2; this app reads version 1/],
  ['without images', {image: {}}, /images and latents/],
  ['of images with two channels', {image: {shape: [8, 8, 2]}}, /images and latents/],
  ['without a latent size', {latent: {}}, /images and latents/],
  [
    'with unknown signatures only',
    {
      signatures: {generate: {}},
      files: {'m.tflite': {variant: 'float32', signatures: ['generate']}},
    },
    /signature decode; it has generate/,
  ],
]) {
  test(`a card ${what} is refused`, () => {
    assert.throws(() => cards.checked({...CARD, ...changes}), reason);
  });
}

test('null is refused', () => assert.throws(() => cards.checked(null), /not a model card/));

test('the sampler decodes only where nothing else does', () => {
  const names = (card) => cards.variants(card).map(({variant}) => variant);
  assert.deepEqual(names(CARD), ['float32', 'int8']);
  const {'sampler.tflite': sampler} = CARD.files;
  assert.deepEqual(names({files: {'sampler.tflite': sampler}}), ['sampler']);
});

test('the variant asked for, else the recommended one, else the first', () => {
  assert.equal(cards.chosenFile(CARD, 'float32').name, 'model.tflite');
  assert.equal(cards.chosenFile(CARD, '').name, 'model_int8.tflite');
  assert.equal(cards.chosenFile({...CARD, recommended: {}}, 'sixty').name, 'model.tflite');
});

test('the smallest file with a signature', () => {
  assert.equal(cards.fileWith(CARD, 'decode').name, 'model.tflite');
  assert.equal(cards.fileWith(CARD, 'encode').name, 'sampler.tflite');
  assert.equal(cards.fileWith(CARD, 'reconstruct'), null);
});

test('sizes', () => {
  assert.equal(cards.size(265300), '265 kB');
  assert.equal(cards.size(12), '1 kB');
  assert.equal(cards.size(2499844), '2.5 MB');
});

test('what was measured is a table with names for people', () => {
  const metrics = {
    'real images': {frechet: 0.66612, coverage: 0.9527},
    dynamic_int8: {frechet: 5.5, coverage: 0.9, p50_ms: 0.03812, note: 'it is behind', other_one: 7},
    protocol: '10,000 samples',
  };
  assert.deepEqual(cards.measured({...CARD, metrics}), {
    head: ['', 'Fréchet distance', 'Coverage', 'ms an image', 'other one'],
    rows: [
      ['real images', '0.666', '0.953', '–', '–'],
      ['dynamic int8', '5.5', '0.9', '0.0381', '7'],
    ],
    notes: ['dynamic int8: it is behind', '10,000 samples'],
  });
});

test('where nothing was measured there is no table', () => {
  const nothing = {head: [''], rows: [], notes: []};
  assert.deepEqual(cards.measured(CARD), nothing);
  assert.deepEqual(cards.measured({metrics: {}}), nothing);
});

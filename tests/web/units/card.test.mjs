import assert from 'node:assert/strict';
import {test} from 'node:test';

import * as cards from '../../../keras_ganvae/web/app/src/card.js';

const decode = {bytes: 10, signatures: ['decode']};
const CARD = {
  schema: 'keras-ganvae/model-card',
  schema_version: 2,
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

test('a valid card is returned', () => assert.equal(cards.validated(CARD), CARD));

for (const [what, changes, reason] of [
  ['with another schema', {schema: 'other'}, /not a model card/],
  ['of an earlier release', {schema_version: 1}, /version 1; this app reads version 2/],
  ['without images', {image: {}}, /shape of its images/],
  ['with images of two channels', {image: {shape: [8, 8, 2]}}, /shape of its images/],
  ['without a latent size', {latent: {}}, /size of its latent vectors/],
  [
    'with unknown signatures only',
    {
      signatures: {generate: {}},
      files: {'m.tflite': {variant: 'float32', signatures: ['generate']}},
    },
    /signature decode; the bundle has generate/,
  ],
]) {
  test(`a card ${what} is invalid`, () => {
    assert.throws(() => cards.validated({...CARD, ...changes}), reason);
  });
}

test('null is invalid', () => assert.throws(() => cards.validated(null), /not a model card/));

test('the sampler is a decoder only if it is the only one', () => {
  const names = (card) => cards.decoders(card).map(({variant}) => variant);
  assert.deepEqual(names(CARD), ['float32', 'int8']);
  const {'sampler.tflite': sampler} = CARD.files;
  assert.deepEqual(names({files: {'sampler.tflite': sampler}}), ['sampler']);
});

test('the given variant, else the recommended file, else the first', () => {
  assert.equal(cards.decoderOf(CARD, 'float32').name, 'model.tflite');
  assert.equal(cards.decoderOf(CARD, '').name, 'model_int8.tflite');
  assert.equal(cards.decoderOf({...CARD, recommended: {}}, 'sixty').name, 'model.tflite');
});

test('the smallest file with a signature', () => {
  assert.equal(cards.smallestFileWith(CARD, 'decode').name, 'model.tflite');
  assert.equal(cards.smallestFileWith(CARD, 'encode').name, 'sampler.tflite');
  assert.equal(cards.smallestFileWith(CARD, 'reconstruct'), null);
});

test('sizes', () => {
  assert.equal(cards.size(265300), '265 kB');
  assert.equal(cards.size(12), '1 kB');
  assert.equal(cards.size(2499844), '2.5 MB');
});

test('metrics become a table with readable names', () => {
  const metrics = {
    'real images': {frechet: 0.66612, coverage: 0.9527},
    dynamic_int8: {frechet: 5.5, coverage: 0.9, p50_ms: 0.03812, note: 'it is worse', other_one: 7},
    protocol: '10,000 samples',
  };
  assert.deepEqual(cards.metricsTable({...CARD, metrics}), {
    head: ['', 'Fréchet distance', 'Coverage', 'ms/image', 'other one'],
    rows: [
      ['real images', '0.666', '0.953', '–', '–'],
      ['dynamic int8', '5.5', '0.9', '0.0381', '7'],
    ],
    notes: ['dynamic int8: it is worse', '10,000 samples'],
  });
});

test('without metrics there is no table', () => {
  const nothing = {head: [''], rows: [], notes: []};
  assert.deepEqual(cards.metricsTable(CARD), nothing);
  assert.deepEqual(cards.metricsTable({metrics: {}}), nothing);
});

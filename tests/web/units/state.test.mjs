import assert from 'node:assert/strict';
import {test} from 'node:test';

import {DEFAULTS, format, parse} from '../../../keras_ganvae/web/app/src/state.js';

test('default values are left out', () => {
  assert.equal(format(DEFAULTS), '');
  assert.deepEqual(parse(''), {...DEFAULTS});
});

test('every value survives a round trip', () => {
  const state = {
    model: 'a & b=c',
    variant: 'dynamic_int8',
    accelerator: 'webgpu',
    view: 'map',
    seed: 4294967295,
    count: 64,
    index: 63,
    edits: {3: -1.25, 17: 0.00001},
    code: Float32Array.of(0.5, -2, 1e-7),
    walk: 7,
    at: 0.125,
    across: 0,
    down: 1,
    rest: 'digit',
  };
  assert.deepEqual(parse(`#${format(state)}`), state);
});

test('a fraction near zero survives a round trip', () => {
  assert.equal(parse(format({...DEFAULTS, at: 1.5e-7})).at, 1.5e-7);
});

for (const fragment of [
  '#seed=-1',
  '#seed=4294967296',
  '#seed=1e3',
  '#seed',
  '#view=constructor',
  '#count=17',
  '#index=64',
  '#walk=8',
  '#at=2',
  '#at=1.2.3',
  '#across=.',
  '#edits=1:x',
  '#edits=1',
  '#code=1,,2',
  '#code=NaN',
  '#model=%',
  '#__proto__=1',
  '#toString=1',
  '#accelerator=webnn',
]) {
  test(`${fragment} is ignored`, () => assert.deepEqual(parse(fragment), {...DEFAULTS}));
}

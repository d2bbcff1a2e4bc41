import assert from 'node:assert/strict';
import {test} from 'node:test';

import {createLoop, Meter, typicalTime} from '../../../keras_ganvae/web/app/src/frames.js';

/** Frames that come when the test says so. */
function frames() {
  let waiting = [];
  globalThis.requestAnimationFrame = (callback) => waiting.push(callback);
  return async function next() {
    const [now, settled] = [waiting, Promise.resolve()];
    waiting = [];
    await Promise.all(now.map((callback) => callback(0)));
    await settled;
    return now.length;
  };
}

test('many requests make one frame', async () => {
  const next = frames();
  let count = 0;
  const request = createLoop(async () => count++, assert.fail);
  request();
  request();
  request();
  assert.equal(await next(), 1);
  assert.equal(count, 1);
  assert.equal(await next(), 0);
});

test('a request while one runs makes one more', async () => {
  const next = frames();
  let count = 0;
  const request = createLoop(async () => {
    count++;
    if (count === 1) {
      request();
      request();
    }
  }, assert.fail);
  request();
  await next();
  assert.equal(await next(), 1);
  assert.equal(count, 2);
  assert.equal(await next(), 0);
});

test('an error is told and the loop goes on', async () => {
  const next = frames();
  const errors = [];
  let fails = true;
  const request = createLoop(
    async () => {
      if (fails) throw new Error('no');
    },
    (error) => errors.push(error.message),
  );
  request();
  await next();
  fails = false;
  request();
  assert.equal(await next(), 1);
  assert.deepEqual(errors, ['no']);
});

test('the rate is that of the last second, without pauses', () => {
  const meter = new Meter();
  assert.equal(meter.rate, null);
  for (let i = 0; i <= 60; i++) meter.add(i * 20);
  assert.equal(meter.rate, 50);
  meter.add(10_000); // after a pause
  assert.equal(meter.rate, null);
  for (let i = 1; i <= 10; i++) meter.add(10_000 + i * 25);
  assert.equal(meter.rate, 40);
});

/** A clock that `work` moves on: by 100 at first, then by `usual`. */
function clock(usual, cold = 6) {
  let [time, runs] = [0, 0];
  return {now: () => time, work: async () => (time += runs++ < cold ? 100 : usual), runs: () => runs};
}

test('the typical time is that of warm runs', async () => {
  const {now, work, runs} = clock(2);
  assert.equal(await typicalTime(work, now), 2);
  assert.ok(runs() <= 36);
});

test('a fast one is timed in six batches', async () => {
  const {now, work, runs} = clock(0.25, 0);
  assert.equal(await typicalTime(work, now), 0.25);
  assert.equal(runs(), 36);
});

test('a slow device is timed twice, no more', async () => {
  const {now, work, runs} = clock(80, 0);
  assert.equal(await typicalTime(work, now), 80);
  assert.equal(runs(), 12);
});

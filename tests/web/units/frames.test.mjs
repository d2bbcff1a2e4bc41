import assert from 'node:assert/strict';
import {test} from 'node:test';

import {createLoop, FrameRate, medianTime} from '../../../keras_ganvae/web/app/src/frames.js';

/** Frames that the test triggers. */
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

test('a request during a frame makes one more', async () => {
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

test('an error is reported and the loop continues', async () => {
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

test('the rate is that of the last second, without gaps', () => {
  const frameRate = new FrameRate();
  assert.equal(frameRate.value, null);
  for (let i = 0; i <= 60; i++) frameRate.add(i * 20);
  assert.equal(frameRate.value, 50);
  frameRate.add(10_000); // after a gap
  assert.equal(frameRate.value, null);
  for (let i = 1; i <= 10; i++) frameRate.add(10_000 + i * 25);
  assert.equal(frameRate.value, 40);
});

/** A clock that `work` advances: by 100 at first, then by `usual`. */
function clock(usual, cold = 6) {
  let [time, runs] = [0, 0];
  return {
    now: () => time,
    work: async () => (time += runs++ < cold ? 100 : usual),
    runs: () => runs,
  };
}

test('the median excludes the warm-up', async () => {
  const {now, work, runs} = clock(2);
  assert.equal(await medianTime(work, now), 2);
  assert.ok(runs() <= 36);
});

test('fast work is timed six times', async () => {
  const {now, work, runs} = clock(0.25, 0);
  assert.equal(await medianTime(work, now), 0.25);
  assert.equal(runs(), 36);
});

test('slow work is timed twice', async () => {
  const {now, work, runs} = clock(80, 0);
  assert.equal(await medianTime(work, now), 80);
  assert.equal(runs(), 12);
});

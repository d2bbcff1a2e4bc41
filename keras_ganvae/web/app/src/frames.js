// Work once a frame, however often it is asked for, how many frames that makes, and how long
// a piece of work takes.

const PAUSE = 400; // milliseconds without a frame after which counting begins anew
const WINDOW = 1000;

/** `request()`: run `render` in the next frame; while one runs, once more after it. */
export function createLoop(render, onError) {
  let [wanted, running] = [false, false];
  async function frame(time) {
    wanted = false;
    try {
      await render(time);
    } catch (error) {
      onError(error);
    }
    running = false;
    if (wanted) start();
  }
  function start() {
    running = true;
    requestAnimationFrame(frame);
  }
  return function request() {
    wanted = true;
    if (!running) start();
  };
}

/** Frames a second while frames follow each other; null while that can't be said. */
export class Meter {
  #times = [];

  add(now) {
    if (now - this.#times.at(-1) > PAUSE) this.#times = [];
    this.#times.push(now);
    while (now - this.#times[0] > WINDOW) this.#times.shift();
  }

  get rate() {
    const spent = this.#times.at(-1) - this.#times[0];
    return spent >= 200 ? ((this.#times.length - 1) * 1000) / spent : null;
  }
}

const BATCH = 6; // one alone is too short for a clock that some browsers keep coarse on purpose
const BATCHES = 6;
const MOST_SPENT = 300; // milliseconds, on a slow phone

/** Milliseconds that `work()` takes: the median of a few means, the first of which warms up. */
export async function typicalTime(work, now = () => performance.now()) {
  const began = now();
  const means = [];
  while (means.length < 2 || (means.length < BATCHES && now() - began < MOST_SPENT)) {
    const before = now();
    for (let i = 0; i < BATCH; i++) await work();
    means.push((now() - before) / BATCH);
  }
  const warm = means.slice(1).sort((a, b) => a - b);
  return warm[Math.floor(warm.length / 2)];
}

// Rendering at most once a frame, the frame rate, and timing.

const MAX_GAP = 400; // milliseconds between frames; a longer gap restarts the count
const WINDOW = 1000; // milliseconds
const MIN_SPAN = 200; // milliseconds; less is too short for a rate

/** `request()` runs `render` in the next frame; during a run, once more after it. */
export function createLoop(render, onError) {
  let [requested, running] = [false, false];
  async function frame(time) {
    requested = false;
    try {
      await render(time);
    } catch (error) {
      onError(error);
    }
    running = false;
    if (requested) start();
  }
  function start() {
    running = true;
    requestAnimationFrame(frame);
  }
  return function request() {
    requested = true;
    if (!running) start();
  };
}

/** Frames per second over the last second; null after a gap. */
export class FrameRate {
  #times = [];

  add(now) {
    if (now - this.#times.at(-1) > MAX_GAP) this.#times = [];
    this.#times.push(now);
    while (now - this.#times[0] > WINDOW) this.#times.shift();
  }

  get value() {
    const span = this.#times.at(-1) - this.#times[0];
    return span >= MIN_SPAN ? ((this.#times.length - 1) * 1000) / span : null;
  }
}

const RUNS = 6; // timed together, because some browsers coarsen their clock on purpose
const REPEATS = 6;
const TIME_LIMIT = 300; // milliseconds, for slow phones

/** Milliseconds that `work()` takes: the median of a few means, without the first, a warm-up. */
export async function medianTime(work, now = () => performance.now()) {
  const began = now();
  const means = [];
  while (means.length < 2 || (means.length < REPEATS && now() - began < TIME_LIMIT)) {
    const before = now();
    for (let i = 0; i < RUNS; i++) await work();
    means.push((now() - before) / RUNS);
  }
  const warm = means.slice(1).sort((a, b) => a - b);
  return warm[Math.floor(warm.length / 2)];
}

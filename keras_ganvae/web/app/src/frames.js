// Work once a frame, however often it is asked for, and how many frames that makes.

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

// A walk between two samples, the same as `keras-ganvae interpolate` with this seed.
import {drawOne} from '../prior.js';
import {interpolate} from '../latent.js';
import {paint, paintGrid} from '../canvas.js';
import {element} from '../dom.js';
import {WALKS} from '../state.js';

const STEPS = 12; // of the strip
const SECONDS = 4; // from end to end

export function createWalk(app) {
  const [canvas, strip, at, play] = ['walk-canvas', 'walk-strip', 'walk-at', 'walk-play'].map(
    element,
  );
  let stripKey = ''; // what the strip shows
  let [playing, forward, lastTime] = [false, true, 0];

  const go = (step) => app.set({walk: (app.state.walk + step + WALKS) % WALKS, at: 0});
  element('walk-previous').onclick = () => go(-1);
  element('walk-next').onclick = () => go(1);
  at.oninput = () => {
    stop();
    app.set({at: Number(at.value)});
  };
  play.onclick = () => {
    playing = !playing;
    lastTime = 0;
    label();
    app.set({});
  };

  function label() {
    play.textContent = playing ? 'Pause' : 'Play';
  }

  function stop() {
    playing = false;
    label();
  }

  function endpoints() {
    const {seed, walk} = app.state;
    return [walk, WALKS + walk].map((i) => drawOne(app.bundle.prior, seed, i));
  }

  /** Move the position to and fro. */
  function advance(time) {
    if (lastTime) {
      const position = app.state.at + ((forward ? 1 : -1) * (time - lastTime)) / (1000 * SECONDS);
      if (position >= 1 || position <= 0) forward = position <= 0;
      app.set({at: Math.min(1, Math.max(0, position))});
    } else {
      app.set({});
    }
    lastTime = time;
  }

  return {
    live: true,
    leave: stop,
    async render(time) {
      if (playing) advance(time);
      const {bundle, state} = app;
      const [start, end] = endpoints();
      const point = (t) => interpolate(start, end, t, bundle.prior.linear);
      const key = `${app.generation} ${state.seed} ${state.walk}`;
      if (key !== stripKey) {
        const images = [];
        for (let i = 0; i < STEPS; i++) images.push(await bundle.decode(point(i / (STEPS - 1))));
        paintGrid(strip, images, bundle.shape, STEPS / 2);
        stripKey = key;
      }
      element('walk-hint').textContent =
        `Walk ${state.walk + 1} of ${WALKS} from seed ${state.seed}, along a ` +
        (bundle.prior.linear ? 'straight line.' : 'great circle.');
      at.value = state.at;
      at.setAttribute('aria-valuetext', `${Math.round(100 * state.at)} percent of the way`);
      paint(canvas, await bundle.decode(point(state.at)), bundle.shape);
    },
    image: () => ({canvas: strip, name: `walk-${app.state.seed}-${app.state.walk}`}),
  };
}

// A walk between two samples: those that `keras-ganvae interpolate` with this seed walks between.
import {drawOne} from '../prior.js';
import {between} from '../latent.js';
import {paint, paintGrid} from '../canvas.js';
import {element} from '../dom.js';
import {WALKS} from '../state.js';

const STEPS = 12;
const SECONDS = 4; // from one end to the other

export function createWalk(app) {
  const [canvas, strip, at, play] = ['walk-canvas', 'walk-strip', 'walk-at', 'walk-play'].map(
    element,
  );
  let stripOf = '';
  let [playing, forth, last] = [false, true, 0];

  const go = (step) => app.set({walk: (app.state.walk + step + WALKS) % WALKS, at: 0});
  element('walk-previous').onclick = () => go(-1);
  element('walk-next').onclick = () => go(1);
  at.oninput = () => {
    stop();
    app.set({at: Number(at.value)});
  };
  play.onclick = () => {
    playing = !playing;
    last = 0;
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

  function ends() {
    const {seed, walk} = app.state;
    return [walk, WALKS + walk].map((i) => drawOne(app.bundle.prior, seed, i));
  }

  /** There and back again. */
  function advance(time) {
    if (last) {
      const share = app.state.at + ((forth ? 1 : -1) * (time - last)) / (1000 * SECONDS);
      if (share >= 1 || share <= 0) forth = share <= 0;
      app.set({at: Math.min(1, Math.max(0, share))});
    } else {
      app.set({});
    }
    last = time;
  }

  return {
    live: true,
    leave: stop,
    async render(time) {
      if (playing) advance(time);
      const {bundle, state} = app;
      const [start, end] = ends();
      const point = (share) => between(start, end, share, bundle.prior.straight);
      const wanted = `${app.generation} ${state.seed} ${state.walk}`;
      if (wanted !== stripOf) {
        const images = [];
        for (let i = 0; i < STEPS; i++) images.push(await bundle.decode(point(i / (STEPS - 1))));
        paintGrid(strip, images, bundle.shape, STEPS / 2);
        stripOf = wanted;
      }
      element('walk-hint').textContent =
        `Walk ${state.walk + 1} of ${WALKS} with seed ${state.seed}, ` +
        (bundle.prior.straight ? 'straight.' : 'along a great circle.');
      at.value = state.at;
      at.setAttribute('aria-valuetext', `${Math.round(100 * state.at)} per cent of the way`);
      paint(canvas, await bundle.decode(point(state.at)), bundle.shape);
    },
    picture: () => ({canvas: strip, name: `walk-${app.state.seed}-${app.state.walk}`}),
  };
}

// Sliders for the latent dimensions of one image, most active first.
import {drawOne} from '../prior.js';
import {paint} from '../canvas.js';
import {element, pause, textElement} from '../dom.js';
import {COUNTS} from '../state.js';

const FEW = 10; // sliders before "Show all"
const STEPS = 200; // per slider

/** The z of the state: that of a drawing or a sample, with the edits of the sliders. */
export function currentLatent({state, bundle}) {
  const {size} = bundle.prior;
  const isDrawing = state.code?.length === size;
  const z = isDrawing ? state.code.slice() : drawOne(bundle.prior, state.seed, state.index);
  for (const [j, value] of Object.entries(state.edits)) if (j < size) z[j] = value;
  return z;
}

export function createSliders(app) {
  const [canvas, list, all] = ['sliders-canvas', 'sliders', 'sliders-all'].map(element);
  let builtBundle = null; // the bundle of the sliders
  let ranking = [];

  element('sliders-reset').onclick = () => app.set({edits: {}});
  element('sliders-another').onclick = () => {
    app.set({index: (app.state.index + 1) % COUNTS.at(-1), edits: {}, code: null});
  };
  all.onclick = () => {
    const open = all.getAttribute('aria-expanded') !== 'true';
    all.setAttribute('aria-expanded', open);
    label();
    build();
    app.set({});
  };
  list.oninput = ({target}) => {
    app.set({edits: {...app.state.edits, [target.dataset.dimension]: Number(target.value)}});
  };

  const visibleDimensions = () =>
    all.getAttribute('aria-expanded') === 'true' ? ranking : ranking.slice(0, FEW);

  function label() {
    all.hidden = ranking.length <= FEW;
    const open = all.getAttribute('aria-expanded') === 'true';
    all.textContent = open ? 'Show fewer' : `Show all ${ranking.length}`;
  }

  function build() {
    const {statistics} = app.bundle;
    list.replaceChildren(
      ...visibleDimensions().map((j) => {
        const row = document.createElement('div');
        const name = document.createElement('label');
        name.append(
          Object.assign(textElement('span', 'Dimension '), {className: 'visually-hidden'}),
          j,
        );
        const input = Object.assign(document.createElement('input'), {
          type: 'range',
          id: `dimension-${j}`,
          min: statistics.percentile(j, 1),
          max: statistics.percentile(j, 99),
        });
        input.step = (input.max - input.min) / STEPS;
        input.dataset.dimension = j;
        name.htmlFor = input.id;
        const value = document.createElement('output');
        value.htmlFor = input.id;
        row.append(name, input, value);
        return row;
      }),
    );
  }

  function show(z) {
    for (const row of list.children) {
      const [, input, value] = row.children;
      const current = z[input.dataset.dimension];
      // An encoder's mean may lie outside the prior's percentiles.
      if (current < input.min) input.min = current;
      if (current > input.max) input.max = current;
      if (document.activeElement !== input || !(input.dataset.dimension in app.state.edits)) {
        input.value = current;
      }
      value.textContent = current.toFixed(2);
    }
  }

  return {
    live: true,
    async render() {
      const {bundle, state} = app;
      if (builtBundle !== bundle) {
        app.status('Ranking latent dimensions…');
        ranking = await bundle.ranking(pause);
        app.status('');
        builtBundle = bundle;
        all.setAttribute('aria-expanded', 'false');
        label();
        build();
      }
      const source = state.code
        ? 'Your drawing'
        : `Sample ${state.index + 1} of seed ${state.seed}`;
      element('sliders-hint').textContent =
        `${source}. One slider per latent dimension, most active first.`;
      const z = currentLatent(app);
      paint(canvas, await bundle.decode(z), bundle.shape);
      show(z);
    },
    image: () => ({canvas, name: 'sliders'}),
  };
}

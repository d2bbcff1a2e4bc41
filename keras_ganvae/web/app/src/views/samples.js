// A grid of samples from a seed. Each is a button that opens it in the sliders.
import {drawMany} from '../prior.js';
import {paint, paintGrid} from '../canvas.js';
import {element} from '../dom.js';
import {MAX_SEED} from '../state.js';

export function createSamples(app) {
  const [grid, seed, count] = ['grid', 'seed', 'count'].map(element);
  let gridKey = ''; // what the grid shows
  let images = [];

  const go = (value) => app.set({seed: (value + MAX_SEED + 1) % (MAX_SEED + 1)});
  element('seed-previous').onclick = () => go(app.state.seed - 1);
  element('seed-next').onclick = () => go(app.state.seed + 1);
  element('seed-random').onclick = () => go(crypto.getRandomValues(new Uint32Array(1))[0]);
  seed.onchange = () => {
    const value = Math.round(Number(seed.value));
    if (seed.value.trim() && value >= 0 && value <= MAX_SEED) go(value);
    else app.notice(`A seed is a whole number from 0 to ${MAX_SEED}.`);
    seed.value = app.state.seed;
  };
  count.onchange = () => app.set({count: Number(count.value)});

  grid.onclick = ({target}) => {
    const cell = target.closest('button');
    if (cell)
      app.set({view: 'sliders', index: [...grid.children].indexOf(cell), edits: {}, code: null});
  };
  grid.onkeydown = (event) => {
    const cells = [...grid.children];
    const current = cells.indexOf(document.activeElement);
    const row = getComputedStyle(grid).gridTemplateColumns.split(' ').length;
    const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row};
    const next = {Home: 0, End: cells.length - 1}[event.key] ?? current + steps[event.key];
    if (current < 0 || !cells[next]) return;
    event.preventDefault();
    focusCell(next);
    cells[next].focus();
  };

  const columns = () => Math.sqrt(app.state.count);

  // The Tab key stops once at the grid, not at every cell.
  function focusCell(index) {
    [...grid.children].forEach((cell, i) => (cell.tabIndex = i === index ? 0 : -1));
  }

  function build() {
    grid.style.setProperty('--columns', columns());
    grid.replaceChildren(
      ...Array.from({length: app.state.count}, (_, i) => {
        const cell = document.createElement('button');
        cell.type = 'button';
        cell.setAttribute('aria-label', `Sample ${i + 1}: edit with sliders`);
        cell.append(document.createElement('canvas'));
        return cell;
      }),
    );
    focusCell(0);
  }

  return {
    async render() {
      const {state, bundle} = app;
      seed.value = state.seed;
      count.value = state.count;
      const key = `${app.generation} ${state.seed} ${state.count}`;
      if (key === gridKey) return;
      if (grid.children.length !== state.count) build();
      images = [];
      for (const z of drawMany(bundle.prior, state.seed, state.count)) {
        images.push(await bundle.decode(z));
      }
      images.forEach((pixels, i) => paint(grid.children[i].firstChild, pixels, bundle.shape));
      gridKey = key;
    },
    image() {
      const canvas = document.createElement('canvas');
      paintGrid(canvas, images, app.bundle.shape, columns());
      return {canvas, name: `seed-${app.state.seed}`};
    },
  };
}

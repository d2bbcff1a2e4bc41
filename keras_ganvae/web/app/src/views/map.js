// The plane of the two most active latent dimensions, as `keras-ganvae manifold` draws it.
import {paint, paintGrid} from '../canvas.js';
import {element, pause} from '../dom.js';
import {currentLatent} from './sliders.js';

const SIDE = 15; // images per row and column
const STEP = 0.02; // per arrow key
const LARGE_STEP = 0.1; // with Shift

const rounded = (value) => String(+value.toFixed(2)); // -0.00 becomes 0
const clamped = (value) => Math.min(1, Math.max(0, value));

// An axis runs between the centres of its outermost images, a position between their edges.
const toAxis = (position) => clamped((position * SIDE - 0.5) / (SIDE - 1));
const toPosition = (value) => (value * (SIDE - 1) + 0.5) / SIDE;

export function createMap(app) {
  const [area, overview, marker, canvas] = ['map', 'map-overview', 'map-marker', 'map-canvas'].map(
    element,
  );
  const [across, down, rest] = ['map-across', 'map-down', 'map-rest'].map(element);
  let overviewKey = ''; // what the overview shows

  across.oninput = () => app.set({across: Number(across.value)});
  down.oninput = () => app.set({down: Number(down.value)});
  rest.onchange = () => app.set({rest: rest.value});

  function drag({clientX, clientY}) {
    const box = area.getBoundingClientRect();
    app.set({
      across: toAxis((clientX - box.left) / box.width),
      down: toAxis((clientY - box.top) / box.height),
    });
  }
  area.onpointerdown = (event) => {
    if (event.button || !event.isPrimary) return;
    area.setPointerCapture(event.pointerId);
    drag(event);
  };
  area.onpointermove = (event) => {
    if (area.hasPointerCapture(event.pointerId)) drag(event);
  };
  area.onkeydown = (event) => {
    const step = event.shiftKey ? LARGE_STEP : STEP;
    const directions = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    if (!directions[event.key]) return;
    event.preventDefault();
    const [x, y] = directions[event.key];
    app.set({
      across: clamped(app.state.across + x * step),
      down: clamped(app.state.down + y * step),
    });
  };

  /** `point(across, down)`: the z of a point on the plane; both from 0 to 1. */
  function plane([first, second]) {
    const {statistics} = app.bundle;
    const base = app.state.rest === 'digit' ? currentLatent(app) : statistics.mean;
    const value = (j, fraction) => statistics.percentile(j, 1 + 98 * fraction);
    return (x, y) => {
      const z = base.slice();
      z[first] = value(first, x);
      z[second] = value(second, y);
      return z;
    };
  }

  async function drawOverview(point, bundle) {
    app.status('Drawing the map…');
    const images = [];
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        images.push(await bundle.decode(point(column / (SIDE - 1), row / (SIDE - 1))));
      }
      await pause();
    }
    paintGrid(overview, images, bundle.shape, SIDE, 0);
    app.status('');
  }

  return {
    live: true,
    async render() {
      const {bundle, state} = app;
      const oneDimensional = bundle.prior.size < 2;
      element('map-plane').hidden = oneDimensional;
      element('map-none').hidden = !oneDimensional;
      if (oneDimensional) return;
      const [first, second] = await bundle.ranking(pause);
      const point = plane([first, second]);
      const key = `${app.generation} ${point(0, 0)}`;
      if (key !== overviewKey) {
        await drawOverview(point, bundle);
        overviewKey = key;
      }
      [across.value, down.value, rest.value] = [state.across, state.down, state.rest];
      marker.style.setProperty('--x', toPosition(state.across));
      marker.style.setProperty('--y', toPosition(state.down));
      const z = point(state.across, state.down);
      element('map-hint').textContent =
        `Dimension ${first} across: ${rounded(z[first])}. Dimension ${second} down: ` +
        `${rounded(z[second])}. Drag, or use the arrow keys; Shift takes larger steps.`;
      paint(canvas, await bundle.decode(z), bundle.shape);
    },
    empty: () => app.bundle.prior.size < 2,
    image: () => ({canvas: overview, name: 'map'}),
  };
}

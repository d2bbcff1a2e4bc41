// The state that a link restores: model, view and every control, as the URL's fragment.

export const VIEWS = ['samples', 'sliders', 'walk', 'map', 'draw', 'about'];
export const COUNTS = [16, 36, 64];
export const WALKS = 8; // per seed
export const MAX_SEED = 2 ** 32 - 1;

export const DEFAULTS = Object.freeze({
  model: '', // a bundle's name; '' is the first bundle
  variant: '', // '' is the recommended file
  accelerator: 'wasm',
  view: 'samples',
  seed: 0,
  count: 36, // images in the grid
  index: 0, // the image of the seed that the sliders edit
  edits: Object.freeze({}), // latent dimension -> value
  code: null, // the z of a drawing; replaces seed and index
  walk: 0,
  at: 0, // position on the walk, 0 to 1
  across: 0.5, // position on the map, 0 to 1
  down: 0.5,
  rest: 'mean', // the map's other dimensions: the prior's mean, or the digit of the sliders
});

const decimal = (value) => String(Number(value.toPrecision(5)));

/** The fragment of a state, without `#` and without default values. */
export function format(state) {
  const parts = [];
  for (const [name, value] of Object.entries(state)) {
    const text = write(name, value);
    if (text !== write(name, DEFAULTS[name])) parts.push(`${name}=${text}`);
  }
  return parts.join('&');
}

function write(name, value) {
  if (name === 'edits') {
    return Object.entries(value)
      .map(([j, z]) => `${j}:${decimal(z)}`)
      .join(',');
  }
  if (name === 'code') return value ? Array.from(value, decimal).join(',') : '';
  if (typeof value !== 'number') return encodeURIComponent(value);
  return Number.isInteger(value) ? String(value) : decimal(value); // seeds have up to ten digits
}

/** The state of a fragment; invalid values become the default. */
export function parse(fragment) {
  const state = {...DEFAULTS};
  for (const part of fragment.replace(/^#/, '').split('&')) {
    const [name, text = ''] = part.split(/=(.*)/s);
    if (Object.hasOwn(DEFAULTS, name)) {
      const value = READERS[name](text);
      if (value !== undefined) state[name] = value;
    }
  }
  return state;
}

const oneOf = (values) => (text) => (values.includes(text) ? text : undefined);
const integer = (max) => (text) => (/^\d{1,10}$/.test(text) && +text <= max ? +text : undefined);
const fraction = (text) => (/^[\d.]+(e-\d+)?$/.test(text) && text <= 1 ? +text : undefined);
const READERS = {
  model: decoded,
  variant: decoded,
  accelerator: oneOf(['wasm', 'webgpu']),
  view: oneOf(VIEWS),
  seed: integer(MAX_SEED),
  count: (text) => (COUNTS.includes(+text) ? +text : undefined),
  index: integer(COUNTS.at(-1) - 1),
  walk: integer(WALKS - 1),
  at: fraction,
  across: fraction,
  down: fraction,
  rest: oneOf(['mean', 'digit']),
  code: numbers,
  edits(text) {
    const pairs = text.split(',').map((pair) => pair.split(':').map(Number));
    return pairs.every((pair) => pair.length === 2 && pair.every(Number.isFinite))
      ? Object.fromEntries(pairs)
      : undefined;
  },
};

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // a malformed escape, such as a lone %
  }
}

function numbers(text) {
  const values = Float32Array.from(text.split(','), (part) => (part.trim() ? Number(part) : NaN));
  return values.every(Number.isFinite) ? values : undefined;
}

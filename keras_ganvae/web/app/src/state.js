// What a link restores: model, view and every value, as the address's fragment.

export const VIEWS = ['samples', 'sliders', 'walk', 'map', 'draw', 'about'];
export const COUNTS = [16, 36, 64];
export const WALKS = 8; // pairs of draws that one seed gives
export const MOST_SEED = 2 ** 32 - 1;

export const DEFAULTS = Object.freeze({
  model: '', // a bundle's name; the first one
  variant: '', // the recommended one
  accelerator: 'wasm',
  view: 'samples',
  seed: 0,
  count: 36, // images in the grid
  index: 0, // of the seed's images, that sliders begin with
  edits: Object.freeze({}), // dimension -> value
  code: null, // z of a drawing, instead of seed and index
  walk: 0,
  at: 0, // on the walk, 0 to 1
  across: 0.5, // on the map, 0 to 1
  down: 0.5,
  rest: 'mean', // of the map's other dimensions: mean or digit
});

const decimal = (value) => String(Number(value.toPrecision(5)));

/** The fragment of a state, without `#`; what has its default value is left out. */
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
  return typeof value === 'number' ? decimal10(value) : encodeURIComponent(value);
}

// Seeds have ten digits, which `decimal` would round.
const decimal10 = (value) => (Number.isInteger(value) ? String(value) : decimal(value));

/** The state of a fragment; what can't be read there has its default value. */
export function parse(fragment) {
  const state = {...DEFAULTS};
  for (const part of fragment.replace(/^#/, '').split('&')) {
    const [name, text = ''] = part.split(/=(.*)/s);
    if (Object.hasOwn(DEFAULTS, name)) {
      const value = read(name, text);
      if (value !== undefined) state[name] = value;
    }
  }
  return state;
}

const oneOf = (values) => (text) => (values.includes(text) ? text : undefined);
const whole = (most) => (text) => (/^\d{1,10}$/.test(text) && +text <= most ? +text : undefined);
const share = (text) => (/^[\d.]+(e-\d+)?$/.test(text) && text <= 1 ? +text : undefined);
const READERS = {
  model: decoded,
  variant: decoded,
  accelerator: oneOf(['wasm', 'webgpu']),
  view: oneOf(VIEWS),
  seed: whole(MOST_SEED),
  count: (text) => (COUNTS.includes(+text) ? +text : undefined),
  index: whole(COUNTS.at(-1) - 1),
  walk: whole(WALKS - 1),
  at: share,
  across: share,
  down: share,
  rest: oneOf(['mean', 'digit']),
  code: numbers,
  edits(text) {
    const pairs = text.split(',').map((pair) => pair.split(':').map(Number));
    return pairs.every((pair) => pair.length === 2 && pair.every(Number.isFinite))
      ? Object.fromEntries(pairs)
      : undefined;
  },
};

function read(name, text) {
  return READERS[name](text);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // a lone %
  }
}

function numbers(text) {
  const values = Float32Array.from(text.split(','), (part) => (part.trim() ? Number(part) : NaN));
  return values.every(Number.isFinite) ? values : undefined;
}

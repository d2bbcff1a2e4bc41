// model_card.json: read what the app needs, and refuse what it does not understand.

const VERSION = 1;

/**
 * @param card the parsed JSON
 * @returns the card
 * @throws Error, one sentence
 */
export function checked(card) {
  if (card?.schema !== 'keras-ganvae/model-card') throw new Error('its card is not a model card');
  if (card.schema_version !== VERSION) {
    throw new Error(
      `its card is of version ${card.schema_version}; this app reads version ${VERSION}`,
    );
  }
  const shape = card.image?.shape;
  const fits =
    Array.isArray(shape) && shape.length === 3 && shape.every((n) => n >= 1 && n <= 4096);
  if (!fits || ![1, 3].includes(shape[2]) || !(card.latent?.size >= 1)) {
    throw new Error('its card does not say what its images and latents are');
  }
  if (!variants(card).length) {
    const has = Object.keys(card.signatures ?? {}).join(', ') || 'none';
    throw new Error(`this app draws with the signature decode; it has ${has}`);
  }
  return card;
}

/** The files that decode, but for the sampler where there are others: [{name, variant, bytes}]. */
export function variants(card) {
  const models = Object.entries(card.files ?? {})
    .map(([name, facts]) => ({name, ...facts}))
    .filter(({variant, signatures}) => variant && signatures?.includes('decode'));
  const single = models.filter(({variant}) => variant !== 'sampler');
  return single.length ? single : models;
}

/** The file to decode with: of the variant asked for, else the recommended one, else the first. */
export function chosenFile(card, variant) {
  const files = variants(card);
  return (
    files.find((file) => file.variant === variant) ??
    files.find((file) => file.name === card.recommended?.file) ??
    files[0]
  );
}

/** The file that has a signature (smallest first), or null. */
export function fileWith(card, signature) {
  const files = Object.entries(card.files ?? {})
    .filter(([, facts]) => facts.signatures?.includes(signature))
    .sort(([, a], [, b]) => a.bytes - b.bytes);
  return files.length ? {name: files[0][0], ...files[0][1]} : null;
}

export const isVariational = (card) => card.architecture?.kind === 'variational';

/** "dynamic_int8" -> "dynamic int8" */
export const label = (variant) => variant.replaceAll('_', ' ');

/** "259 KB" */
export function size(bytes) {
  return bytes < 1e6
    ? `${Math.max(1, Math.round(bytes / 1e3))} kB`
    : `${(bytes / 1e6).toFixed(1)} MB`;
}

const COLUMNS = {
  frechet: 'Fréchet distance',
  coverage: 'Coverage',
  p50_ms: 'ms an image',
  load_ms: 'ms to load',
  memory_mb: 'MB of memory',
};

/**
 * What `keras-ganvae benchmark` found, as a table.
 * @returns {{head: string[], rows: string[][], notes: string[]}}: no rows where there is nothing
 */
export function measured(card) {
  const entries = Object.entries(card.metrics ?? {});
  const isRow = ([, value]) => value !== null && typeof value === 'object';
  const found = entries.filter(isRow);
  const isNumber = ([, value]) => typeof value === 'number';
  const named = found.flatMap(([, numbers]) => Object.entries(numbers).filter(isNumber));
  const keys = [...new Set([...Object.keys(COLUMNS), ...named.map(([key]) => key)])].filter((key) =>
    found.some(([, numbers]) => typeof numbers[key] === 'number'),
  );
  const figure = (value) => (typeof value === 'number' ? String(+value.toPrecision(3)) : '–');
  const told = found.flatMap(([name, numbers]) =>
    Object.values(numbers)
      .filter((value) => typeof value === 'string')
      .map((text) => `${label(name)}: ${text}`),
  );
  const rest = entries.filter(([, value]) => typeof value === 'string').map(([, text]) => text);
  return {
    head: ['', ...keys.map((key) => COLUMNS[key] ?? label(key))],
    rows: found.map(([name, numbers]) => [label(name), ...keys.map((key) => figure(numbers[key]))]),
    notes: [...told, ...rest],
  };
}

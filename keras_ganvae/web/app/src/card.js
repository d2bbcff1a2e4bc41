// model_card.json: what the app needs from it. docs/model-card.md describes the format.

const VERSION = 2;

/**
 * @param card the parsed JSON
 * @returns the card
 * @throws Error with one sentence, if the app can't use the bundle
 */
export function validated(card) {
  if (card?.schema !== 'keras-ganvae/model-card') throw new Error('its card is not a model card');
  if (card.schema_version !== VERSION) {
    throw new Error(
      `its card has version ${card.schema_version}; this app reads version ${VERSION}`,
    );
  }
  const shape = card.image?.shape;
  const fits =
    Array.isArray(shape) && shape.length === 3 && shape.every((n) => n >= 1 && n <= 4096);
  if (!fits || ![1, 3].includes(shape[2]) || !(card.latent?.size >= 1)) {
    throw new Error('its card lacks the shape of its images or the size of its latent vectors');
  }
  if (!decoders(card).length) {
    const found = Object.keys(card.signatures ?? {}).join(', ') || 'none';
    throw new Error(`this app needs the signature decode; the bundle has ${found}`);
  }
  return card;
}

/** The files that decode, the sampler only if it is the only one: [{name, variant, bytes}]. */
export function decoders(card) {
  const files = Object.entries(card.files ?? {})
    .map(([name, file]) => ({name, ...file}))
    .filter(({variant, signatures}) => variant && signatures?.includes('decode'));
  const others = files.filter(({variant}) => variant !== 'sampler');
  return others.length ? others : files;
}

/** The file to decode with: of the given variant, else the recommended one, else the first. */
export function decoderOf(card, variant) {
  const files = decoders(card);
  return (
    files.find((file) => file.variant === variant) ??
    files.find(({name}) => name === card.recommended?.file) ??
    files[0]
  );
}

/** The smallest file with a signature; null if there is none. */
export function smallestFileWith(card, signature) {
  const files = Object.entries(card.files ?? {})
    .filter(([, file]) => file.signatures?.includes(signature))
    .sort(([, a], [, b]) => a.bytes - b.bytes);
  return files.length ? {name: files[0][0], ...files[0][1]} : null;
}

export const isVariational = (card) => card.architecture?.kind === 'variational';

/** "dynamic_int8" -> "dynamic int8" */
export const label = (name) => name.replaceAll('_', ' ');

/** 265300 -> "265 kB" */
export function size(bytes) {
  return bytes < 1e6
    ? `${Math.max(1, Math.round(bytes / 1e3))} kB`
    : `${(bytes / 1e6).toFixed(1)} MB`;
}

const COLUMNS = {
  frechet: 'Fréchet distance',
  coverage: 'Coverage',
  p50_ms: 'ms/image',
  load_ms: 'Load (ms)',
  memory_mb: 'Memory (MB)',
};

/**
 * The card's metrics, which `keras-ganvae benchmark` measured, as a table.
 * @returns {{head: string[], rows: string[][], notes: string[]}}: no rows without metrics
 */
export function metricsTable(card) {
  const entries = Object.entries(card.metrics ?? {});
  const isNumber = (value) => typeof value === 'number';
  const isText = (value) => typeof value === 'string';
  const sources = entries.filter(([, value]) => value !== null && typeof value === 'object');
  const measured = sources.flatMap(([, metrics]) =>
    Object.keys(metrics).filter((key) => isNumber(metrics[key])),
  );
  const keys = [...new Set([...Object.keys(COLUMNS), ...measured])].filter((key) =>
    measured.includes(key),
  );
  const rounded = (value) => (isNumber(value) ? String(+value.toPrecision(3)) : '–');
  return {
    head: ['', ...keys.map((key) => COLUMNS[key] ?? label(key))],
    rows: sources.map(([name, metrics]) => [
      label(name),
      ...keys.map((key) => rounded(metrics[key])),
    ]),
    notes: [
      ...sources.flatMap(([name, metrics]) =>
        Object.values(metrics)
          .filter(isText)
          .map((text) => `${label(name)}: ${text}`),
      ),
      ...entries.map(([, value]) => value).filter(isText),
    ],
  };
}

// Paths through a latent space, as in keras_ganvae/plots/latent_paths.py.

export const DRAWS = 5000; // that percentiles are taken of
const MOST_DECODES = 1024; // for a ranking, so that a slow phone is done in seconds
const FLAT = 1e-3; // sine of an angle too small for a circle to have a plane

/** A point between two latents; `share` from 0 to 1. */
export function between(start, end, share, straight) {
  const [a, b] = straight ? [1 - share, share] : circleWeights(start, end, share);
  return start.map((value, j) => a * value + b * end[j]);
}

function circleWeights(start, end, share) {
  const cosine = dot(start, end) / Math.sqrt(dot(start, start) * dot(end, end));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) >= FLAT)) return [1 - share, share];
  return [Math.sin((1 - share) * angle), Math.sin(share * angle)].map((w) => w / Math.sin(angle));
}

function dot(a, b) {
  return a.reduce((sum, value, j) => sum + value * b[j], 0);
}

/** z with another value in dimension j. */
export function moved(z, j, value) {
  const copy = z.slice();
  copy[j] = value;
  return copy;
}

/**
 * What the prior gives each dimension.
 * @param draws many z
 * @returns {{mean: Float32Array, percentile: (j, percent) => number}}
 */
export function statistics(draws) {
  const size = draws[0].length;
  const sorted = Array.from({length: size}, (_, j) => Float32Array.from(draws, (z) => z[j]).sort());
  return {
    mean: Float32Array.from(
      sorted,
      (column) => column.reduce((sum, v) => sum + v, 0) / column.length,
    ),
    percentile(j, percent) {
      const place = (percent / 100) * (draws.length - 1);
      const low = Math.floor(place);
      const high = Math.min(low + 1, draws.length - 1);
      return sorted[j][low] + (place - low) * (sorted[j][high] - sorted[j][low]);
    },
  };
}

/**
 * Latent dimensions, the one that changes the picture most first: by the mean squared
 * difference between its 5th and 95th percentile, over a few draws for the others.
 * @param decode async, z -> pixels
 * @param pause async, called between steps so that the page stays alive
 */
export async function mostActive(decode, draws, {percentile}, pause) {
  const size = draws[0].length;
  const bases = draws.slice(0, Math.min(16, Math.max(2, Math.floor(MOST_DECODES / (2 * size)))));
  const change = new Float64Array(size);
  for (let j = 0; j < size; j++) {
    for (const base of bases) {
      const low = await decode(moved(base, j, percentile(j, 5)));
      const high = await decode(moved(base, j, percentile(j, 95)));
      for (let i = 0; i < low.length; i++) change[j] += (high[i] - low[i]) ** 2;
    }
    await pause();
  }
  return [...change.keys()].sort((a, b) => change[b] - change[a]);
}

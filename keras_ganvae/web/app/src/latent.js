// Paths through a latent space, as in keras_ganvae/plots/latent_paths.py.

export const PRIOR_DRAWS = 5000; // for percentiles
const MAX_DECODES = 1024; // per ranking: a few seconds on a slow phone
const MIN_SINE = 1e-3; // of the angle between two vectors that span a plane

/** A point between two latent vectors, linear or on a great circle; t from 0 to 1. */
export function interpolate(start, end, t, linear) {
  const [a, b] = linear ? [1 - t, t] : sphericalWeights(start, end, t);
  return start.map((value, j) => a * value + b * end[j]);
}

/** Slerp (Shoemake 1985); linear for parallel vectors. */
function sphericalWeights(start, end, t) {
  const cosine = dot(start, end) / Math.sqrt(dot(start, start) * dot(end, end));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) >= MIN_SINE)) return [1 - t, t];
  return [Math.sin((1 - t) * angle), Math.sin(t * angle)].map((w) => w / Math.sin(angle));
}

function dot(a, b) {
  return a.reduce((sum, value, j) => sum + value * b[j], 0);
}

/** A copy of z with another value in dimension j. */
export function withValue(z, j, value) {
  const copy = z.slice();
  copy[j] = value;
  return copy;
}

/**
 * Mean and percentiles of each latent dimension.
 * @param draws many z of the prior
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
 * Latent dimensions, most active first: ranked by the mean squared difference between the images
 * at the 5th and the 95th percentile, averaged over a few draws of the other dimensions.
 * @param decode async, z -> pixels
 * @param pause async, called between dimensions so that the page stays responsive
 */
export async function rankDimensions(decode, draws, {percentile}, pause) {
  const size = draws[0].length;
  const bases = draws.slice(0, Math.min(16, Math.max(2, Math.floor(MAX_DECODES / (2 * size)))));
  const activity = new Float64Array(size);
  for (let j = 0; j < size; j++) {
    for (const base of bases) {
      const low = await decode(withValue(base, j, percentile(j, 5)));
      const high = await decode(withValue(base, j, percentile(j, 95)));
      for (let i = 0; i < low.length; i++) activity[j] += (high[i] - low[i]) ** 2;
    }
    await pause();
  }
  return [...activity.keys()].sort((a, b) => activity[b] - activity[a]);
}

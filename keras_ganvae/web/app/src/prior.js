// The prior: N(0, I) or a mixture of Gaussians, as in the card.
import {choice, choiceThresholds, imageSeeds, normals} from './noise.js';

/**
 * @param latent a card's `latent`
 * @returns {{size, name, linear, draw}} `draw(seed)` gives the z of one image, Float32Array;
 *   `linear`: interpolate between draws on a line, not on a great circle
 */
export function createPrior(latent) {
  const {size, distribution, mixture} = latent;
  if (distribution !== 'mixture') {
    return {size, name: 'N(0, I)', linear: false, draw: (seed) => normals(seed, size)};
  }
  const {means, factors} = mixture;
  const weights = mixture.weights.map(Math.fround);
  const thresholds = choiceThresholds(weights);
  return {
    size,
    name: weights.length === 1 ? 'a Gaussian' : `a mixture of ${weights.length} Gaussians`,
    linear: true,
    draw(seed) {
      const k = choice(seed, thresholds, size);
      const epsilon = normals(seed, size);
      return Float32Array.from({length: size}, (_, row) => {
        let z = means[k][row];
        const start = (row * (row + 1)) / 2; // of the row in the packed lower triangle
        for (let j = 0; j <= row; j++) z += factors[k][start + j] * epsilon[j];
        return z;
      });
    },
  };
}

/** The z of a seed's first `count` images. */
export function drawMany(prior, seed, count) {
  return Array.from(imageSeeds(seed, count), prior.draw);
}

/** The z of a seed's image i. */
export function drawOne(prior, seed, i) {
  return prior.draw(imageSeeds(seed, i + 1)[i]);
}

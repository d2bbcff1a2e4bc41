// What z is drawn from: N(0, I) or a mixture of Gaussians, as the card describes it.
import {choice, choiceThresholds, imageSeeds, normals} from './noise.js';

/**
 * @param latent of a model card
 * @returns {{size, name, draw}} `draw(seed)` gives one z, Float32Array, of an image's seed
 */
export function createPrior(latent) {
  const {size, distribution, mixture} = latent;
  if (distribution !== 'mixture') {
    return {size, name: 'N(0, I)', straight: false, draw: (seed) => normals(seed, size)};
  }
  const {means, factors} = mixture;
  const weights = mixture.weights.map(Math.fround);
  const thresholds = choiceThresholds(weights);
  return {
    size,
    name: weights.length === 1 ? 'a Gaussian' : `a mixture of ${weights.length} Gaussians`,
    straight: true, // the way between two draws
    draw(seed) {
      const k = choice(seed, thresholds, size);
      const epsilon = normals(seed, size);
      return Float32Array.from({length: size}, (_, row) => {
        let z = means[k][row];
        const start = (row * (row + 1)) / 2; // of the row in the lower triangle
        for (let j = 0; j <= row; j++) z += factors[k][start + j] * epsilon[j];
        return z;
      });
    },
  };
}

/** The z of the first `count` images of a seed. */
export function drawMany(prior, seed, count) {
  return Array.from(imageSeeds(seed, count), prior.draw);
}

/** The z of image i of a seed. */
export function drawOne(prior, seed, i) {
  return prior.draw(imageSeeds(seed, i + 1)[i]);
}

// Random numbers as a pure function of a 32-bit seed, equal to keras_ganvae/priors/random.py.

const GOLDEN = 0x9e3779b1;
const BITS = 23; // per uniform number
const PERIOD = 2 ** BITS;
const TURN = Math.fround(2 * Math.PI);

/** The seeds of a draw's images, Int32Array (count). */
export function imageSeeds(seed, count) {
  const start = Math.imul(seed >>> 0, GOLDEN);
  return Int32Array.from({length: count}, (_, i) => start + i);
}

/** A bijective hash of 32 bits. */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** Uniform integers in [-2^22, 2^22) from the words start, start + 1, ... */
export function integers(seed, start, count) {
  const scrambled = mix(seed);
  return Int32Array.from(
    {length: count},
    (_, i) => mix(scrambled + Math.imul(start + i, GOLDEN)) >> (32 - BITS),
  );
}

/** N(0, I), Float32Array (dimensions), by the Box-Muller transform (1958). */
export function normals(seed, dimensions) {
  const pairs = Math.ceil(dimensions / 2);
  const uniform = [...integers(seed, 0, 2 * pairs)].map((each) => (each + 0.5) / PERIOD);
  const z = new Float32Array(2 * pairs);
  for (let j = 0; j < pairs; j++) {
    const radius = Math.sqrt(-2 * Math.log(uniform[j] + 0.5));
    // Rounded to float32 as in NumPy: this rounding dominates the error of z.
    const angle = Math.fround(TURN * uniform[pairs + j]);
    z[j] = radius * Math.cos(angle);
    z[pairs + j] = radius * Math.sin(angle);
  }
  return z.slice(0, dimensions);
}

/** The mixture component that a seed draws from. */
export function choice(seed, thresholds, dimensions) {
  const [word] = integers(seed, 2 * Math.ceil(dimensions / 2), 1);
  return thresholds.filter((threshold) => word >= threshold).length;
}

/** The K - 1 values of `integers` at which the next of K components begins. */
export function choiceThresholds(weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  return weights.slice(0, -1).map((weight) => {
    sum += weight;
    return Math.round((sum / total) * PERIOD - PERIOD / 2);
  });
}

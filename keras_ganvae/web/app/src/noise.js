// Random numbers as a pure function of a 32-bit seed: keras_ganvae/priors/random.py, number for number.

const GOLDEN = 0x9e3779b1;
const BITS = 23; // of a word that make a uniform
const PERIOD = 2 ** BITS;
const TURN = Math.fround(2 * Math.PI);

/** The seeds of the images of one draw, Int32Array (count). */
export function imageSeeds(seed, count) {
  const start = Math.imul(seed >>> 0, GOLDEN);
  return Int32Array.from({length: count}, (_, i) => start + i);
}

/** Scramble 32 bits; every input gives another output. */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** Integers in [-2^22, 2^22), all equally likely, from the words start, start + 1, ... */
export function integers(seed, start, count) {
  const scrambled = mix(seed);
  return Int32Array.from(
    {length: count},
    (_, i) => mix(scrambled + Math.imul(start + i, GOLDEN)) >> (32 - BITS),
  );
}

/** N(0, I), Float32Array (dimensions), by Box and Muller's transform (1958). */
export function normals(seed, dimensions) {
  const pairs = Math.ceil(dimensions / 2);
  const uniform = [...integers(seed, 0, 2 * pairs)].map((each) => (each + 0.5) / PERIOD);
  const z = new Float32Array(2 * pairs);
  for (let j = 0; j < pairs; j++) {
    const radius = Math.sqrt(-2 * Math.log(uniform[j] + 0.5));
    // Rounded as numpy's float32 is: the angle's rounding is what a z differs by most.
    const angle = Math.fround(TURN * uniform[pairs + j]);
    z[j] = radius * Math.cos(angle);
    z[pairs + j] = radius * Math.sin(angle);
  }
  return z.slice(0, dimensions);
}

/** Which component of a mixture a seed draws from. */
export function choice(seed, thresholds, dimensions) {
  const [word] = integers(seed, 2 * Math.ceil(dimensions / 2), 1);
  return thresholds.filter((threshold) => word >= threshold).length;
}

/** Where, among the values of `integers`, one of K components ends and the next begins. */
export function choiceThresholds(weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  return weights.slice(0, -1).map((weight) => {
    sum += weight;
    return Math.round((sum / total) * PERIOD - PERIOD / 2);
  });
}

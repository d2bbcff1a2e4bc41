// Does this page compute what the Keras model does? Every signature of every file, against
// golden.npz, as `keras-ganvae verify` compares them.
import {readNpz} from './npz.js';

// signature -> its input and the array that goes in, output -> array to compare
const CHECKS = {
  decode: ['latent', 'latents', {image: 'images'}],
  decode_16: ['latent', 'latents', {image: 'images'}],
  sample: ['seed', 'seeds', {latent: 'seed_latents', image: 'seed_images'}],
  encode: ['image', 'encode_images', {mean: 'means', log_variance: 'log_variances'}],
  reconstruct: ['image', 'encode_images', {reconstruction: 'reconstructions'}],
};
const MOST_FLOAT_ERROR = 1e-4; // WebAssembly adds in another order
const MOST_LATENT_ERROR = 1e-5; // the same integers on every device
const MOST_HALF_CODE_ERROR = 2e-2; // of an encoder with float16 weights, as `verify` has it
const EXACT = ['float32', 'sampler'];

/** max_error, mean_error, psnr (dB) and correlation of two arrays. */
export function parity(values, golden) {
  let [most, sum, squares] = [0, 0, 0];
  const mean = (array) => array.reduce((total, v) => total + v, 0) / array.length;
  const [a0, b0] = [mean(values), mean(golden)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < golden.length; i++) {
    const error = Math.abs(values[i] - golden[i]);
    most = Math.max(most, error); // a NaN stays
    sum += error;
    squares += error ** 2;
    ab += (values[i] - a0) * (golden[i] - b0);
    aa += (values[i] - a0) ** 2;
    bb += (golden[i] - b0) ** 2;
  }
  return {
    max_error: most,
    mean_error: sum / golden.length,
    psnr: -10 * Math.log10(squares / golden.length),
    correlation: aa * bb > 0 ? ab / Math.sqrt(aa * bb) : Number(aa === bb),
  };
}

/** Does a measurement keep the limits? Maxima of errors, minima of the others. */
export function keeps(measured, limits) {
  return Object.entries(limits).every(([name, limit]) =>
    name.endsWith('_error') ? measured[name] <= limit : measured[name] >= limit,
  );
}

/**
 * The limits of one output of a file: the card's, but for float32 and what is no image.
 * @param facts of a file, by its card
 */
export function limitsOf({variant, weights, tolerance}, signature, output) {
  if (output === 'latent') return {max_error: MOST_LATENT_ERROR};
  const exact = weights === 'float32' && EXACT.includes(variant);
  if (exact) return {max_error: MOST_FLOAT_ERROR};
  if (signature === 'encode') return {max_error: MOST_HALF_CODE_ERROR};
  return Object.fromEntries(
    Object.entries(tolerance ?? {}).filter(([, limit]) => typeof limit === 'number'),
  );
}

/**
 * Check a bundle.
 * @param onRow called with each {file, signature, output, measured, passed, error} as it is known
 * @returns all rows
 */
export async function check(bundle, accelerator, onRow) {
  const rows = [];
  const add = (row) => {
    rows.push(row);
    onRow(row);
  };
  const golden = await readNpz((await bundle.fetchFile('golden.npz')).buffer);
  add(checkPrior(bundle.prior, golden));
  for (const [name, facts] of Object.entries(bundle.card.files)) {
    if (!facts.variant) continue;
    let model;
    try {
      // The sampler's integers run on the CPU alone.
      const on = facts.variant === 'sampler' ? 'wasm' : accelerator;
      model = await bundle.compile(name, on);
      for (const [signature, ports] of Object.entries(model.signatures)) {
        for await (const row of checkSignature(model, signature, ports, golden, facts)) {
          add({file: name, ...row});
        }
      }
    } catch (error) {
      add({file: name, signature: '', output: '', passed: false, error: error.message});
    } finally {
      await model?.close();
    }
  }
  return rows;
}

function checkPrior(prior, golden) {
  const drawn = Array.from(golden.seeds.data, (seed) => [...prior.draw(seed)]).flat();
  const measured = parity(drawn, golden.seed_latents.data);
  const passed = measured.max_error <= MOST_LATENT_ERROR;
  return {file: 'this app', signature: 'seed', output: 'latent', measured, passed};
}

async function* checkSignature(model, signature, {inputs}, golden, facts) {
  if (!(signature in CHECKS)) {
    yield {signature, output: '', passed: null, error: 'not known to this app'};
    return;
  }
  const [input, given, wanted] = CHECKS[signature];
  if (!golden[given]) throw new Error(`golden.npz has no ${given}`);
  const {data} = golden[given];
  const length = inputs[input].reduce((product, n) => product * n, 1);
  const parts = [];
  for (let start = 0; start < data.length; start += length) {
    const slice = data.slice(start, start + length);
    parts.push(await model.run(signature, {[input]: [slice, inputs[input]]}));
  }
  for (const [output, name] of Object.entries(wanted)) {
    const values = Float32Array.from(parts.flatMap((part) => [...part[output]]));
    const expected = golden[name].data;
    if (values.length !== expected.length) throw new Error(`${output} has another size`);
    const measured = parity(values, expected);
    yield {
      signature,
      output,
      measured,
      passed: keeps(measured, limitsOf(facts, signature, output)),
    };
  }
}

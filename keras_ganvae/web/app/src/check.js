// Does this page compute what the Keras model does? Runs every signature that the card lists and
// compares its outputs with golden.npz, as `keras-ganvae verify` does.
import {readNpz} from './npz.js';

const MAX_FLOAT32_ERROR = 1e-4; // WebAssembly sums in another order
const MAX_LATENT_ERROR = 1e-5; // every device draws the same integers
const MAX_FLOAT16_ENCODER_ERROR = 2e-2; // as `verify`
const FLOAT32_VARIANTS = ['float32', 'sampler'];

/**
 * The arrays of golden.npz for the tensors of one signature: docs/model-card.md has the rule.
 * @param signature {inputs, outputs} by tensor name, as in the card
 * @returns {{inputs, outputs}} tensor name -> array name
 */
export function goldenNames({inputs, outputs}) {
  const prefix = 'seed' in inputs ? 'seed_' : '';
  const names = (tensors, nameOf) =>
    Object.fromEntries(Object.keys(tensors).map((tensor) => [tensor, nameOf(tensor)]));
  return {
    inputs: names(inputs, (tensor) => (tensor === 'image' ? 'encode_images' : `${tensor}s`)),
    outputs: names(outputs, (tensor) => `${prefix}${tensor}s`),
  };
}

/** max_error, mean_error, psnr (dB) and Pearson correlation of two arrays. */
export function parity(values, golden) {
  let [maximum, sum, squares] = [0, 0, 0];
  const mean = (array) => array.reduce((total, v) => total + v, 0) / array.length;
  const [a0, b0] = [mean(values), mean(golden)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < golden.length; i++) {
    const error = Math.abs(values[i] - golden[i]);
    maximum = Math.max(maximum, error); // NaN if any error is
    sum += error;
    squares += error ** 2;
    ab += (values[i] - a0) * (golden[i] - b0);
    aa += (values[i] - a0) ** 2;
    bb += (golden[i] - b0) ** 2;
  }
  return {
    max_error: maximum,
    mean_error: sum / golden.length,
    psnr: -10 * Math.log10(squares / golden.length),
    correlation: aa * bb > 0 ? ab / Math.sqrt(aa * bb) : Number(aa === bb),
  };
}

/** Whether a measurement is within limits: errors have maxima, all others minima. */
export function isWithin(measured, limits) {
  return Object.entries(limits).every(([name, limit]) =>
    name.endsWith('_error') ? measured[name] <= limit : measured[name] >= limit,
  );
}

/**
 * The limits of one output of a file: its tolerance in the card, except for float32 files and
 * for outputs that are not images.
 * @param file an entry of the card's files
 */
export function limitsOf({variant, weights, tolerance}, signature, output) {
  if (output === 'latent') return {max_error: MAX_LATENT_ERROR};
  const exact = weights === 'float32' && FLOAT32_VARIANTS.includes(variant);
  if (exact) return {max_error: MAX_FLOAT32_ERROR};
  if (signature === 'encode') return {max_error: MAX_FLOAT16_ENCODER_ERROR};
  return Object.fromEntries(
    Object.entries(tolerance ?? {}).filter(([, limit]) => typeof limit === 'number'),
  );
}

/**
 * Check a bundle.
 * @param onRow called with each {file, signature, output, measured, passed, error} as soon as it
 *   is known; `passed` is null for a signature that was skipped
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
  for (const [name, file] of Object.entries(bundle.card.files)) {
    if (!file.variant) continue;
    let model;
    try {
      // WebGPU lacks the sampler's integer operators.
      model = await bundle.compile(name, file.variant === 'sampler' ? 'wasm' : accelerator);
      for (const signature of file.signatures) {
        const {signatures} = bundle.card;
        const found = await checkSignature(model, signature, signatures[signature], golden, file);
        for (const row of found) add({file: name, signature, ...row});
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
  // The latter draw from every component of a mixture.
  const pairs = [
    ['seeds', 'seed_latents'],
    ['component_seeds', 'component_latents'],
  ].filter(([name]) => name in golden);
  const drawn = pairs.flatMap(([name]) =>
    Array.from(golden[name].data, (seed) => [...prior.draw(seed)]).flat(),
  );
  const measured = parity(
    drawn,
    pairs.flatMap(([, name]) => [...golden[name].data]),
  );
  const passed = measured.max_error <= MAX_LATENT_ERROR;
  return {file: 'this app', signature: 'seed', output: 'latent', measured, passed};
}

async function checkSignature(model, signature, tensors, golden, file) {
  if (!tensors) return [{output: '', passed: null, error: 'the card does not describe it'}];
  const {inputs, outputs} = tensors;
  const names = goldenNames(tensors);
  const missing = [...Object.values(names.inputs), ...Object.values(names.outputs)].find(
    (name) => !(name in golden),
  );
  if (missing) return [{output: '', passed: null, error: `golden.npz has no ${missing}`}];
  const batches = await runInBatches(
    model,
    signature,
    inputs,
    (name) => golden[names.inputs[name]],
  );
  return Object.keys(outputs).map((output) => {
    const values = Float32Array.from(batches.flatMap((batch) => [...batch[output]]));
    const expected = golden[names.outputs[output]].data;
    if (values.length !== expected.length) throw new Error(`${output} has another size`);
    const measured = parity(values, expected);
    return {output, measured, passed: isWithin(measured, limitsOf(file, signature, output))};
  });
}

/** Run all rows of the golden inputs, as many at once as the signature's batch size. */
async function runInBatches(model, signature, inputs, goldenOf) {
  const tensors = Object.entries(inputs).map(([name, {shape}]) => ({
    name,
    shape,
    length: shape.reduce((product, n) => product * n, 1),
    data: goldenOf(name).data,
  }));
  const batches = [];
  for (let i = 0; i * tensors[0].length < tensors[0].data.length; i++) {
    const batch = tensors.map(({name, shape, length, data}) => [
      name,
      [data.slice(i * length, (i + 1) * length), shape],
    ]);
    batches.push(await model.run(signature, Object.fromEntries(batch)));
  }
  return batches;
}

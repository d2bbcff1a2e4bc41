// An open bundle: its card, its prior, and the models of its files.
import * as cards from './card.js';
import {medianTime} from './frames.js';
import {PRIOR_DRAWS, rankDimensions, statistics} from './latent.js';
import {createPrior, drawMany} from './prior.js';
import {compile} from './runtime.js';

const MAX_GPU_ERROR = 0.02; // mean absolute error of pixels; more means a broken graphics driver

/** The bytes of a bundle's file; its size and checksum must be those in the card. */
async function fetchFile(folder, name, expected) {
  const bytes = new Uint8Array(await (await fetched(`${folder}/${name}`)).arrayBuffer());
  if (expected && bytes.length !== expected.bytes) {
    throw new Error(
      `${name} is damaged: it has ${bytes.length} bytes instead of ${expected.bytes}`,
    );
  }
  // Browsers offer SHA-256 on secure pages only.
  if (expected?.sha256 && crypto.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (hex !== expected.sha256) {
      throw new Error(`${name} is damaged: its checksum is not the one in the card`);
    }
  }
  return bytes;
}

async function fetched(address) {
  let response;
  try {
    response = await fetch(address);
  } catch {
    throw new Error(`${address} could not be loaded: is there a connection?`);
  }
  if (!response.ok) throw new Error(`${address} is missing (${response.status})`);
  return response;
}

export async function fetchJson(address) {
  const response = await fetched(address);
  try {
    return await response.json();
  } catch {
    throw new Error(`${address} is damaged: it is not JSON`);
  }
}

/** Open an entry of bundles/index.json; its models are loaded on first use. */
export async function openBundle({name, folder}) {
  return new Bundle(name, folder, cards.validated(await fetchJson(`${folder}/model_card.json`)));
}

async function decode(model, z) {
  const {image} = await model.run('decode', {latent: [z, [1, z.length]]});
  return image;
}

class Bundle {
  #decoder = null;
  #cpuModels = new Map(); // file name -> promise of its model
  #ranking = null;
  #statistics = null;

  constructor(name, folder, card) {
    Object.assign(this, {name, folder, card});
    this.prior = createPrior(card.latent);
    this.shape = card.image.shape;
  }

  fetchFile(name) {
    return fetchFile(this.folder, name, this.card.files[name]);
  }

  /**
   * Load the file to decode with; on the CPU if the accelerator fails.
   * @returns {{file, accelerator, warning}}: the accelerator in use, and why the other failed
   */
  async loadDecoder(variant, accelerator) {
    const file = cards.decoderOf(this.card, variant);
    const bytes = await this.fetchFile(file.name);
    let [model, warning] = [null, ''];
    if (accelerator === 'webgpu') {
      try {
        model = await this.#compiledForGpu(bytes);
      } catch (error) {
        const reason = error?.message?.split('\n')[0] ?? String(error);
        warning = `The GPU can't be used: ${reason}. Running on the CPU.`;
        accelerator = 'wasm';
      }
    }
    model ??= await this.#compiled(bytes, file.name);
    const before = this.#decoder;
    this.#decoder = model;
    await before?.close();
    this.accelerator = accelerator;
    return {file, accelerator, warning};
  }

  async #compiled(bytes, name, accelerator = 'wasm') {
    try {
      return await compile(bytes, accelerator);
    } catch (error) {
      throw new Error(`${name} can't be run: ${error?.message ?? error}`);
    }
  }

  /** On WebGPU, if it gives the same image as the CPU. */
  async #compiledForGpu(bytes) {
    const model = await compile(bytes, 'webgpu');
    const cpu = await compile(bytes, 'wasm');
    try {
      const z = this.prior.draw(0);
      const [image, expected] = await Promise.all([model, cpu].map((each) => decode(each, z)));
      const error = image.reduce((sum, v, i) => sum + Math.abs(v - expected[i]), 0) / image.length;
      if (!(error < MAX_GPU_ERROR)) throw new Error('its images differ from those of the CPU');
      return model;
    } catch (error) {
      await model.close();
      throw error;
    } finally {
      await cpu.close();
    }
  }

  /** The image of one z: pixels, Float32Array. */
  decode(z) {
    return decode(this.#decoder, z);
  }

  /** A file's model on the CPU, loaded once. */
  #cpuModel(name) {
    if (!this.#cpuModels.has(name)) {
      const loading = this.fetchFile(name).then((bytes) => this.#compiled(bytes, name));
      loading.catch(() => this.#cpuModels.delete(name));
      this.#cpuModels.set(name, loading);
    }
    return this.#cpuModels.get(name);
  }

  /** A new model of a file, which the caller closes. */
  async compile(name, accelerator) {
    return this.#compiled(await this.fetchFile(name), name, accelerator);
  }

  has(signature) {
    return cards.smallestFileWith(this.card, signature) !== null;
  }

  async #runOnImage(signature, pixels) {
    const model = await this.#cpuModel(cards.smallestFileWith(this.card, signature).name);
    return model.run(signature, {image: [pixels, [1, ...this.shape]]});
  }

  async reconstruct(pixels) {
    return (await this.#runOnImage('reconstruct', pixels)).reconstruction;
  }

  async encode(pixels) {
    return (await this.#runOnImage('encode', pixels)).mean;
  }

  /** The prior's mean and percentiles. */
  get statistics() {
    this.#statistics ??= statistics(drawMany(this.prior, 0, PRIOR_DRAWS));
    return this.#statistics;
  }

  /** Latent dimensions, most active first; measured once, with the decoder in use. */
  ranking(pause) {
    if (!this.#ranking) {
      const draws = drawMany(this.prior, 0, 16);
      this.#ranking = rankDimensions((z) => this.decode(z), draws, this.statistics, pause);
      this.#ranking.catch(() => (this.#ranking = null));
    }
    return this.#ranking;
  }

  /** Milliseconds per image. */
  latency() {
    const z = this.prior.draw(0);
    return medianTime(() => this.decode(z));
  }

  async close() {
    const models = [...this.#cpuModels.values()];
    this.#cpuModels.clear();
    await this.#decoder?.close();
    for (const loading of models) await (await loading.catch(() => null))?.close();
  }
}

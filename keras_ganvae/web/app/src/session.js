// One bundle, opened: its card, its prior, and the models of its files.
import * as cards from './card.js';
import {typicalTime} from './frames.js';
import {DRAWS, mostActive, statistics} from './latent.js';
import {createPrior, drawMany} from './prior.js';
import {compile} from './runtime.js';

const UNLIKE = 0.02; // mean error of pixels that tells a broken graphics driver

/** The bytes of a bundle's file, of the size and hash that its card states. */
async function fetchFile(folder, name, facts) {
  const bytes = new Uint8Array(await (await fetched(`${folder}/${name}`)).arrayBuffer());
  if (facts && bytes.length !== facts.bytes) {
    throw new Error(`${name} is damaged: it has ${bytes.length} bytes instead of ${facts.bytes}`);
  }
  // Only secure pages may hash.
  if (facts?.sha256 && crypto.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (hex !== facts.sha256) throw new Error(`${name} is damaged: it is not the file of its card`);
  }
  return bytes;
}

async function fetched(address) {
  let response;
  try {
    response = await fetch(address);
  } catch {
    throw new Error(`${address} could not be fetched: is there a connection?`);
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

/** Open a bundle of bundles/index.json; its models are loaded when they are asked for. */
export async function openBundle({name, folder}) {
  return new Bundle(name, folder, cards.checked(await fetchJson(`${folder}/model_card.json`)));
}

class Bundle {
  #decoder = null;
  #others = new Map(); // file -> promise of its model, on the CPU
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
   * Load the file to decode with.
   * @returns {{file, accelerator, warning}}: what it runs on, and why not on what was asked for
   */
  async use(variant, accelerator) {
    const file = cards.chosenFile(this.card, variant);
    const bytes = await this.fetchFile(file.name);
    let [model, warning] = [null, ''];
    if (accelerator === 'webgpu') {
      try {
        model = await this.#onGpu(bytes);
      } catch (error) {
        const reason = error?.message?.split('\n')[0] ?? String(error);
        warning = `The graphics processor can't be used: ${reason}. Running on the CPU.`;
        accelerator = 'wasm';
      }
    }
    model ??= await this.#compiled(bytes, file.name);
    const before = this.#decoder;
    this.#decoder = model;
    await before?.close();
    this.used = {file, accelerator, warning};
    return this.used;
  }

  async #compiled(bytes, name, accelerator = 'wasm') {
    try {
      return await compile(bytes, accelerator);
    } catch (error) {
      throw new Error(`${name} can't be run: ${error?.message ?? error}`);
    }
  }

  /** On WebGPU, once it has drawn what the CPU draws. */
  async #onGpu(bytes) {
    const model = await compile(bytes, 'webgpu');
    const cpu = await compile(bytes, 'wasm');
    try {
      const z = this.prior.draw(0);
      const [seen, expected] = await Promise.all([model, cpu].map((each) => this.#decode(each, z)));
      const error = seen.reduce((sum, v, i) => sum + Math.abs(v - expected[i]), 0) / seen.length;
      if (!(error < UNLIKE)) throw new Error('it draws another picture than the CPU');
      return model;
    } catch (error) {
      await model.close();
      throw error;
    } finally {
      await cpu.close();
    }
  }

  /** Pixels, Float32Array, of one z. */
  decode(z) {
    return this.#decode(this.#decoder, z);
  }

  async #decode(model, z) {
    const {image} = await model.run('decode', {latent: [z, [1, z.length]]});
    return image;
  }

  /** A loaded file on the CPU, kept. */
  model(name) {
    if (!this.#others.has(name)) {
      const loading = this.fetchFile(name).then((bytes) => this.#compiled(bytes, name));
      loading.catch(() => this.#others.delete(name));
      this.#others.set(name, loading);
    }
    return this.#others.get(name);
  }

  /** Another instance, for whoever closes it. */
  async compile(name, accelerator) {
    return this.#compiled(await this.fetchFile(name), name, accelerator);
  }

  can(signature) {
    return cards.fileWith(this.card, signature) !== null;
  }

  async #ofImage(signature, pixels) {
    const model = await this.model(cards.fileWith(this.card, signature).name);
    return model.run(signature, {image: [pixels, [1, ...this.shape]]});
  }

  async reconstruct(pixels) {
    return (await this.#ofImage('reconstruct', pixels)).reconstruction;
  }

  async encode(pixels) {
    return (await this.#ofImage('encode', pixels)).mean;
  }

  /** Percentiles of the prior and its mean. */
  get statistics() {
    this.#statistics ??= statistics(drawMany(this.prior, 0, DRAWS));
    return this.#statistics;
  }

  /** Dimensions, most active first; measured once, with the file in use. */
  ranking(pause) {
    if (!this.#ranking) {
      const draws = drawMany(this.prior, 0, 16);
      this.#ranking = mostActive((z) => this.decode(z), draws, this.statistics, pause);
      this.#ranking.catch(() => (this.#ranking = null));
    }
    return this.#ranking;
  }

  /** Milliseconds that an image takes. */
  time() {
    const z = this.prior.draw(0);
    return typicalTime(() => this.decode(z));
  }

  async close() {
    const others = [...this.#others.values()];
    this.#others.clear();
    await this.#decoder?.close();
    for (const loading of others) await (await loading.catch(() => null))?.close();
  }
}

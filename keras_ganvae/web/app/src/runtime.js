// LiteRT.js behind three calls: start it, load a model, run a signature.
import {Environment, loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';

/** Lines that the runtime wrote, for the About view. */
export const log = [];
const MOST_LINES = 200;

function note(...parts) {
  if (log.length < MOST_LINES) log.push(parts.join(' '));
}

let started;
let gpu; // the environment with a WebGPU device

/** Load the runtime once. Rejects with an Error that says why it can't be. */
export function start() {
  started ??= load().catch((error) => {
    started = undefined;
    throw error instanceof Error ? error : new Error('its files could not be loaded');
  });
  return started;
}

async function load() {
  // Its C++ logs go to the console as errors unless this object takes them.
  self.Module = {print: note, printErr: note};
  const {warn} = console;
  // LiteRT.js asks for a graphics device as it starts and warns if there is none. Ours is asked
  // for when somebody wants it: `device`.
  Object.defineProperty(navigator, 'gpu', {value: undefined, configurable: true});
  console.warn = note;
  try {
    await loadLiteRt(new URL(RUNTIME, document.baseURI).href);
  } finally {
    delete navigator.gpu;
    console.warn = warn;
  }
}

export const webGpu = () => 'gpu' in navigator && Boolean(navigator.gpu);

async function gpuEnvironment() {
  if (gpu) return gpu;
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error('this browser found no graphics adapter');
  const {maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage} =
    adapter.limits;
  const device = await adapter.requestDevice({
    requiredLimits: {maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage},
  });
  device.lost.then(() => (gpu = undefined));
  gpu = await Environment.create({webGpuDevice: device});
  return gpu;
}

/**
 * Compile a .tflite file.
 * @param bytes Uint8Array
 * @param accelerator "wasm" or "webgpu"
 */
export async function compile(bytes, accelerator) {
  await start();
  if (accelerator !== 'webgpu') return new Model(await loadAndCompile(bytes, {accelerator}));
  const environment = await gpuEnvironment();
  const compiled = await loadAndCompile(bytes, {
    accelerator,
    environment,
    gpuOptions: {precision: 'fp32'}, // these models are small: the same picture matters more
  });
  // It falls back to the CPU by itself, and only warns.
  if (compiled.options?.accelerator !== 'webgpu' || !compiled.isFullyAccelerated) {
    compiled.delete();
    throw new Error('it can not run all of this model');
  }
  return new Model(compiled, environment);
}

/** A compiled file. Runs one at a time; its memory is freed by `close`. */
class Model {
  #compiled;
  #environment;
  #last = Promise.resolve();

  constructor(compiled, environment) {
    this.#compiled = compiled;
    this.#environment = environment;
  }

  /** signature -> {inputs, outputs}, each name -> shape */
  get signatures() {
    const shapes = (details) =>
      Object.fromEntries(details.map(({name, shape}) => [name, Array.from(shape)]));
    return Object.fromEntries(
      Object.entries(this.#compiled.signatures).map(([key, signature]) => [
        key,
        {
          inputs: shapes(signature.getInputDetails()),
          outputs: shapes(signature.getOutputDetails()),
        },
      ]),
    );
  }

  /**
   * @param inputs name -> [typed array, shape]
   * @returns name -> typed array, copies of the outputs
   */
  run(signature, inputs) {
    const result = this.#last.then(() => this.#run(signature, inputs));
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(signature, inputs) {
    if (!this.#compiled) throw new Error('this model was closed');
    const tensors = {};
    let outputs = {};
    try {
      for (const [name, [data, shape]] of Object.entries(inputs)) {
        tensors[name] = new Tensor(data, shape, this.#environment);
      }
      outputs = await this.#compiled.run(signature, tensors);
      const copies = {};
      for (const [name, tensor] of Object.entries(outputs)) copies[name] = await tensor.data();
      return copies;
    } finally {
      // WebAssembly's memory is not garbage collected.
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) tensor.delete();
    }
  }

  async close() {
    await this.#last;
    this.#compiled?.delete();
    this.#compiled = undefined;
  }
}

// LiteRT.js: start it, compile a model, run a signature.
import {Environment, loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';

/** What the runtime logged, for the About view. */
export const log = [];
const MAX_LINES = 200;

function note(...parts) {
  if (log.length < MAX_LINES) log.push(parts.join(' '));
}

let started;
let gpu; // the environment of the WebGPU device

/** Load the runtime once. Rejects with an Error that says why it can't be loaded. */
export function start() {
  started ??= load().catch((error) => {
    started = undefined;
    throw error instanceof Error ? error : new Error('its files could not be loaded');
  });
  return started;
}

async function load() {
  // Without this object, its C++ logs go to the console as errors.
  self.Module = {print: note, printErr: note};
  const {warn} = console;
  // LiteRT.js requests a GPU when it starts and warns if there is none. We request one on demand.
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
    gpuOptions: {precision: 'fp32'}, // float16 would be faster, but these models are small
  });
  // LiteRT.js falls back to the CPU with only a warning.
  if (compiled.options?.accelerator !== 'webgpu' || !compiled.isFullyAccelerated) {
    compiled.delete();
    throw new Error("it can't run the whole model");
  }
  return new Model(compiled, environment);
}

/** A compiled file. Runs are sequential; `close` frees its memory. */
class Model {
  #compiled;
  #environment;
  #last = Promise.resolve();

  constructor(compiled, environment) {
    this.#compiled = compiled;
    this.#environment = environment;
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
    if (!this.#compiled) throw new Error('this model is closed');
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
      // WebAssembly's memory is not garbage-collected.
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) tensor.delete();
    }
  }

  async close() {
    await this.#last;
    this.#compiled?.delete();
    this.#compiled = undefined;
  }
}

// Reads NumPy's .npz, a zip of .npy arrays: float32 and int32, C order, stored or deflated.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const TYPES = {'<f4': Float32Array, '<i4': Int32Array};

/**
 * @param buffer an ArrayBuffer
 * @returns name -> {shape, data}
 */
export async function readNpz(buffer) {
  const arrays = {};
  for (const {name, method, bytes} of entries(buffer)) {
    arrays[name.replace(/\.npy$/, '')] = readNpy(await inflate(method, bytes), name);
  }
  return arrays;
}

/** The files of a zip, still compressed. Sizes come from the central directory at the end. */
function entries(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error('not a zip file');
  const found = [];
  let at = view.getUint32(end + 16, true);
  for (let i = view.getUint16(end + 10, true); i > 0; i--) {
    if (view.getUint32(at, true) !== ENTRY) throw new Error('a damaged zip file');
    const [nameLength, extra, comment] = [28, 30, 32].map((o) => view.getUint16(at + o, true));
    const size = view.getUint32(at + 20, true);
    const local = view.getUint32(at + 42, true);
    if (view.getUint32(local, true) !== LOCAL) throw new Error('a damaged zip file');
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    found.push({
      name: new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameLength)),
      method: view.getUint16(at + 10, true),
      bytes: new Uint8Array(buffer, start, size),
    });
    at += 46 + nameLength + extra + comment;
  }
  return found;
}

async function inflate(method, bytes) {
  if (method === 0) return bytes.slice();
  if (method !== 8) throw new Error(`zip compression method ${method} is not supported`);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param bytes a Uint8Array whose buffer begins with it */
function readNpy(bytes, name) {
  const view = new DataView(bytes.buffer);
  if (view.getUint32(0) !== 0x934e554d || bytes[4] !== 0x50)
    throw new Error(`${name} is not a NumPy array`);
  const [length, start] =
    bytes[6] === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const dtype = /'descr': *'([^']*)'/.exec(header)?.[1];
  const shape = /'shape': *\(([^)]*)\)/.exec(header)?.[1];
  if (!(dtype in TYPES) || shape === undefined || !/'fortran_order': *False/.test(header)) {
    throw new Error(`${name} is neither float32 nor int32 in C order`);
  }
  return {
    shape: shape
      .split(',')
      .filter((part) => part.trim())
      .map(Number),
    data: new TYPES[dtype](bytes.buffer.slice(start + length)),
  };
}

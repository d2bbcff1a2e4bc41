// node build.js FOLDER: bundle the app into an empty folder.
import {cp, mkdir, readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {build} from 'esbuild';

// One build of the runtime for all browsers, because an offline site would store each (9 MB).
// For models this small, relaxed SIMD saved at most 0.05 ms per image, and threads nothing.
const RUNTIME_BUILD = 'litert_wasm_compat_internal';

const require = createRequire(import.meta.url);
const litert = dirname(dirname(require.resolve('@litertjs/core')));
const {version} = JSON.parse(await readFile(join(litert, 'package.json')));
const LITERT = `LiteRT.js ${version}`;

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) throw new Error('usage: node build.js FOLDER');

await mkdir(join(out, 'wasm'), {recursive: true});
await build({
  absWorkingDir: here,
  entryPoints: {app: 'src/main.js'},
  outdir: out,
  bundle: true,
  format: 'esm',
  target: ['chrome100', 'firefox110', 'safari16.4'],
  minify: true,
  banner: {js: `/* Contains ${LITERT}, (c) Google LLC, Apache License 2.0, as does wasm/. */`},
  define: {
    RUNTIME: JSON.stringify(`wasm/${RUNTIME_BUILD}.js`),
    LITERT: JSON.stringify(LITERT),
  },
});
await build({
  absWorkingDir: here,
  entryPoints: {app: 'style.css'},
  outdir: out,
  target: ['chrome100', 'firefox110', 'safari16.4'],
  minify: true,
});
for (const name of ['index.html', 'sw.js']) await cp(join(here, name), join(out, name));
for (const extension of ['.js', '.wasm']) {
  await cp(
    join(litert, 'wasm', RUNTIME_BUILD + extension),
    join(out, 'wasm', RUNTIME_BUILD + extension),
  );
}

// The page: one state, one render loop, the current bundle and view.
import * as cards from './card.js';
import {toPng} from './canvas.js';
import {element} from './dom.js';
import {createLoop, FrameRate} from './frames.js';
import {start, webGpu} from './runtime.js';
import {fetchJson, openBundle} from './bundle.js';
import {canShareImages, save, share} from './share.js';
import {DEFAULTS, format, parse, VIEWS} from './state.js';
import {registerWorker} from './worker.js';
import {createAbout} from './views/about.js';
import {createDraw} from './views/draw.js';
import {createMap} from './views/map.js';
import {createSamples} from './views/samples.js';
import {createSliders} from './views/sliders.js';
import {createWalk} from './views/walk.js';

// Milliseconds
const URL_DELAY = 300; // browsers allow 100 changes in 30 seconds
const RATE_DELAY = 500;
const WARM_UP = 1500; // until WebAssembly runs at full speed
const MESSAGE_TIME = 4000;

const CAN_SHARE = canShareImages();
const CHECK = '#check'; // the URL's fragment that runs the check at once

let bundles = [];
let views = {};
let job = null; // runs before the next frame, while nothing else uses a model
let currentView = '';
let urlTimer;
const frameRate = new FrameRate();

const app = {
  state: {...DEFAULTS},
  bundle: null,
  decoder: '', // its name, variant and accelerator
  generation: 0, // how many times a decoder was loaded
  /** Change the state and render it in the next frame. */
  set(patch) {
    Object.assign(app.state, patch);
    clearTimeout(urlTimer);
    urlTimer = setTimeout(writeUrl, URL_DELAY);
    refresh();
  },
  status(text) {
    element('status').textContent = text;
  },
  notice(text) {
    element('notice').hidden = !text;
    element('notice').firstElementChild.textContent = text;
  },
};

const refresh = createLoop(render, (error) => fail('Something went wrong', error.message));

async function render(time) {
  if (job) {
    const now = job;
    job = null;
    await now();
  }
  if (!app.bundle) return;
  const {view} = app.state;
  if (view !== currentView) showView(view);
  await views[view].render(time);
  const empty = views[view].empty?.() ?? false; // nothing to save
  element('save').hidden = empty;
  element('share').hidden = empty || !CAN_SHARE;
  document.body.dataset.view = view;
  document.body.dataset.loaded = app.decoder;
  if (views[view].live) frameRate.add(performance.now());
}

function showView(view) {
  views[currentView]?.leave?.();
  // Hiding the focused element would lose the focus.
  const hadFocus = currentView && element(`view-${currentView}`).contains(document.activeElement);
  if (currentView) window.scrollTo(0, 0);
  currentView = view;
  for (const name of VIEWS) {
    const selected = name === view;
    element(`view-${name}`).hidden = !selected;
    element(`tab-${name}`).setAttribute('aria-selected', selected);
    element(`tab-${name}`).tabIndex = selected ? 0 : -1;
  }
  element('actions').hidden = false;
  if (hadFocus) element(`view-${view}`).focus();
}

function writeUrl() {
  const fragment = format(app.state);
  const url = location.pathname + location.search + (fragment ? `#${fragment}` : '');
  history.replaceState(null, '', url);
}

/** Replace the views by an error message. */
function fail(title, text) {
  const box = element('problem');
  box.querySelector('h2').textContent = title;
  box.querySelector('p').textContent = text;
  box.hidden = false;
  for (const name of VIEWS) element(`view-${name}`).hidden = true;
  element('actions').hidden = true;
  currentView = '';
  app.bundle?.close().catch(() => {}); // it may have failed itself
  app.bundle = null;
  app.status('');
}

// Models

/** Open the state's model before the next frame; resolves when it is ready. */
function load() {
  return new Promise((resolve) => {
    job = async () => {
      element('problem').hidden = true;
      try {
        await open();
        resolve();
      } catch (error) {
        fail(`${app.state.model || 'The model'} can't be used`, sentence(error));
      }
    };
    refresh();
  });
}

async function open() {
  const {state} = app;
  const entry = bundles.find(({name}) => name === state.model) ?? bundles[0];
  const missing =
    state.model && entry.name !== state.model ? `This site has no model ${state.model}. ` : '';
  state.model = entry.name;
  element('model').value = entry.name;
  app.status(`Loading ${entry.name}…`);
  let {bundle} = app;
  if (bundle?.name !== entry.name) {
    app.bundle = null;
    await bundle?.close();
    bundle = await openBundle(entry);
  }
  listVariants(bundle.card, cards.decoderOf(bundle.card, state.variant));
  const {file, accelerator, warning} = await bundle.loadDecoder(state.variant, state.accelerator);
  state.accelerator = accelerator;
  if (state.variant) state.variant = file.variant; // a link may name a missing variant
  element('accelerator').value = accelerator;
  element('fact-size').textContent = cards.size(file.bytes);
  element('fact-accelerator').textContent = accelerator === 'webgpu' ? 'GPU' : 'CPU';
  await showLatency(bundle);
  element('facts').hidden = false;
  app.bundle = bundle;
  const generation = ++app.generation;
  setTimeout(() => measureLatencyAgain(generation), WARM_UP);
  document.title = `${bundle.card.name} – keras-ganvae`;
  app.notice(missing + warning);
  app.status('');
  app.decoder = `${entry.name} ${file.variant} ${accelerator}`;
}

async function showLatency(bundle) {
  element('fact-latency').textContent = `${(await bundle.latency()).toFixed(2)} ms/image`;
}

/** Browsers optimize WebAssembly while it runs, so the first measurement is far too high. */
function measureLatencyAgain(generation) {
  const current = () => app.bundle && app.generation === generation;
  if (!current()) return;
  const before = job; // a waiting job runs first
  job = async () => {
    await before?.();
    if (current()) await showLatency(app.bundle);
  };
  refresh();
}

function listVariants(card, decoder) {
  element('variant').replaceChildren(
    ...cards.decoders(card).map(({name, variant}) => {
      const mark = name === card.recommended?.file ? ' ★' : '';
      return new Option(cards.label(variant) + mark, variant);
    }),
  );
  element('variant').value = decoder.variant;
}

function listBundles() {
  element('model').replaceChildren(...bundles.map(({name}) => new Option(name, name)));
  element('accelerator-choice').hidden = !webGpu();
  for (const id of ['choices', 'tabs']) element(id).hidden = false;
}

// Events

function listen() {
  // Edits of one model's latent dimensions mean nothing to another model.
  element('model').onchange = ({target}) => {
    app.set({model: target.value, variant: '', edits: {}, code: null});
    load();
  };
  element('variant').onchange = ({target}) => {
    app.set({variant: target.value});
    load();
  };
  element('accelerator').onchange = ({target}) => {
    app.set({accelerator: target.value});
    load();
  };
  for (const name of VIEWS) element(`tab-${name}`).onclick = () => app.set({view: name});
  element('tabs').onkeydown = (event) => {
    const current = VIEWS.indexOf(app.state.view);
    const next = {ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: VIEWS.length - 1}[
      event.key
    ];
    if (next === undefined) return;
    event.preventDefault();
    const view = VIEWS.at(next % VIEWS.length);
    app.set({view});
    element(`tab-${view}`).focus();
  };
  element('notice-close').onclick = () => app.notice('');
  element('save').onclick = () => withImage((file) => save(file));
  element('share').onclick = () => withImage((file) => share(file, document.title));
  element('copy').onclick = copyLink;
  window.addEventListener('hashchange', followUrl);
  setInterval(showRate, RATE_DELAY);
}

async function withImage(use) {
  try {
    const {canvas, name} = views[app.state.view].image();
    await use(await toPng(canvas, `${app.bundle.name}-${name}`));
  } catch (error) {
    app.notice(`The image could not be saved: ${error.message}`);
  }
}

async function copyLink() {
  writeUrl();
  try {
    await navigator.clipboard.writeText(location.href);
    app.status('Link copied.');
    setTimeout(() => app.status(''), MESSAGE_TIME);
  } catch {
    app.notice("This page can't copy: take the link from the address bar.");
  }
}

function showRate() {
  const rate = frameRate.value;
  if (rate) element('fact-rate').textContent = `${Math.round(rate)} frames/s`;
}

/** Apply a URL that changed while the page was open. */
function followUrl() {
  const before = app.state;
  const checks = location.hash === CHECK;
  app.state = checks ? {...before, view: 'about'} : parse(location.hash);
  const same = ['model', 'variant', 'accelerator'].every((key) => app.state[key] === before[key]);
  const ready = same && app.bundle ? refresh() : load();
  if (checks) Promise.resolve(ready).then(() => views.about.run());
}

const sentence = (error) => `${error.message.replace(/\.$/, '')}.`;

async function main() {
  const checks = location.hash === CHECK;
  app.state = checks ? {...DEFAULTS, view: 'about'} : parse(location.hash);
  for (const kind of ['error', 'unhandledrejection']) {
    window.addEventListener(kind, ({reason, message}) => {
      app.notice(`Something went wrong: ${reason?.message ?? message}`);
    });
  }
  element('problem-retry').onclick = () => location.reload();
  if (typeof WebAssembly !== 'object') {
    throw new Error('this browser has no WebAssembly, or has it disabled (as in Lockdown Mode)');
  }
  ({bundles} = await fetchJson('bundles/index.json'));
  if (!bundles?.length) throw new Error('this site has no models');
  app.status('Loading the runtime: 9 MB, the first time only…');
  await start();
  listBundles();
  views = {
    samples: createSamples(app),
    sliders: createSliders(app),
    walk: createWalk(app),
    map: createMap(app),
    draw: createDraw(app),
    about: createAbout(app),
  };
  listen();
  registerWorker();
  await load();
  if (checks) views.about.run();
}

main().catch((error) => fail("This app can't start", sentence(error)));

// Puts the page together: which bundle, which view, one state, one loop.
import * as cards from './card.js';
import {toPng} from './canvas.js';
import {element} from './dom.js';
import {createLoop, Meter} from './frames.js';
import {start, webGpu} from './runtime.js';
import {fetchJson, openBundle} from './session.js';
import {save, share, sharesFiles} from './share.js';
import {DEFAULTS, format, parse, VIEWS} from './state.js';
import {registerWorker} from './worker.js';
import {createAbout} from './views/about.js';
import {createDraw} from './views/draw.js';
import {createMap} from './views/map.js';
import {createSamples} from './views/samples.js';
import {createSliders} from './views/sliders.js';
import {createWalk} from './views/walk.js';

const ADDRESS_DELAY = 300; // milliseconds; browsers refuse more than 100 changes in 30 seconds
const RATE_DELAY = 500;
const WARM = 1500; // milliseconds until the runtime is at its usual speed
const TOLD = 4000; // milliseconds that a message stays
const SHARES = sharesFiles();
const CHECK = '#check'; // an address that begins with the check

let bundles = [];
let views = {};
let job = null; // what the loop does before it draws: nothing else may use a model meanwhile
let shown = '';
let addressTimer;
const meter = new Meter();

const app = {
  state: {...DEFAULTS},
  bundle: null,
  generation: 0, // of what draws
  /** Change the state; the view follows in the next frame. */
  set(patch) {
    Object.assign(app.state, patch);
    clearTimeout(addressTimer);
    addressTimer = setTimeout(writeAddress, ADDRESS_DELAY);
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

const refresh = createLoop(render, (error) => problem('Something went wrong', error.message));

async function render(time) {
  if (job) {
    const now = job;
    job = null;
    await now();
  }
  if (!app.bundle) return;
  const {view} = app.state;
  if (view !== shown) showView(view);
  await views[view].render(time);
  const empty = views[view].empty?.() ?? false; // nothing to save
  element('save').hidden = empty;
  element('share').hidden = empty || !SHARES;
  document.body.dataset.view = view;
  if (views[view].live) meter.add(performance.now());
}

function showView(view) {
  views[shown]?.leave?.();
  // What had the focus is about to vanish.
  const lost = shown && element(`view-${shown}`).contains(document.activeElement);
  if (shown) window.scrollTo(0, 0);
  shown = view;
  for (const name of VIEWS) {
    const chosen = name === view;
    element(`view-${name}`).hidden = !chosen;
    element(`tab-${name}`).setAttribute('aria-selected', chosen);
    element(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  element('actions').hidden = false;
  if (lost) element(`view-${view}`).focus();
}

function writeAddress() {
  const fragment = format(app.state);
  const address = location.pathname + location.search + (fragment ? `#${fragment}` : '');
  history.replaceState(null, '', address);
}

/** The page's own way to fail: a heading, a sentence, and a way on. */
function problem(title, text) {
  const box = element('problem');
  box.querySelector('h2').textContent = title;
  box.querySelector('p').textContent = text;
  box.hidden = false;
  for (const name of VIEWS) element(`view-${name}`).hidden = true;
  element('actions').hidden = true;
  shown = '';
  app.bundle?.close().catch(() => {}); // it may be what failed
  app.bundle = null;
  app.status('');
}

// Models

/** Open what the state names, before the next frame; resolves once it is open. */
function load() {
  return new Promise((resolve) => {
    job = async () => {
      element('problem').hidden = true;
      try {
        await open();
        resolve();
      } catch (error) {
        problem(`${app.state.model || 'The model'} can't be used`, sentence(error));
      }
    };
    refresh();
  });
}

async function open() {
  const {state} = app;
  const entry = bundles.find(({name}) => name === state.model) ?? bundles[0];
  const missing =
    state.model && entry.name !== state.model ? `There is no model ${state.model} here. ` : '';
  state.model = entry.name;
  element('model').value = entry.name;
  app.status(`Loading ${entry.name}…`);
  let {bundle} = app;
  if (bundle?.name !== entry.name) {
    app.bundle = null;
    await bundle?.close();
    bundle = await openBundle(entry);
  }
  listVariants(bundle.card, cards.chosenFile(bundle.card, state.variant));
  const {file, accelerator, warning} = await bundle.use(state.variant, state.accelerator);
  state.accelerator = accelerator;
  if (state.variant) state.variant = file.variant; // the link may name one that is not here
  element('accelerator').value = accelerator;
  element('fact-size').textContent = cards.size(file.bytes);
  element('fact-accelerator').textContent = accelerator === 'webgpu' ? 'GPU' : 'CPU';
  await showTime(bundle);
  element('facts').hidden = false;
  app.bundle = bundle;
  const generation = ++app.generation;
  setTimeout(() => timeAgain(generation), WARM);
  document.title = `${bundle.card.name} – keras-ganvae`;
  app.notice(missing + warning);
  app.status('');
  document.body.dataset.loaded = `${entry.name} ${file.variant} ${accelerator}`;
}

async function showTime(bundle) {
  element('fact-time').textContent = `${(await bundle.time()).toFixed(2)} ms an image`;
}

/** A browser compiles WebAssembly better while it runs: the first time is many times too long. */
function timeAgain(generation) {
  const current = () => app.bundle && app.generation === generation;
  if (!current()) return;
  const before = job; // what is asked for already comes first
  job = async () => {
    await before?.();
    if (current()) await showTime(app.bundle);
  };
  refresh();
}

function listVariants(card, chosen) {
  element('variant').replaceChildren(
    ...cards.variants(card).map(({name, variant}) => {
      const mark = name === card.recommended?.file ? ' ★' : '';
      return new Option(cards.label(variant) + mark, variant);
    }),
  );
  element('variant').value = chosen.variant;
}

function listBundles() {
  element('model').replaceChildren(...bundles.map(({name}) => new Option(name, name)));
  element('accelerator-choice').hidden = !webGpu();
  for (const id of ['choices', 'tabs']) element(id).hidden = false;
}

// What the page reacts to

function listen() {
  // Another model has other dimensions: edits of one mean nothing to the other.
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
    const at = VIEWS.indexOf(app.state.view);
    const next = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: VIEWS.length - 1}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const view = VIEWS.at(next % VIEWS.length);
    app.set({view});
    element(`tab-${view}`).focus();
  };
  element('notice-close').onclick = () => app.notice('');
  element('save').onclick = () => withPicture((file) => save(file));
  element('share').onclick = () => withPicture((file) => share(file, document.title));
  element('copy').onclick = copyLink;
  window.addEventListener('hashchange', follow);
  setInterval(showRate, RATE_DELAY);
}

async function withPicture(use) {
  try {
    const {canvas, name} = views[app.state.view].picture();
    await use(await toPng(canvas, `${app.bundle.name}-${name}`));
  } catch (error) {
    app.notice(`The picture could not be saved: ${error.message}`);
  }
}

async function copyLink() {
  writeAddress();
  try {
    await navigator.clipboard.writeText(location.href);
    app.status('The link is copied.');
    setTimeout(() => app.status(''), TOLD);
  } catch {
    app.notice('This browser does not let the page copy: take the link from its address bar.');
  }
}

function showRate() {
  const {rate} = meter;
  if (rate) element('fact-rate').textContent = `${Math.round(rate)} frames/s`;
}

/** The address changed under us: a link within the page's history. */
function follow() {
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
    throw new Error('this browser has no WebAssembly, or it is turned off (as in Lockdown Mode)');
  }
  ({bundles} = await fetchJson('bundles/index.json'));
  if (!bundles?.length) throw new Error('this site holds no model');
  app.status('Loading the runtime, 9 MB the first time…');
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

main().catch((error) => problem('This app can not start', sentence(error)));

// A pad to draw on, and a VAE's reconstruction of the drawing.
import {drawOne} from '../prior.js';
import {paint} from '../canvas.js';
import {fromInk} from '../digit.js';
import {element} from '../dom.js';
import {isVariational} from '../card.js';
import {COUNTS} from '../state.js';

const SIDE = 280; // of the pad, in pixels

export function createDraw(app) {
  const [pad, brush, edit] = ['pad', 'pad-brush', 'draw-edit'].map(element);
  const [inputCanvas, reconstruction] = ['draw-input', 'draw-reconstruction'].map(element);
  const context = pad.getContext('2d', {willReadFrequently: true});
  let strokes = []; // {width, points}
  let sample = null; // index of the seed's image that replaces the drawing
  let nextSample = 0;
  let input = null; // pixels

  function padPoint({clientX, clientY}) {
    const box = pad.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * SIDE, ((clientY - box.top) / box.height) * SIDE];
  }
  pad.onpointerdown = (event) => {
    if (event.button || !event.isPrimary) return;
    pad.setPointerCapture(event.pointerId);
    sample = null;
    strokes.push({width: Number(brush.value), points: [padPoint(event)]});
    app.set({});
  };
  pad.onpointermove = (event) => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    // Browsers merge moves within a frame; all of them keep quick curves smooth.
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).points.push(...(events.length ? events : [event]).map(padPoint));
    app.set({});
  };
  element('pad-undo').onclick = () => {
    if (sample === null) strokes.pop();
    sample = null;
    app.set({});
  };
  element('pad-clear').onclick = () => {
    [strokes, sample] = [[], null];
    app.set({});
  };
  element('pad-sample').onclick = () => {
    [strokes, sample] = [[], nextSample];
    nextSample = (nextSample + 1) % COUNTS.at(-1);
    app.set({});
  };
  edit.onclick = async () => {
    try {
      app.set({view: 'sliders', code: await app.bundle.encode(input), edits: {}});
    } catch (error) {
      app.notice(error.message);
    }
  };

  /** Draw the strokes; returns the pad's values from 0 to 1, row by row. */
  function drawInk() {
    context.fillStyle = '#000';
    context.fillRect(0, 0, SIDE, SIDE);
    [context.fillStyle, context.strokeStyle] = ['#fff', '#fff'];
    [context.lineCap, context.lineJoin] = ['round', 'round'];
    for (const {width, points} of strokes) {
      context.lineWidth = width;
      context.beginPath();
      context.arc(...points[0], width / 2, 0, 2 * Math.PI); // a single point has no line
      context.fill();
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points.slice(1)) context.lineTo(...point);
      context.stroke();
    }
    const {data} = context.getImageData(0, 0, SIDE, SIDE);
    const values = new Float32Array(SIDE * SIDE);
    for (let i = 0; i < values.length; i++) values[i] = data[4 * i] / 255;
    return values;
  }

  /** Show the sample on the pad; returns its pixels. */
  async function drawSample({bundle, state}) {
    const pixels = await bundle.decode(drawOne(bundle.prior, state.seed, sample));
    const small = document.createElement('canvas');
    paint(small, pixels, bundle.shape);
    context.drawImage(small, 0, 0, SIDE, SIDE);
    return pixels;
  }

  /** Why this model can't reconstruct; '' if it can. */
  function obstacle(bundle) {
    const {card} = bundle;
    if (!isVariational(card)) {
      return (
        `${card.name} is a GAN: it has no encoder, so it can't reconstruct a drawing.` +
        ' Choose a VAE.'
      );
    }
    const complete = ['encode', 'reconstruct'].every((signature) => bundle.has(signature));
    return complete ? '' : `${card.name} was exported without its encoder (sampler.tflite).`;
  }

  return {
    live: true,
    async render() {
      const {bundle} = app;
      const reason = obstacle(bundle);
      element('draw-pad').hidden = Boolean(reason);
      element('draw-none').hidden = !reason;
      element('draw-none').textContent = reason;
      if (reason) {
        input = null;
        return;
      }
      const drawing = fromInk(drawInk(), SIDE, bundle.shape);
      input = sample === null ? drawing : await drawSample(app);
      edit.disabled = !input;
      const empty = new Float32Array(bundle.shape.reduce((a, b) => a * b));
      paint(inputCanvas, input ?? empty, bundle.shape);
      paint(reconstruction, input ? await bundle.reconstruct(input) : empty, bundle.shape);
    },
    empty: () => !input,
    image: () => ({canvas: reconstruction, name: 'reconstruction'}),
  };
}

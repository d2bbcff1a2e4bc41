// A pad to draw on, and what a VAE makes of the drawing.
import {drawOne} from '../prior.js';
import {paint} from '../canvas.js';
import {fromInk} from '../digit.js';
import {element} from '../dom.js';
import {isVariational} from '../card.js';
import {COUNTS} from '../state.js';

const SIDE = 280; // pixels of the pad

export function createDraw(app) {
  const [pad, brush, edit] = ['pad', 'pad-brush', 'draw-edit'].map(element);
  const [seen, made] = ['draw-seen', 'draw-made'].map(element);
  const context = pad.getContext('2d', {willReadFrequently: true});
  let strokes = []; // {width, points}
  let sample = null; // index among the seed's, instead of a drawing
  let next = 0; // sample
  let input = null; // what the model sees

  function place({clientX, clientY}) {
    const box = pad.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * SIDE, ((clientY - box.top) / box.height) * SIDE];
  }
  pad.onpointerdown = (event) => {
    if (event.button || !event.isPrimary) return;
    pad.setPointerCapture(event.pointerId);
    sample = null;
    strokes.push({width: Number(brush.value), points: [place(event)]});
    app.set({});
  };
  pad.onpointermove = (event) => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    // All points since the last frame, so that quick curves stay round.
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).points.push(...(events.length ? events : [event]).map(place));
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
    [strokes, sample] = [[], next];
    next = (next + 1) % COUNTS.at(-1);
    app.set({});
  };
  edit.onclick = async () => {
    try {
      app.set({view: 'sliders', code: await app.bundle.encode(input), edits: {}});
    } catch (error) {
      app.notice(error.message);
    }
  };

  function ink() {
    context.fillStyle = '#000';
    context.fillRect(0, 0, SIDE, SIDE);
    [context.fillStyle, context.strokeStyle] = ['#fff', '#fff'];
    [context.lineCap, context.lineJoin] = ['round', 'round'];
    for (const {width, points} of strokes) {
      context.lineWidth = width;
      context.beginPath();
      context.arc(...points[0], width / 2, 0, 2 * Math.PI); // a line of one point is not drawn
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

  /** The pixels of the sample, which the pad shows. */
  async function fromSample({bundle, state}) {
    const pixels = await bundle.decode(drawOne(bundle.prior, state.seed, sample));
    const small = document.createElement('canvas');
    paint(small, pixels, bundle.shape);
    context.drawImage(small, 0, 0, SIDE, SIDE);
    return pixels;
  }

  /** Why there is nothing to draw on, or an empty text. */
  function obstacle(bundle) {
    const {card} = bundle;
    if (!isVariational(card)) {
      return (
        `${card.name} is a GAN: it only draws. It has no encoder that could look at a drawing;` +
        ' choose a VAE for that.'
      );
    }
    const has = ['encode', 'reconstruct'].every((signature) => bundle.can(signature));
    return has ? '' : `${card.name} comes without its encoder (sampler.tflite).`;
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
      const drawn = fromInk(ink(), SIDE, bundle.shape);
      input = sample === null ? drawn : await fromSample(app);
      edit.disabled = !input;
      const empty = new Float32Array(bundle.shape.reduce((a, b) => a * b));
      paint(seen, input ?? empty, bundle.shape);
      paint(made, input ? await bundle.reconstruct(input) : empty, bundle.shape);
    },
    empty: () => !input,
    picture: () => ({canvas: made, name: 'reconstruction'}),
  };
}

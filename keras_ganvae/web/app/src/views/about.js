// About the model, its metrics and files, and the check against golden.npz.
import {element, textElement} from '../dom.js';
import {check} from '../check.js';
import * as cards from '../card.js';
import {log} from '../runtime.js';

const figure = (value) => (Number.isFinite(value) ? value.toExponential(1) : '–');

/** A header cell; without text, a plain cell. */
function heading(text, scope) {
  const cell = textElement(text ? 'th' : 'td', text);
  if (text) cell.scope = scope;
  return cell;
}

export function createAbout(app) {
  const [button, result, table] = ['check', 'check-result', 'check-table'].map(element);
  let describedBundle = null;
  let running = false;

  button.onclick = () => run();

  async function run() {
    if (running) return;
    running = true;
    button.disabled = true;
    const rows = table.tBodies[0];
    rows.replaceChildren();
    element('check-scroll').hidden = false;
    result.textContent = 'Checking…';
    result.className = '';
    const {bundle} = app;
    // The user may have chosen another model meanwhile.
    const isCurrent = () => app.bundle === bundle;
    try {
      const found = await check(bundle, bundle.accelerator, (row) => {
        if (isCurrent()) rows.append(tableRow(row));
      });
      if (!isCurrent()) return;
      const failed = found.filter(({passed}) => passed === false).length;
      result.textContent = failed
        ? `${failed} of ${found.length} comparisons failed.`
        : `All ${found.length} comparisons passed.`;
      result.className = failed ? 'failed' : 'passed';
    } catch (error) {
      if (!isCurrent()) return;
      result.textContent = `The check could not run: ${error.message}`;
      result.className = 'failed';
    } finally {
      button.disabled = false;
      running = false;
    }
  }

  function tableRow({file, signature, output, measured, passed, error}) {
    const row = document.createElement('tr');
    const verdict = {true: 'passed', false: 'failed', null: 'skipped'}[passed];
    const explained = error ? `${verdict}: ${error}` : verdict;
    const tensor = output ? `${signature}: ${output}` : signature;
    const cells = [explained, tensor, figure(measured?.max_error), figure(measured?.mean_error)];
    row.append(heading(file, 'row'), ...cells.map((text) => textElement('td', text)));
    row.className = verdict;
    return row;
  }

  function describe({card, folder, prior}) {
    const {architecture, dataset, training, image} = card;
    element('about-name').textContent = card.name;
    element('about-summary').textContent = card.summary;
    const kind = cards.isVariational(card)
      ? 'a variational autoencoder'
      : 'a generative adversarial network';
    const facts = {
      Architecture: `${architecture?.arch}, ${kind}`,
      Parameters: architecture?.parameters?.toLocaleString('en'),
      'Latent space': `${prior.size} dimensions; prior: ${prior.name}`,
      Images: image.shape.join(' × '),
      'Trained on': dataset?.name,
      'Training images': dataset?.images?.toLocaleString('en'),
      Epochs: training?.epochs,
      Licence: card.license,
    };
    element('about-facts').replaceChildren(
      ...Object.entries(facts)
        .filter(([, text]) => text)
        .flatMap(([name, text]) => [textElement('dt', name), textElement('dd', text)]),
    );
    showMetrics(cards.metricsTable(card));
    element('about-files').replaceChildren(
      ...Object.entries(card.files)
        .filter(([name]) => !name.includes('/'))
        .map(([name, {bytes}]) => {
          const item = document.createElement('li');
          const link = textElement('a', name);
          [link.href, link.download] = [`${folder}/${name}`, name];
          item.append(link, ` ${cards.size(bytes)}`);
          return item;
        }),
    );
  }

  function showMetrics({head, rows, notes}) {
    element('metrics').hidden = !rows.length && !notes.length;
    element('metrics-scroll').hidden = !rows.length;
    const table = element('metrics-table');
    table.tHead.rows[0].replaceChildren(...head.map((text) => heading(text, 'col')));
    table.tBodies[0].replaceChildren(
      ...rows.map(([name, ...figures]) => {
        const row = document.createElement('tr');
        row.append(heading(name, 'row'), ...figures.map((text) => textElement('td', text)));
        return row;
      }),
    );
    element('metrics-notes').replaceChildren(...notes.map((text) => textElement('p', text)));
  }

  return {
    run,
    async render() {
      if (describedBundle !== app.bundle) {
        describe(app.bundle);
        describedBundle = app.bundle;
        element('check-scroll').hidden = true;
        result.textContent = '';
      }
      element('about-log').textContent = log.join('\n');
    },
    empty: () => true,
  };
}

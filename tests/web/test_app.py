"""The web app in headless Chromium, on a site of tiny bundles."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ganvae.bundle import card
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import decode, open_source
from keras_ganvae.plots.latent_paths import walks
from keras_ganvae.web import site
from keras_ganvae.web.server import Server

pytestmark = pytest.mark.slow  # exports models and starts browsers

ROOT = Path(__file__).parents[2]
VIEWS = ("samples", "sliders", "walk", "map", "draw", "about")
SIZES = {
    "phone": {"width": 390, "height": 844},
    "desktop": {"width": 1280, "height": 800},
    "small": {"width": 320, "height": 568},
    "sideways": {"width": 844, "height": 390},
}
SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]


@pytest.fixture(scope="session")
def app_is_built():
    """Build the app from its current sources."""
    for program in ("node", "npm", "bash"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")
    done = subprocess.run(
        [ROOT / "scripts" / "build_web"], capture_output=True, text=True, timeout=1200
    )
    if "Is npm's registry reachable?" in done.stderr:
        pytest.skip("npm reaches no package registry")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def colour(train_tiny, tmp_path_factory):
    """The bundle of a tiny VAE of colour images of 32 by 32 pixels."""
    from keras_ganvae.bundle.build import export

    folder = tmp_path_factory.mktemp("colour")
    rng = np.random.default_rng(0)
    tones = rng.integers(0, 256, (200, 1, 1, 3))
    stripes = np.linspace(0.2, 1, 32)[None, :, None, None]
    images = np.broadcast_to(tones * stripes, (200, 32, 32, 3)).astype(np.uint8)
    np.savez(folder / "images.npz", images=images)
    run = train_tiny("vae", dataset=f"npz:{folder / 'images.npz'}")
    return export(run, folder / "colour", formats=["float32", "sampler"])


@pytest.fixture(scope="session")
def lone(train_tiny, run_of, tmp_path_factory):
    """Bundles of one file: `lone-int8` of one latent dimension, `lone-sampler` of float16."""
    from keras_ganvae.bundle.build import export

    folder = tmp_path_factory.mktemp("lone")
    line = train_tiny("vae", latent_dim=1)
    return [
        export(line, folder / "lone-int8", formats=["int8"]),
        export(
            run_of("vae"), folder / "lone-sampler", formats=["sampler"], sampler_weights="float16"
        ),
    ]


@pytest.fixture(scope="session")
def shown(tiny_bundle, colour, lone):
    """name -> path of the site's bundles: a VAE, a GAN, a colour VAE, those of one file."""
    paths = [tiny_bundle("vae"), tiny_bundle("gan"), colour, *lone]
    return {Bundle.open(path).name: path for path in paths}


@pytest.fixture(scope="session")
def site_folder(app_is_built, shown, tmp_path_factory):
    return site.write(list(shown.values()), tmp_path_factory.mktemp("site") / "site")


@pytest.fixture(scope="session")
def start():
    """`start(folder)`: a running `Server`, with `.address` and `.stop()`."""
    running = []

    class Running:
        def __init__(self, folder):
            self.server = Server(folder, "127.0.0.1", 0)
            self.address = f"http://127.0.0.1:{self.server.port}/"
            threading.Thread(target=self.server.serve_forever, daemon=True).start()
            running.append(self)

        def stop(self):
            self.server.shutdown()
            self.server.server_close()
            running.remove(self)

    yield Running
    for each in list(running):
        each.stop()


@pytest.fixture(scope="session")
def address(start, site_folder):
    return start(site_folder).address


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory):
    """The folder for screenshots."""
    folder = os.environ.get("KERAS_GANVAE_ARTIFACTS")
    if not folder:
        return tmp_path_factory.mktemp("screenshots")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder).resolve()


# Helpers of the scripts below. They wait for what the page reports in its body's data set:
# `view` and `loaded`, after drawing, and `offline`.
TOOLS = """
const {chromium} = require('playwright-core');
const PATIENCE = 240000; // milliseconds, on a busy machine

const shows = (page, view) =>
  page.waitForFunction((v) => document.body.dataset.view === v, view);

const loaded = (page, text) =>
  page.waitForFunction((t) => document.body.dataset.loaded === t, text);

/** The size and the RGB values of a canvas, row by row. */
const pixels = (page, selector) => page.locator(selector).evaluate((canvas) => {
  const {width, height} = canvas;
  const copy = Object.assign(document.createElement('canvas'), {width, height});
  const context = copy.getContext('2d', {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const {data} = context.getImageData(0, 0, width, height);
  return {width, height, rgb: [...data].filter((_, i) => i % 4 !== 3)};
});

/** The pixels of a canvas as soon as they differ from `before`. */
async function changed(page, selector, before) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    const now = await pixels(page, selector);
    if (String(now.rgb) !== String(before.rgb)) return now;
    await page.waitForTimeout(50);
  }
  throw new Error(`${selector} did not change`);
}

/** Resolves after many frames: whatever the page was drawing is done. */
const frames = (page) => page.evaluate(async () => {
  for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame);
});

const tab = async (page, view) => {
  await page.click(`#tab-${view}`);
  await shows(page, view);
};
"""

RUN = """
(async () => {
  const browser = await chromium.launch({
    executablePath: BROWSER, args: ['--no-sandbox', ...ARGS], timeout: PATIENCE});
  const context = await browser.newContext(OPTIONS);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const messages = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) messages.push(message.text());
  });
  page.on('pageerror', (error) => messages.push(String(error)));
  try {
    const result = await act(page, context, messages);
    console.log(JSON.stringify({result, messages}));
  } finally {
    await browser.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture
def visit(run_node, node, browser, tmp_path):
    """`visit(script, names, args, silent, **options)`: what `script` returns, as JSON.

    The script is the body of `async (page, context, messages)`. `names` are its constants,
    `args` the browser's arguments, `options` those of the browser's context. `silent=False`
    allows warnings and errors on the console, and returns them too.
    """

    def run(script, names=None, args=(), silent=True, **options):
        constants = {"BROWSER": browser, "ARGS": list(args), "OPTIONS": options} | (names or {})
        head = "".join(f"const {name} = {json.dumps(each)};\n" for name, each in constants.items())
        act = f"const act = async (page, context, messages) => {{{script}}};\n"
        output = run_node(head + TOOLS + act + RUN, tmp_path, node)
        if silent:
            assert output["messages"] == []
            return output.get("result")
        return output

    return run


def _image(canvas):
    """uint8 (H, W, 3)."""
    return np.array(canvas["rgb"]).reshape(canvas["height"], canvas["width"], 3)


def _alike(canvas, image, error=1):
    """Whether a canvas shows a uint8 image (H, W, C), to within `error` grey levels."""
    image = np.broadcast_to(image, (*image.shape[:2], 3)).astype(int)
    return _image(canvas).shape == image.shape and abs(_image(canvas) - image).max() <= error


def test_the_lock_names_no_registry():
    lock = (site.BUILT.with_name("app") / "package-lock.json").read_text()
    assert json.loads(lock)["packages"]["node_modules/@litertjs/core"]["integrity"]
    assert "resolved" not in lock
    assert "://" not in lock


# Numbers


@pytest.mark.parametrize("index", range(5), ids=["vae", "gan", "colour", "int8", "sampler"])
def test_every_signature_gives_the_golden_numbers(visit, address, shown, index):
    name = list(shown)[index]
    rows = visit(
        """
        await page.goto(`${ADDRESS}#model=${NAME}&view=about`);
        await shows(page, 'about');
        await page.click('#check');
        await page.waitForFunction(
          () => /passed|failed|not run/.test(document.querySelector('#check-result').innerText));
        return page.locator('#check-table tbody tr').evaluateAll(
          (rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText)));
        """,
        {"ADDRESS": address, "NAME": name},
    )
    found = {(file, output): (verdict, float(most)) for file, verdict, output, most, _ in rows}
    assert {verdict for verdict, _ in found.values()} == {"passed"}
    opened = Bundle.open(shown[name])
    expected = {
        (file, signature)
        for file, facts in opened.files.items()
        for signature in facts.get("signatures", ())
    } | {("this app", "seed")}
    assert {(file, output.partition(":")[0]) for file, output in found} == expected
    for (file, _), (_, most) in found.items():
        if opened.files.get(file, {}).get("weights", "float32") == "float32":
            assert most <= 1e-4


def test_a_link_can_start_the_check(visit, address):
    text = visit(
        """
        await page.goto(`${ADDRESS}#check`);
        const result = page.locator('#check-result', {hasText: 'passed'});
        await result.waitFor();
        return result.innerText();
        """,
        {"ADDRESS": address},
    )
    assert text.startswith("All ")


@pytest.mark.parametrize("index", [0, 1, 2], ids=["vae", "gan", "colour"])
def test_a_seed_draws_what_python_draws(visit, address, shown, index):
    name, path = list(shown.items())[index]
    seen = visit(
        """
        await page.goto(`${ADDRESS}#model=${NAME}&variant=float32&count=16&seed=4294967290`);
        await shows(page, 'samples');
        const all = [];
        for (let i = 1; i <= 16; i++) all.push(await pixels(page, `#grid :nth-child(${i}) canvas`));
        return all;
        """,
        {"ADDRESS": address, "NAME": name},
    )
    expected = open_source(path).sample(16, 4294967290, variant="float32")
    for canvas, image in zip(seen, expected, strict=True):
        assert _alike(canvas, image)


def test_seeds_are_chosen(visit, address):
    first, again, other, refused, pressed = visit(
        """
        await page.goto(`${ADDRESS}#count=16&seed=5`);
        await shows(page, 'samples');
        const one = '#grid :nth-child(1) canvas';
        const first = await pixels(page, one);
        await page.click('#seed-next');
        const second = await changed(page, one, first);
        await page.click('#seed-previous');
        const again = await changed(page, one, second);
        await page.fill('#seed', '77');
        await page.press('#seed', 'Enter');
        const other = await changed(page, one, again);
        await page.fill('#seed', '-3');
        await page.press('#seed', 'Enter');
        await page.locator('#notice', {hasText: 'whole number'}).waitFor();
        const refused = await page.inputValue('#seed');
        await page.click('#seed-random');
        await changed(page, one, other);
        return [first, again, other, refused, await page.inputValue('#seed')];
        """,
        {"ADDRESS": address},
    )
    assert first == again != other
    assert refused == "77" != pressed


def test_sliders_and_tabs_by_keyboard_alone(visit, address, shown):
    found = visit(
        """
        await page.goto(`${ADDRESS}#variant=float32`);
        await shows(page, 'samples');
        await page.focus('#tab-samples');
        await page.keyboard.press('ArrowRight');
        await shows(page, 'sliders');
        const focused = await page.evaluate(() => document.activeElement.id);
        const before = await pixels(page, '#sliders-canvas');
        for (let i = 0; i < 20; i++) {
          await page.keyboard.press('Tab');
          if (await page.evaluate(() => document.activeElement.type === 'range')) break;
        }
        const slider = () => page.evaluate(() => [
          document.activeElement.value,
          document.activeElement.closest('div').querySelector('output').innerText,
          document.activeElement.labels[0].textContent]);
        const [low] = await slider();
        await page.keyboard.press('Home');
        await page.keyboard.press('End');
        const after = await changed(page, '#sliders-canvas', before);
        const [high, output, label] = await slider();
        await page.waitForFunction(() => location.hash.includes('edits='));
        await page.click('#sliders-reset');
        const reset = await changed(page, '#sliders-canvas', after);
        await page.focus('#tab-sliders');
        await page.keyboard.press('End');
        await shows(page, 'about');
        await page.keyboard.press('ArrowRight');
        await shows(page, 'samples');
        // The grid is one stop of the Tab key; arrows go on, Enter chooses.
        await page.focus('#grid button');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('Enter');
        await shows(page, 'sliders');
        const hint = await page.innerText('#sliders-hint');
        return {focused, low, high, output, label, before, reset, hint};
        """,
        {"ADDRESS": address},
    )
    assert found["focused"] == "tab-sliders"
    assert float(found["high"]) > float(found["low"])
    assert f"{float(found['high']):.2f}" == found["output"]
    assert found["label"].startswith("Dimension ")
    assert found["before"] == found["reset"]
    assert found["hint"].startswith("Sample 8 of seed 0.")


def test_moving_a_slider_draws_and_counts_frames(visit, address):
    rate = visit(
        """
        await page.goto(`${ADDRESS}#view=sliders`);
        await shows(page, 'sliders');
        const before = await pixels(page, '#sliders-canvas');
        await page.evaluate(() => new Promise((resolve) => {
          const slider = document.querySelector('#sliders input');
          const [min, max] = [Number(slider.min), Number(slider.max)];
          const read = document.querySelector('#fact-rate');
          let i = 0;
          const step = () => {
            slider.value = min + (max - min) * (0.5 + 0.5 * Math.sin(i++ / 10));
            slider.dispatchEvent(new Event('input', {bubbles: true}));
            if (read.textContent) resolve();
            else requestAnimationFrame(step);
          };
          step();
        }));
        await changed(page, '#sliders-canvas', before);
        return page.innerText('#fact-rate');
        """,
        {"ADDRESS": address},
    )
    number, unit = rate.split()
    assert int(number) > 0 and unit == "frames/s"


@pytest.mark.parametrize("index", [0, 1], ids=["linear", "great circle"])
def test_a_walk_equals_pythons(visit, address, shown, index):
    name, path = list(shown.items())[index]
    places = [0, 0.25, 1]
    seen = visit(
        """
        const all = [];
        for (const at of PLACES) {
          const walk = `model=${NAME}&variant=float32&view=walk&seed=3&walk=2&at=${at}`;
          await page.goto(`${ADDRESS}#${walk}`);
          await page.reload();
          await shows(page, 'walk');
          all.push(await pixels(page, '#walk-canvas'));
        }
        return all;
        """,
        {"ADDRESS": address, "NAME": name, "PLACES": places},
    )
    opened = Bundle.open(path)
    walk = walks(opened.prior(), 8, 5, 3)[2, [0, 1, 4]]
    expected = np.rint(decode(opened.model("float32"), walk) * 255)
    for canvas, image in zip(seen, expected, strict=True):
        assert _alike(canvas, image)


def test_a_walk_plays_and_pauses(visit, address):
    label, stopped, later, last = visit(
        """
        await page.goto(`${ADDRESS}#view=walk`);
        await shows(page, 'walk');
        const at = () => page.inputValue('#walk-at').then(Number);
        await page.click('#walk-play');
        await page.waitForFunction(() => document.querySelector('#walk-at').value > 0);
        const label = await page.innerText('#walk-play');
        await page.click('#walk-play');
        await frames(page);
        const stopped = await at();
        await frames(page);
        const later = await at();
        const before = await pixels(page, '#walk-canvas');
        await page.focus('#walk-at');
        await page.keyboard.press('End');
        await changed(page, '#walk-canvas', before);
        return [label, stopped, later, await at()];
        """,
        {"ADDRESS": address},
    )
    assert label == "Pause"
    assert 0 < stopped == later
    assert last == 1


def test_the_map_follows_pointer_and_keys(visit, address):
    found = visit(
        """
        await page.goto(`${ADDRESS}#view=map`);
        await shows(page, 'map');
        const overview = await pixels(page, '#map-overview');
        const first = await pixels(page, '#map-canvas');
        const box = await page.locator('#map').boundingBox();
        const to = (x, y) => page.mouse.move(box.x + x * box.width, box.y + y * box.height);
        await to(0.5, 0.5);
        await page.mouse.down();
        await to(0.9, 0.1);
        const second = await changed(page, '#map-canvas', first);
        await page.mouse.up();
        const dragged = [await page.inputValue('#map-across'), await page.inputValue('#map-down')];
        await page.focus('#map');
        for (let i = 0; i < 12; i++) await page.keyboard.press('Shift+ArrowLeft');
        await changed(page, '#map-canvas', second);
        const keyed = await page.inputValue('#map-across');
        const [width, colours] = [overview.width, new Set(overview.rgb).size];
        return {width, colours, dragged: dragged.map(Number), keyed: Number(keyed)};
        """,
        {"ADDRESS": address},
    )
    assert found["width"] == 15 * 28
    assert found["colours"] > 10
    # The axes end at the centres of the outermost images.
    expected = [(0.9 * 15 - 0.5) / 14, (0.1 * 15 - 0.5) / 14]
    np.testing.assert_allclose(found["dragged"], expected, atol=0.01)
    assert found["keyed"] == 0


def test_a_drawing_is_reconstructed(visit, address, shown):
    found = visit(
        """
        await page.goto(`${ADDRESS}#view=draw`);
        await shows(page, 'draw');
        const empty = await page.isDisabled('#draw-edit');
        const before = await pixels(page, '#draw-reconstruction');
        const box = await page.locator('#pad').boundingBox();
        const to = (x, y) => page.mouse.move(box.x + x * box.width, box.y + y * box.height);
        await to(0.3, 0.2);
        await page.mouse.down();
        await to(0.7, 0.2);
        await to(0.45, 0.8);
        await page.mouse.up();
        await changed(page, '#draw-reconstruction', before);
        await frames(page);
        const input = await pixels(page, '#draw-input');
        const last = await pixels(page, '#draw-reconstruction');
        await page.click('#draw-edit');
        await shows(page, 'sliders');
        const edited = await pixels(page, '#sliders-canvas');
        const hint = await page.innerText('#sliders-hint');
        await tab(page, 'draw');
        await page.click('#pad-undo');
        const undone = await changed(page, '#draw-reconstruction', last);
        await page.click('#pad-sample');
        await changed(page, '#draw-reconstruction', undone);
        await page.click('#pad-clear');
        await page.waitForFunction(() => document.querySelector('#draw-edit').disabled);
        return {empty, input, last, edited, hint};
        """,
        {"ADDRESS": address},
    )
    assert found["empty"]
    path = next(iter(shown.values()))
    model = Bundle.open(path).model("sampler")
    image = _image(found["input"])[None, ..., :1].astype(np.float32) / 255
    assert image.max() > 0.9
    # The page feeds floats to the model; the test reads them from the canvas, as 8 bits.
    expected = np.rint(model.run("reconstruct", image=image)["reconstruction"][0] * 255)
    assert _alike(found["last"], expected, error=3)
    assert _alike(found["edited"], expected, error=3)
    assert found["hint"].startswith("Your drawing.")


def test_a_gan_explains_that_it_has_no_encoder(visit, address, shown):
    text, pad = visit(
        """
        await page.goto(`${ADDRESS}#model=${NAME}&view=draw`);
        await shows(page, 'draw');
        return [await page.innerText('#draw-none'), await page.isVisible('#pad')];
        """,
        {"ADDRESS": address, "NAME": list(shown)[1]},
    )
    assert "is a GAN: it has no encoder" in text
    assert not pad


def test_bundles_of_one_file_offer_what_they_can(visit, address, shown):
    found = visit(
        """
        const found = {};
        for (const name of ['lone-int8', 'lone-sampler']) {
          await page.goto(`${ADDRESS}#model=${name}&count=16`);
          await shows(page, 'samples');
          await page.waitForFunction((n) => document.body.dataset.loaded?.startsWith(n), name);
          const first = await pixels(page, '#grid :nth-child(1) canvas');
          const reasons = {};
          for (const view of ['sliders', 'map', 'walk', 'draw']) {
            await tab(page, view);
            const notes = {map: '#map-none', draw: '#draw-none'}[view];
            if (notes && await page.isVisible(notes)) reasons[view] = await page.innerText(notes);
          }
          const sliders = await page.locator('#sliders input').count();
          found[name] = {first, reasons, sliders, save: await page.isVisible('#save')};
        }
        return found;
        """,
        {"ADDRESS": address},
    )
    for name, variant in (("lone-int8", "int8"), ("lone-sampler", "sampler")):
        (image,) = open_source(shown[name]).sample(1, 0, variant=variant)
        assert _alike(found[name]["first"], image, error=2)
    line, sampler = found["lone-int8"], found["lone-sampler"]
    assert "only one dimension" in line["reasons"]["map"]
    assert "without its encoder" in line["reasons"]["draw"]
    assert (line["sliders"], line["save"]) == (1, False)
    assert (sampler["reasons"], sampler["sliders"]) == ({}, 4)


# Models


def test_models_and_variants_are_switched(visit, address, shown):
    vae, gan, colour, *_ = shown
    found = visit(
        """
        await page.goto(`${ADDRESS}#count=16&view=samples`);
        await shows(page, 'samples');
        const start = await page.evaluate(() => document.body.dataset.loaded);
        const facts = {};
        const one = '#grid :nth-child(1) canvas';
        const drawn = {};
        for (const variant of ['float32', 'float16', 'dynamic_int8', 'int8']) {
          await page.selectOption('#variant', variant);
          await loaded(page, `${VAE} ${variant} wasm`);
          facts[variant] = [
            await page.innerText('#fact-size'), await page.innerText('#fact-latency')];
          drawn[variant] = (await pixels(page, one)).rgb;
        }
        const before = await pixels(page, one);
        await page.selectOption('#model', GAN);
        await changed(page, one, before);
        const options = await page.locator('#model option').allInnerTexts();
        await page.selectOption('#model', COLOUR);
        await page.waitForFunction(() => document.querySelector('#grid canvas').width === 32);
        return {start, facts, drawn, options, title: await page.title()};
        """,
        {"ADDRESS": address, "VAE": vae, "GAN": gan, "COLOUR": colour},
    )
    files = Bundle.open(shown[vae]).files
    assert found["start"] == f"{vae} float16 wasm"  # the recommended variant
    for variant, (size, time) in found["facts"].items():
        (expected,) = (each["bytes"] for each in files.values() if each.get("variant") == variant)
        assert size == f"{expected / 1e3:.0f} kB" if expected < 1e6 else f"{expected / 1e6:.1f} MB"
        assert float(time.removesuffix(" ms/image")) >= 0
    assert found["options"] == list(shown)
    assert found["title"].startswith(colour)
    reference = np.array(found["drawn"].pop("float32"))
    for pixels in found["drawn"].values():
        assert abs(np.array(pixels) - reference).mean() < 5


def test_a_link_restores_everything(visit, address, shown):
    vae, gan, *_ = shown
    found = visit(
        """
        await page.goto(ADDRESS);
        await shows(page, 'samples');
        await page.selectOption('#model', GAN);
        await loaded(page, `${GAN} float16 wasm`);
        await page.selectOption('#variant', 'float32');
        await loaded(page, `${GAN} float32 wasm`);
        await page.fill('#seed', '11');
        await page.press('#seed', 'Enter');
        await page.click('#grid :nth-child(5)');
        await shows(page, 'sliders');
        const before = await pixels(page, '#sliders-canvas');
        await page.locator('#sliders input').first().press('Home');
        await changed(page, '#sliders-canvas', before);
        await page.waitForFunction(() => location.hash.includes('edits='));
        const first = await pixels(page, '#sliders-canvas');
        const other = await context.newPage();
        await other.goto(page.url());
        await shows(other, 'sliders');
        const second = await pixels(other, '#sliders-canvas');
        // Links work in an open page, too.
        await page.evaluate(() => (location.hash = '#view=walk&seed=2'));
        await shows(page, 'walk');
        await loaded(page, `${VAE} float16 wasm`);
        await other.click('#sliders-reset');
        return {
          first, second, before,
          reset: await changed(other, '#sliders-canvas', second), address: other.url(),
          title: await page.title(),
        };
        """,
        {"ADDRESS": address, "VAE": vae, "GAN": gan},
    )
    assert found["first"] == found["second"]
    assert found["before"] == found["reset"]
    assert "seed=11" in found["address"]
    assert found["title"].startswith(vae)


def test_images_are_saved(visit, address, shown, tmp_path):
    visit(
        """
        await page.goto(`${ADDRESS}#count=16&seed=2&variant=float32`);
        await shows(page, 'samples');
        const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
        await download.saveAs('saved.png');
        return download.suggestedFilename();
        """,
        {"ADDRESS": address},
    )
    from keras_ganvae.plots import images

    expected = open_source(next(iter(shown.values()))).sample(16, 2, variant="float32")
    grid = images.grid(expected)
    factor = round(560 / grid.shape[0])
    with Image.open(tmp_path / "saved.png") as image:
        pixels = np.asarray(image.convert("L")).astype(int)
    assert abs(pixels[::factor, ::factor] - grid[..., 0]).max() <= 1


def test_images_are_shared_if_the_browser_can(visit, address, shown):
    found = visit(
        """
        const hidden = async () => {
          await page.goto(`${ADDRESS}#view=sliders`);
          await page.reload();
          await shows(page, 'sliders');
          return page.isHidden('#share');
        };
        await page.addInitScript(() => {
          navigator.canShare = undefined;
        });
        const without = await hidden();
        await page.addInitScript(() => {
          navigator.canShare = ({files}) => files.every(({type}) => type === 'image/png');
          navigator.share = async ({files: [file], title}) => {
            const bitmap = await createImageBitmap(file);
            window.shared = [file.name, file.type, title, bitmap.width, bitmap.height];
          };
        });
        const with_ = await hidden();
        await page.click('#share');
        await page.waitForFunction(() => window.shared);
        return [without, with_, ...await page.evaluate(() => window.shared)];
        """,
        {"ADDRESS": address},
    )
    name = next(iter(shown))
    title = f"{name} \N{EN DASH} keras-ganvae"
    assert found == [True, False, f"{name}-sliders.png", "image/png", title, 560, 560]


def test_the_link_is_copied(visit, address):
    copied, url = visit(
        """
        await context.grantPermissions(['clipboard-read', 'clipboard-write']);
        await page.goto(`${ADDRESS}#view=walk&walk=3`);
        await shows(page, 'walk');
        await page.focus('#walk-at');
        await page.keyboard.press('End');
        await page.click('#copy');
        await page.locator('#status', {hasText: 'copied'}).waitFor();
        return [await page.evaluate(() => navigator.clipboard.readText()), page.url()];
        """,
        {"ADDRESS": address},
    )
    assert copied == url
    assert copied.partition("#")[2].split("&")[1:] == ["view=walk", "walk=3", "at=1"]


# Where it runs


def test_it_can_be_installed(visit, address):
    errors, manifest = visit(
        """
        const {mkdtempSync} = require('fs');
        const own = await chromium.launchPersistentContext(mkdtempSync('profile-'), {
          executablePath: BROWSER, args: ['--no-sandbox'], timeout: PATIENCE});
        own.setDefaultTimeout(PATIENCE);
        try {
          const [first] = own.pages();
          await first.goto(ADDRESS);
          await first.waitForFunction(() => document.body.dataset.offline === 'ready');
          const session = await own.newCDPSession(first);
          const {installabilityErrors} = await session.send('Page.getInstallabilityErrors');
          const {errors} = await session.send('Page.getAppManifest');
          return [installabilityErrors, errors];
        } finally {
          await own.close();
        }
        """,
        {"ADDRESS": address},
    )
    assert errors == manifest == []


def test_it_works_offline(visit, site_folder, shown):
    serve = (
        "import sys; from keras_ganvae.web.server import Server;"
        "server = Server(sys.argv[1], '127.0.0.1', 0);"
        "print(server.port, flush=True); server.serve_forever()"
    )
    command = [sys.executable, "-c", serve, str(site_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline())
        found = visit(
            """
            await page.goto(`http://127.0.0.1:${PORT}/#count=16`);
            await shows(page, 'samples');
            await page.waitForFunction(() => document.body.dataset.offline === 'ready');
            const before = await pixels(page, '#grid :nth-child(1) canvas');
            process.kill(SERVER);
            await page.reload();
            await shows(page, 'samples');
            const after = await pixels(page, '#grid :nth-child(1) canvas');
            await page.selectOption('#model', GAN); // not opened online
            await loaded(page, `${GAN} float16 wasm`);
            await tab(page, 'about');
            await page.click('#check');
            await page.locator('#check-result', {hasText: 'passed'}).waitFor();
            return {before, after, caches: await page.evaluate(() => caches.keys())};
            """,
            {"PORT": port, "SERVER": server.pid, "GAN": list(shown)[1]},
        )
    assert server.returncode == -signal.SIGTERM
    assert found["before"] == found["after"]
    (version,) = re.findall('VERSION = "(.*)"', (site_folder / "precache.js").read_text())
    assert [name.split()[-1] for name in found["caches"]] == [version]


def test_an_update_waits_for_a_reload(visit, serve, site_folder, tmp_path):
    folder = shutil.copytree(site_folder, tmp_path / "site")
    found = visit(
        """
        const {readFileSync, utimesSync, writeFileSync} = require('fs');
        const edit = (name, change) => {
          const path = `${FOLDER}/${name}`;
          writeFileSync(path, change(readFileSync(path, 'utf8')));
          utimesSync(path, new Date(), new Date(Date.now() + 10000)); // HTTP dates have seconds
        };
        await page.goto(ADDRESS);
        await shows(page, 'samples');
        await page.waitForFunction(() => document.body.dataset.offline === 'ready');
        edit('app.css', (text) => text + 'h1{letter-spacing:3px}');
        edit('precache.js', (text) => text.replace(/VERSION = "./, 'VERSION = "x'));
        await page.reload();
        await page.locator('#update', {hasText: 'new version'}).waitFor();
        const spacing = () =>
          page.evaluate(() => getComputedStyle(document.querySelector('h1')).letterSpacing);
        const before = await spacing();
        const names = await page.evaluate(() => caches.keys());
        await Promise.all([page.waitForEvent('load'), page.click('#update-reload')]);
        await shows(page, 'samples');
        await page.waitForFunction(async () => (await caches.keys()).length === 1);
        return {before, after: await spacing(), names: names.length};
        """,
        {"ADDRESS": serve(folder), "FOLDER": str(folder)},
        viewport=SIZES["desktop"],
    )
    assert found["before"] != "3px"
    assert found["after"] == "3px"
    assert found["names"] == 2


def test_any_static_host_will_do(visit, serve, site_folder, tmp_path):
    """A subfolder of a server without our headers."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "some where").symlink_to(site_folder)
    isolated, address = visit(
        """
        await page.goto(`${ADDRESS}some%20where/#view=draw`);
        await shows(page, 'draw');
        await page.waitForFunction(() => document.body.dataset.offline === 'ready');
        return page.evaluate(() => [crossOriginIsolated, location.pathname]);
        """,
        {"ADDRESS": serve(tmp_path / "host")},
    )
    assert not isolated
    assert address == "/some%20where/"


def test_it_draws_over_plain_http(visit, start, site_folder, shown):
    """Insecure pages have no service worker, no SHA-256 and no clipboard."""
    server = start(site_folder).server
    server.hosts.add("phone.test")  # as if it had been announced
    port = server.port
    seen = visit(
        """
        await page.goto(`http://phone.test:${PORT}/#count=16&seed=4&variant=float32`);
        await shows(page, 'samples');
        const secure = await page.evaluate(() => isSecureContext);
        const first = await pixels(page, '#grid :nth-child(1) canvas');
        await page.click('#copy');
        await page.locator('#notice', {hasText: 'address bar'}).waitFor();
        await tab(page, 'about');
        return {secure, first, offline: await page.innerText('#about-app')};
        """,
        {"PORT": port},
        args=["--host-resolver-rules=MAP phone.test 127.0.0.1"],
        silent=False,
    )
    # Chromium warns that it ignores this header on insecure pages.
    assert all("Cross-Origin-Opener-Policy" in each for each in seen["messages"])
    seen = seen["result"]
    assert not seen["secure"]
    assert "needs a connection" in seen["offline"]
    (image,) = open_source(next(iter(shown.values()))).sample(1, 4, variant="float32")
    assert _alike(seen["first"], image)


def test_the_gpu_draws_the_same(visit, address, shown):
    """With Chromium's software implementation of WebGPU."""
    seen = visit(
        """
        await page.goto(`${ADDRESS}#count=16&seed=9&variant=float32&accelerator=webgpu`);
        await shows(page, 'samples');
        const all = [];
        for (let i = 1; i <= 16; i++) all.push(await pixels(page, `#grid :nth-child(${i}) canvas`));
        return {
          all,
          runs: await page.innerText('#fact-accelerator'),
          notice: await page.textContent('#notice p'),
        };
        """,
        {"ADDRESS": address},
        args=SOFTWARE_GPU,
    )
    if "no graphics adapter" in seen["notice"]:
        pytest.skip("this Chromium has no software WebGPU")
    assert (seen["runs"], seen["notice"]) == ("GPU", "")
    expected = open_source(next(iter(shown.values()))).sample(16, 9, variant="float32")
    for canvas, image in zip(seen["all"], expected, strict=True):
        assert _alike(canvas, image)


def test_without_a_gpu_it_runs_on_the_cpu(visit, address):
    seen = visit(
        """
        await page.addInitScript(() => {
          Object.defineProperty(Navigator.prototype, 'gpu', {
            configurable: true, get: () => ({requestAdapter: async () => null})});
        });
        await page.goto(ADDRESS);
        await shows(page, 'samples');
        await page.selectOption('#accelerator', 'webgpu');
        await page.locator('#notice', {hasText: 'GPU'}).waitFor();
        return [await page.textContent('#notice p'), await page.inputValue('#accelerator'),
                await page.isVisible('#grid canvas')];
        """,
        {"ADDRESS": address},
    )
    assert seen == [
        "The GPU can't be used: this browser found no graphics adapter. Running on the CPU.",
        "wasm",
        True,
    ]


# Errors


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("no WebAssembly", "this browser has no WebAssembly"),
        ("no runtime", "This app can't start"),
        ("no list", "bundles/index.json is missing (404)"),
        ("no card", "model_card.json is missing (404)"),
        ("card is no JSON", "model_card.json is damaged"),
        ("another schema", "its card has version 7; this app reads version 2"),
        ("unknown signatures", "this app needs the signature decode; the bundle has generate"),
        ("no model", "model_float16.tflite is missing (404)"),
        ("short model", "model_float16.tflite is damaged: it has 3 bytes instead of"),
        (
            "altered model",
            "model_float16.tflite is damaged: its checksum is not",
        ),
        ("no model at all", "model_float16.tflite can't be run"),
    ],
)
def test_errors_are_shown(visit, start, site_folder, shown, tmp_path, what, reason):
    folder = shutil.copytree(site_folder, tmp_path / "site")
    bundle = folder / "bundles" / next(iter(shown))
    model = bundle / "model_float16.tflite"
    record = json.loads((bundle / card.NAME).read_text())
    noise = b"\0" * record["files"][model.name]["bytes"]
    if what == "no runtime":
        next((folder / "wasm").glob("*.js")).unlink()
    elif what == "no list":
        (folder / "bundles" / "index.json").unlink()
    elif what == "no card":
        (bundle / card.NAME).unlink()
    elif what == "card is no JSON":
        (bundle / card.NAME).write_text("{")
    elif what == "another schema":
        (bundle / card.NAME).write_text(json.dumps(record | {"schema_version": 7}))
    elif what == "unknown signatures":
        for facts in record["files"].values():
            facts["signatures"] = ["generate"]
        record["signatures"] = {"generate": {}}
        (bundle / card.NAME).write_text(json.dumps(record))
    elif what == "no model":
        model.unlink()
    elif what == "short model":
        model.write_bytes(b"abc")
    elif what == "altered model":
        model.write_bytes(noise)
    elif what == "no model at all":
        model.write_bytes(noise)
        del record["files"][model.name]["sha256"]
        (bundle / card.NAME).write_text(json.dumps(record))
    seen = visit(
        """
        if (WHAT === 'no WebAssembly') await page.addInitScript(() => delete window.WebAssembly);
        await page.goto(ADDRESS);
        const problem = page.locator('#problem');
        await problem.waitFor();
        const text = await problem.innerText();
        // Other models may still work.
        let stillFails = null;
        if (await page.isVisible('#model')) {
          await page.selectOption('#model', GAN);
          await shows(page, 'samples');
          stillFails = await page.isVisible('#problem');
        }
        return {text, stillFails, status: await page.innerText('#status')};
        """,
        {"ADDRESS": start(folder).address, "WHAT": what, "GAN": list(shown)[1]},
        silent=False,
        serviceWorkers="block",
    )["result"]
    assert reason in seen["text"]
    assert seen["status"] == ""
    app_works = what not in ("no WebAssembly", "no runtime", "no list")
    assert seen["stillFails"] == (False if app_works else None)


def test_it_says_that_it_needs_javascript(visit, address):
    text = visit(
        "await page.goto(ADDRESS); return page.innerText('body');",
        {"ADDRESS": address},
        javaScriptEnabled=False,
    )
    assert "needs JavaScript" in text


# Accessibility


# The rules of axe-core, and two of ours: touch targets of 44 pixels, no horizontal scrolling.
AUDIT = """
const audit = async (page) => {
  await page.evaluate(require('axe-core').source);
  return page.evaluate(async () => {
    const {violations} = await axe.run();
    const faults = violations.flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html}`));
    for (const e of document.querySelectorAll('button, select, input, a[href], summary')) {
      if (!e.checkVisibility({visibilityProperty: true})) continue;
      const {width, height} = e.getBoundingClientRect();
      if (Math.min(width, height) < 43.5) faults.push(`${width} by ${height}: ${e.outerHTML}`);
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push('scrolls horizontally');
    return faults;
  });
};
"""


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("phone", "light"),
        ("phone", "dark"),
        ("desktop", "light"),
        ("desktop", "dark"),
        ("small", "light"),
        ("sideways", "dark"),
    ],
)
def test_every_view_is_accessible(visit, address, artefacts, size, scheme):
    prefix = f"{size}-{scheme}"
    faults = visit(
        AUDIT
        + """
        await page.goto(`${ADDRESS}#seed=1&count=64`);
        const faults = {};
        for (const view of VIEWS) {
          await page.waitForSelector(`#tab-${view}`);
          await tab(page, view);
          if (view === 'about') {
            await page.click('#check');
            await page.locator('#check-result', {hasText: 'passed'}).waitFor();
          }
          await page.screenshot({path: `${FOLDER}/${PREFIX}-${view}.png`});
          faults[view] = await audit(page);
          const selected = await page.locator('[role=tab][aria-selected=true]').count();
          const panels = await page.locator('[role=tabpanel]:visible').count();
          if (selected !== 1 || panels !== 1) faults[view].push('not one tab and one panel');
        }
        return faults;
        """,
        {"ADDRESS": address, "VIEWS": VIEWS, "FOLDER": str(artefacts), "PREFIX": prefix},
        viewport=SIZES[size],
        colorScheme=scheme,
        hasTouch=size != "desktop",
    )
    assert faults == {view: [] for view in VIEWS}
    assert (artefacts / f"{prefix}-map.png").stat().st_size > 10_000


def test_focus_is_visible(visit, address):
    outlines = visit(
        """
        await page.goto(ADDRESS);
        await shows(page, 'samples');
        const outlines = [];
        for (let i = 0; i < 12; i++) {
          await page.keyboard.press('Tab');
          outlines.push(await page.evaluate(() => {
            const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
            return [document.activeElement.id, outlineStyle, outlineWidth];
          }));
        }
        return outlines;
        """,
        {"ADDRESS": address},
    )
    assert all(outline[1:] == ["solid", "3px"] for outline in outlines if outline[0])


def test_touch_draws(visit, address):
    is_changed = visit(
        """
        await page.goto(`${ADDRESS}#view=draw`);
        await shows(page, 'draw');
        const before = await pixels(page, '#draw-reconstruction');
        const box = await page.locator('#pad').boundingBox();
        await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
        const after = await changed(page, '#draw-reconstruction', before);
        return String(after.rgb) !== String(before.rgb);
        """,
        {"ADDRESS": address},
        viewport=SIZES["phone"],
        hasTouch=True,
        isMobile=True,
    )
    assert is_changed

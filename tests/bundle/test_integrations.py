"""The snippets of a bundle's README work: run or type-checked where that is possible."""

import base64
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle import readme
from keras_ganvae.bundle.formats import SAMPLER
from keras_ganvae.priors import random as noise

pytestmark = pytest.mark.slow  # two models are converted

SCALE = 10  # of the PNG files that the Python snippet saves

# Odd latent sizes and BMP rows that need padding are likely to reveal mistakes.
KINDS = {
    "vae with a mixture": ("vae", (28, 28, 1), 5, 16),
    "colour gan": ("gan", (10, 14, 3), 3, 4),
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def bundle(request, tmp_path_factory, make_model, mixture, make_facts):
    """(folder, prior): a bundle of an untrained model, with its README."""
    from keras_ganvae.bundle import golden
    from keras_ganvae.priors import NormalPrior
    from keras_ganvae.tflite.convert import convert, convert_sampler
    from keras_ganvae.tflite.functions import exported

    arch, image_shape, latent_dim, contrast = request.param
    model = make_model(arch, image_shape=image_shape, latent_dim=latent_dim)
    variational = arch == "vae"
    network = model.decoder if variational else model.sampling_generator
    raise_contrast(network, contrast)
    prior = mixture(3, latent_dim) if variational else NormalPrior(latent_dim)
    folder = tmp_path_factory.mktemp("bundle")
    module = exported(model, prior)
    (folder / "model_float16.tflite").write_bytes(convert(module, "float16"))
    (folder / SAMPLER).write_bytes(convert_sampler(module))
    golden.write(folder / "golden.npz", golden.make(model, prior))
    files = cards.listing(folder)
    card = cards.build(make_facts(prior, variational, image_shape, files))
    readme.write_with_card(folder, card)
    return folder, prior


def raise_contrast(network, factor):
    """Untrained networks generate nearly constant images, which hide a wrong scale or order."""
    last = [layer for layer in network.layers if layer.weights][-1]
    kernel, bias = last.get_weights()
    last.set_weights([factor * kernel, 0 * bias])


@pytest.fixture(scope="module")
def blocks(bundle):
    """`blocks(heading, language)`: the code blocks of one section of the README."""
    text = (bundle[0] / cards.README).read_text()

    def find(heading, language):
        section = re.split(r"^(?:## |<summary>)", text, flags=re.MULTILINE)
        (section,) = (each for each in section if each.startswith(heading))
        return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)

    return find


@pytest.fixture(scope="module")
def expected_image(bundle):
    """`expected_image(seed)`: the Keras model's image (H, W, C), 0 to 255."""
    with np.load(bundle[0] / "golden.npz") as golden:
        images = dict(zip(golden["seeds"].tolist(), golden["seed_images"], strict=True))
    return lambda seed: np.rint(images[seed] * 255).astype(int)


def run_python(code, folder):
    code += "\nimport sys\nassert 'tensorflow' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_python(bundle, blocks, expected_image):
    folder, _ = bundle
    (code,) = blocks("Python", "python")
    run_python(code, folder)
    expected = expected_image(7)
    for name, error in (("sample.png", 1), ("decoded.png", 2)):  # the second has float16 weights
        with Image.open(folder / name) as image:
            pixels = np.asarray(image)[::SCALE, ::SCALE].astype(int)
        assert abs(pixels.reshape(expected.shape) - expected).max() <= error
    assert (folder / "reconstruction.png").exists() == ("encode" in code)


def test_golden_recipe(bundle, blocks, tmp_path):
    (code,) = blocks("Test your app", "python")
    run_python(code, bundle[0])
    for name in ("model_float16.tflite", "golden.npz"):
        shutil.copy(bundle[0] / name, tmp_path)
    with np.load(tmp_path / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["images"][15, 0, 0, 0] += 0.01
    np.savez(tmp_path / "golden.npz", **arrays)
    with pytest.raises(AssertionError, match="AssertionError: 0.0"):
        run_python(code, tmp_path)


# Native code can't run here; these tests only read it.


@pytest.mark.parametrize(
    ("heading", "language", "count"),
    [("Android", "kotlin", 3), ("iOS", "swift", 3), ("Flutter", "dart", 2)],
)
def test_native_code_has_names_and_numbers_of_the_model(bundle, blocks, heading, language, count):
    card = cards.read(bundle[0] / cards.NAME)
    height, width, channels = card["image"]["shape"]
    code = "".join(blocks(heading, language))
    assert len(blocks(heading, language)) == count
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)
    assert not re.search(r"{[{%]|TODO|\.\.\.", code)
    assert str(height * width * channels) in code
    assert re.search(rf"\b{width}\b", code)
    if language == "dart":
        assert f"assets/{card['recommended']['file']}" in code
        assert f"latentSize = {card['latent']['size']};" in code
    else:
        assert "sampler" in code
        for name in ("sample", "seed", "image"):
            assert f'"{name}"' in code


# With Node.

# The compiler reports an error in this file unless it checks types.
WRONG = """
import { loadTensorflowModel } from 'react-native-fast-tflite';
// @ts-expect-error it takes an ArrayBuffer
loadTensorflowModel(1, []).then((model) => model.run([new Int32Array(1)]));
"""


# As documented for expo-asset 58; the package itself has forty dependencies.
EXPO_ASSET = """
declare module 'expo-asset' {
  export class Asset {
    static loadAsync(moduleId: number | number[] | string | string[]): Promise<Asset[]>;
    localUri: string | null;
  }
}
"""


@pytest.fixture(scope="module")
def react_native(bundle, blocks, node, tmp_path_factory):
    """The folder of an app with the snippets; `tsc` compiles it to `out/` with strict types."""
    app = tmp_path_factory.mktemp("app")
    (app / "node_modules").symlink_to(node / "node_modules")
    (sampler, load), (component,) = blocks("React Native", "ts"), blocks("React Native", "tsx")
    (app / "sampler.ts").write_text(sampler)
    (app / "load.ts").write_text(load)
    (app / "expo-asset.d.ts").write_text(EXPO_ASSET)
    (app / "App.tsx").write_text(component)
    (app / "wrong.ts").write_text(WRONG)
    (app / "assets").mkdir()
    for name in (cards.NAME, "model_float16.tflite"):
        shutil.copy(bundle[0] / name, app / "assets")
    options = {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "target": "es2022",
        "lib": ["es2022"],
        "module": "commonjs",
        "moduleResolution": "node10",
        "esModuleInterop": True,
        "resolveJsonModule": True,
        "jsx": "react-native",
        "types": ["react-native"],
        "skipLibCheck": True,
        "outDir": "out",
    }
    config = {"compilerOptions": options, "include": ["*.ts", "*.tsx"]}
    (app / "tsconfig.json").write_text(json.dumps(config))
    return app


def test_react_native(bundle, react_native, node, run_node, expected_image):
    _, prior = bundle
    checked = subprocess.run(
        ["node", node / "node_modules" / "typescript" / "bin" / "tsc", "-p", react_native],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert checked.returncode == 0, checked.stdout
    # It computes the same latents as the prior.
    seeds = [*range(200), -1, -(2**31), 2**31 - 1, *noise.image_seeds(5, 200).tolist()]
    latents = run_node(
        "const {latentOf} = require('./out/sampler.js');"
        f"console.log(JSON.stringify({seeds}.map(seed => [...latentOf(seed)])))",
        react_native,
        node,
    )
    np.testing.assert_allclose(latents, prior.draw(np.array(seeds, np.int32)), atol=1e-5)
    # It encodes the image without loss, and `sample` copies the shared buffer.
    image = expected_image(7)
    url = run_node(
        "const {dataUrlOf, sample} = require('./out/sampler.js');"
        f"const shared = new Float32Array({image.ravel().tolist()}.map(v => v / 255)).buffer;"
        "const model = {run: async () => [shared]};"
        "sample(model, 7).then(pixels => {"
        "  new Float32Array(shared).fill(0); console.log(JSON.stringify(dataUrlOf(pixels)))});",
        react_native,
        node,
    )
    kind, _, data = url.partition(",")
    assert kind == "data:image/bmp;base64"
    path = react_native / "image.bmp"
    content = base64.b64decode(data, validate=True)
    assert len(content) == int.from_bytes(content[2:6], "little")
    path.write_bytes(content)
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    np.testing.assert_array_equal(pixels, np.broadcast_to(image, pixels.shape))


VISIT = """
const {chromium} = require('playwright-core');
const pixels = () => {
  const canvas = document.querySelector('canvas');
  const {width, height} = canvas;
  return [...canvas.getContext('2d').getImageData(0, 0, width, height).data];
};
(async () => {
  const browser = await chromium.launch({executablePath: BROWSER, args: ['--no-sandbox']});
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', error => errors.push(String(error)));
  await page.goto(ADDRESS);
  const button = page.locator('button:enabled');
  await button.waitFor({timeout: 60000}).catch(error => errors.push(String(error)));
  const first = await page.evaluate(pixels);
  let next = first;
  if (!errors.length) {
    await button.click();
    for (let i = 0; i < 100 && String(next) === String(first); i++) {
      await page.waitForTimeout(100);
      next = await page.evaluate(pixels);
    }
  }
  console.log(JSON.stringify({first, next, errors}));
  await browser.close();
})();
"""


def test_web(bundle, blocks, node, run_node, browser, serve, expected_image, tmp_path):
    (tmp_path / "node_modules").symlink_to(node / "node_modules")
    (page,) = blocks("Web", "html")
    (tmp_path / "index.html").write_text(page)
    shutil.copy(bundle[0] / SAMPLER, tmp_path)
    script = f"const BROWSER = {json.dumps(browser)}, ADDRESS = {json.dumps(serve(tmp_path))};"
    visit = run_node(script + VISIT, tmp_path, node)
    assert visit["errors"] == []
    for pixels, seed in ((visit["first"], 7), (visit["next"], 8)):
        image = expected_image(seed)
        rgba = np.array(pixels).reshape(*image.shape[:2], 4)
        assert abs(rgba[..., :3] - image).max() <= 1
        assert (rgba[..., 3] == 255).all()

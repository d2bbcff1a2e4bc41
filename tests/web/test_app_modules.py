"""The app's modules in Node: their own tests, and their results against NumPy's."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae.plots.latent_paths import walks
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.priors import random as noise
from keras_ganvae.web import site

UNITS = Path(__file__).parent / "units"
MODULES = site.BUILT.with_name("app") / "src"
CARDS = sorted((Path(__file__).parents[2] / "exports").glob("*/model_card.json"))
SEEDS = [*range(50), -1, -(2**31), 2**31 - 1, *noise.image_seeds(5, 100).tolist()]


def test_the_modules_pass_their_own_tests():
    if shutil.which("node") is None:
        pytest.skip("no node on this machine")
    done = subprocess.run(
        ["node", "--test", *map(str, sorted(UNITS.glob("*.test.mjs")))],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture
def evaluate(run_node, tmp_path):
    """`evaluate(expression, **names)`: the value of a JavaScript expression.

    `js` has the modules' functions.
    """

    modules = ("noise", "prior", "latent", "npz", "check")
    addresses = [(MODULES / f"{name}.js").as_uri() for name in modules]

    def run(expression, **names):
        (tmp_path / "names.json").write_text(json.dumps(names))
        script = f"""
            const {{readFileSync}} = require('fs');
            const {{{", ".join(names)}}} = JSON.parse(readFileSync('names.json'));
            const plain = (key, value) => (ArrayBuffer.isView(value) ? [...value] : value);
            const imports = {json.dumps(addresses)}.map((each) => import(each));
            Promise.all(imports).then(async (found) => {{
              const js = Object.assign({{}}, ...found);
              console.log(JSON.stringify(await ({expression}), plain));
            }});
        """
        return run_node(script, tmp_path, tmp_path)

    return run


def _mixture(components, size):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(components, 2.0)).astype(np.float32)
    means = rng.normal(size=(components, size)).astype(np.float32)
    factors = np.tril(rng.normal(scale=0.4, size=(components, size, size))).astype(np.float32)
    return MixturePrior(weights, means, factors, {})


def _latent(prior):
    """The prior as in the model card."""
    size = prior.latent_dim
    if prior.name == "normal":
        return {"size": size, "distribution": "normal"}
    rows = np.tril_indices(size)
    return {
        "size": size,
        "distribution": "mixture",
        "mixture": {
            "weights": prior.weights.tolist(),
            "means": prior.means.tolist(),
            "factors": [factor[rows].tolist() for factor in prior.factors],
        },
    }


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**32 - 1])
def test_image_seeds(evaluate, seed):
    assert evaluate("js.imageSeeds(seed, 20)", seed=seed) == noise.image_seeds(seed, 20).tolist()


def test_integers_equal_numpys(evaluate):
    found = evaluate("seeds.map(seed => js.integers(seed, 3, 8))", seeds=SEEDS)
    np.testing.assert_array_equal(found, noise.integers(np.array(SEEDS, np.int32), 3, 8))


@pytest.mark.parametrize(
    "prior", [NormalPrior(1), NormalPrior(5), NormalPrior(24), _mixture(25, 7), _mixture(1, 2)]
)
def test_latents_equal_numpys(evaluate, prior):
    found = evaluate("seeds.map(js.createPrior(latent).draw)", latent=_latent(prior), seeds=SEEDS)
    np.testing.assert_allclose(found, prior.draw(np.array(SEEDS, np.int32)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("prior", [NormalPrior(6), _mixture(3, 6)], ids=["normal", "mixture"])
def test_walks_equal_pythons(evaluate, prior):
    found = evaluate(
        "(() => { const prior = js.createPrior(latent);"
        " const z = js.drawMany(prior, 3, 16);"
        " return Array.from({length: 8}, (_, walk) => Array.from({length: 12}, (_, i) =>"
        "  js.interpolate(z[walk], z[8 + walk], i / 11, prior.linear))) })()",
        latent=_latent(prior),
    )
    np.testing.assert_allclose(found, walks(prior, 8, 12, 3), atol=1e-5, rtol=0)


def test_a_walk_between_parallel_latents_is_linear(evaluate):
    found = evaluate("js.interpolate([1, 2], [2, 4], 0.25, false)")
    np.testing.assert_allclose(found, [1.25, 2.5])


def test_statistics_equal_numpys(evaluate):
    prior = _mixture(4, 3)
    draws = prior.sample(5000, 0)
    mean, percentiles = evaluate(
        "(() => { const prior = js.createPrior(latent);"
        " const found = js.statistics(js.drawMany(prior, 0, 5000));"
        " return [found.mean, [0, 1, 2].map(j => [1, 5, 50, 99].map(p => found.percentile(j, p)))]"
        "})()",
        latent=_latent(prior),
    )
    np.testing.assert_allclose(mean, draws.mean(axis=0), atol=1e-4)
    expected = np.percentile(draws, [1, 5, 50, 99], axis=0).T
    np.testing.assert_allclose(percentiles, expected, atol=1e-5)


def test_the_most_active_dimensions_come_first(evaluate):
    # Each pixel is one dimension, scaled.
    strengths = [0.5, 3.0, -2.0, 0.0, 1.0]
    ranking = evaluate(
        "(() => { const draws = js.drawMany(js.createPrior(latent), 0, 500);"
        " const decode = async z => z.map((v, j) => strengths[j] * v);"
        " const pause = async () => {};"
        " return js.rankDimensions(decode, draws.slice(0, 16), js.statistics(draws), pause)"
        "})()",
        latent=_latent(NormalPrior(5)),
        strengths=strengths,
    )
    assert ranking == [1, 2, 4, 0, 3]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_are_read(evaluate, tmp_path, save):
    arrays = {
        "images": np.random.default_rng(0).random((3, 4, 2, 1)).astype(np.float32),
        "seeds": np.arange(-2, 3, dtype=np.int32),
        "one": np.float32([[7]]),
    }
    with open(tmp_path / "golden.npz", "wb") as file:
        save(file, **arrays)
    found = evaluate("js.readNpz(new Uint8Array(readFileSync('golden.npz')).buffer)")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name]["shape"] == list(array.shape)
        np.testing.assert_array_equal(np.float32(found[name]["data"]), array.ravel())


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.parent.name)
def test_signatures_of_the_card_name_all_golden_arrays(evaluate, card):
    signatures = json.loads(card.read_text())["signatures"]
    names = evaluate("Object.values(signatures).map(js.goldenNames)", signatures=signatures)
    found = {name for each in names for kind in each.values() for name in kind.values()}
    with np.load(card.with_name("golden.npz")) as golden:
        assert found == {name for name in golden.files if not name.startswith("component_")}

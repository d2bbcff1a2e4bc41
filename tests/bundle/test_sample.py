"""Drawing from bundles and from .tflite files."""

import subprocess
import sys

import numpy as np
import pytest

from keras_ganvae.bundle.formats import SAMPLER, VARIANTS
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import decode, open_source
from keras_ganvae.errors import InputError
from keras_ganvae.plots import latent_space
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite.run import open_model


def _drawn(run, out, prior=None):
    latent_space.sample(run, count=20, seed=5, out=out, prior=prior)
    with np.load(out) as arrays:
        return arrays["samples"].astype(int)


@pytest.mark.parametrize("prior", [None, "normal", "mixture"])
def test_draws_what_the_run_draws(tiny_bundle, run_of, tmp_path, prior):
    images = open_source(tiny_bundle("vae")).sample(20, seed=5, prior=prior)
    assert images.dtype == np.uint8 and images.shape == (20, 28, 28, 1)
    # 1: what lies between two grey values may fall to either side.
    assert np.abs(images - _drawn(run_of("vae"), tmp_path / "x.npz", prior)).max() <= 1


def test_draws_what_a_gan_draws(tiny_bundle, run_of, tmp_path):
    images = open_source(tiny_bundle("dcgan")).sample(20, seed=5)
    assert np.abs(images - _drawn(run_of("dcgan"), tmp_path / "x.npz")).max() <= 1


def test_an_image_does_not_depend_on_how_many_there_are(tiny_bundle):
    source = open_source(tiny_bundle("cvae"))
    many = source.sample(37, seed=1)
    np.testing.assert_array_equal(source.sample(3, seed=1), many[:3])
    assert not np.array_equal(source.sample(3, seed=2), many[:3])


def test_draws_from_each_variant(tiny_bundle):
    source = open_source(tiny_bundle("vae"))
    reference = source.sample(5, seed=0).astype(int)
    for variant in VARIANTS:
        images = source.sample(5, seed=0, variant=variant)
        assert np.abs(images - reference).mean() < 2


def test_a_file_of_a_bundle_draws_as_the_bundle(tiny_bundle):
    folder = tiny_bundle("vae")
    images = open_source(folder / "model.tflite").sample(4, seed=0)
    np.testing.assert_array_equal(images, open_source(folder).sample(4, 0, variant="float32"))


def test_a_file_alone_draws_from_the_normal_prior(tiny_bundle, tmp_path):
    alone = tmp_path / "mine.tflite"
    alone.write_bytes((tiny_bundle("vae") / "model.tflite").read_bytes())
    source = open_source(alone)
    expected = open_source(tiny_bundle("vae")).sample(4, 0, prior="normal", variant="float32")
    np.testing.assert_array_equal(source.sample(4, seed=0), expected)
    assert source.describe() == "mine.tflite, N(0, I)"
    with pytest.raises(InputError, match="no mixture"):
        source.sample(4, seed=0, prior="mixture")
    with pytest.raises(InputError, match="no variants"):
        source.sample(4, seed=0, variant="int8")


def test_a_sampler_alone_draws_what_its_bundle_draws(tiny_bundle, tmp_path):
    alone = tmp_path / "mine.tflite"
    alone.write_bytes((tiny_bundle("vae") / SAMPLER).read_bytes())
    source, whole = open_source(alone), open_source(tiny_bundle("vae"))
    for prior in (None, "normal"):
        expected = whole.sample(4, seed=3, prior=prior).astype(int)
        assert np.abs(source.sample(4, seed=3, prior=prior) - expected).max() <= 1
    assert not np.array_equal(source.sample(4, seed=3), source.sample(4, seed=3, prior="normal"))
    assert source.describe() == "mine.tflite, its own prior"
    assert source.describe("normal") == "mine.tflite, N(0, I)"
    with pytest.raises(InputError, match="no mixture"):
        source.sample(4, seed=3, prior="mixture")


def test_a_file_that_its_card_does_not_list(bundle_copy):
    folder = bundle_copy("vae")
    other = folder / "other.tflite"
    other.write_bytes((folder / "model_float16.tflite").read_bytes())
    assert open_source(other).describe() == "other.tflite, N(0, I)"
    other.replace(folder / "model.tflite")
    with pytest.raises(InputError, match="model.tflite has .* bytes instead of"):
        open_source(folder / "model.tflite")


def test_describes(tiny_bundle):
    source = open_source(tiny_bundle("vae"))
    components = Bundle.open(tiny_bundle("vae")).prior().components
    assert source.describe() == f"vae-synthetic, mixture of {components} components"
    assert source.describe("normal", "int8") == "vae-synthetic, int8, N(0, I)"


def _only(names):
    """Keep only these signatures."""

    def edit(model):
        kept = [each for each in model.signatureDefs if each.signatureKey.decode() in names]
        model.signatureDefs = kept

    return edit


def test_a_file_that_only_samples(edited, tiny_bundle, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(edited(_only(["sample"]), "sampler.tflite"))
    source = open_source(path)
    images = source.sample(3, seed=9)
    model = open_model(tiny_bundle("vae") / "sampler.tflite")
    for image, seed in zip(images, noise.image_seeds(9, 3), strict=True):
        drawn = model.run("sample", seed=seed[None])["image"][0]
        assert np.abs(image - drawn * 255).max() <= 0.5 + 1e-3
    assert source.describe() == "x.tflite, its own prior"
    with pytest.raises(InputError, match="its own prior"):
        source.sample(3, seed=9, prior="normal")


def test_a_file_that_draws_nothing(edited, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(edited(_only(["encode"]), "sampler.tflite"))
    with pytest.raises(InputError, match="x.tflite has no signature decode or sample; it has enc"):
        open_source(path)


def _rename_input(model):
    model.signatureDefs[0].inputs[0].name = b"code"


def test_a_file_with_other_inputs(edited, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(edited(_rename_input))
    with pytest.raises(InputError, match="x.tflite is not a model of this package"):
        open_source(path)


def test_latents_of_the_wrong_size(tiny_bundle):
    model = Bundle.open(tiny_bundle("vae")).model()
    with pytest.raises(InputError, match="takes latents of 4, not 7"):
        decode(model, np.zeros((2, 7)))


def test_no_source(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"no model at all")
    for path in (tmp_path / "x.tflite", tmp_path / "absent.tflite", tmp_path):
        with pytest.raises(InputError):
            open_source(path)


ONLY_NUMPY_AND_LITERT = """
import sys

FORBIDDEN = ("tensorflow", "keras", "PIL", "jinja2", "psutil", "pydantic", "matplotlib", "scipy")

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is forbidden")

sys.meta_path.insert(0, Forbid())
from keras_ganvae.bundle.verify import verify
print(verify(sys.argv[1])["name"])
FORBIDDEN = FORBIDDEN[:2]  # drawing writes images
from keras_ganvae.bundle.sample import open_source
print(open_source(sys.argv[1]).sample(2, seed=0).shape)
"""


def test_verify_and_sample_need_numpy_and_litert_alone(tiny_bundle):
    done = subprocess.run(
        [sys.executable, "-c", ONLY_NUMPY_AND_LITERT, tiny_bundle("vae")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("vae-synthetic\n(2, 28, 28, 1)\n", "")

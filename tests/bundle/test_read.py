"""Reading bundles and drawing from them."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER
from keras_ganvae.bundle.read import Bundle, decode, open_source, read_golden
from keras_ganvae.errors import InputError
from keras_ganvae.plots import latent_space as drawing
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite import run as interpreter

CARD = card.NAME


def test_opens(tiny_bundle):
    bundle = Bundle.open(tiny_bundle("vae"))
    assert (bundle.latent_dim, bundle.image_shape) == (4, (28, 28, 1))
    assert bundle.variants == {variant: name for name, variant in card.MODELS.items()}
    assert set(bundle.model("sampler").signatures) > {"decode", "sample"}
    assert bundle.golden()["means"].shape == (16, 4)


def test_prior_is_the_runs(tiny_bundle, run_of):
    bundle, run = Bundle.open(tiny_bundle("vae")), run_of("vae")
    for name in (None, "mixture", "normal"):
        drawn = bundle.prior(name).sample(20, seed=3)
        np.testing.assert_array_equal(drawn, run.prior(name).sample(20, seed=3))


def test_a_gan_has_no_mixture(tiny_bundle):
    bundle = Bundle.open(tiny_bundle("dcgan"))
    assert bundle.prior().name == "normal"
    with pytest.raises(InputError, match="has no mixture"):
        bundle.prior("mixture")


# What is wrong with a folder


def test_no_bundle(tmp_path):
    with pytest.raises(InputError, match="there is no bundle at"):
        Bundle.open(tmp_path / "absent")
    with pytest.raises(InputError, match=f"has no {CARD}; export the run again"):
        Bundle.open(tmp_path)


def test_a_file_that_changed(bundle_copy):
    folder = bundle_copy("vae")
    bundle = Bundle.open(folder)
    path = folder / "model.tflite"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match="model.tflite has .* bytes instead of .*export"):
        bundle.model()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="model.tflite is not the file of its card"):
        bundle.model()
    path.unlink()
    with pytest.raises(InputError, match="model.tflite is missing"):
        bundle.model()
    path.mkdir()
    with pytest.raises(InputError, match="model.tflite is missing"):
        bundle.model()


def test_a_link_out_of_the_bundle(bundle_copy, tiny_bundle):
    folder = bundle_copy("vae")
    (folder / "model.tflite").unlink()
    (folder / "model.tflite").symlink_to(tiny_bundle("vae") / "model.tflite")
    with pytest.raises(InputError, match="model.tflite is missing"):
        Bundle.open(folder).model()


@pytest.mark.parametrize("name", ["../x.tflite", "/x.tflite", "a/../../x", "a\\b", "./x", ""])
def test_names_that_lead_elsewhere(bundle_copy, name):
    folder = bundle_copy("vae")
    record = json.loads((folder / CARD).read_text())
    record["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    (folder / CARD).write_text(json.dumps(record))
    with pytest.raises(InputError, match=CARD):
        Bundle.open(folder)


def _set(path, value):
    def edit(record):
        *parents, last = path
        for each in parents:
            record = record[each]
        record[last] = value

    return edit


def _drop(name):
    return lambda record: record.pop(name)


CARDS = {
    "no files": _drop("files"),
    "no latent": _drop("latent"),
    "another schema": _set(["schema_version"], 2),
    "a latent of 0": _set(["latent", "size"], 0),
    "a latent of another size": _set(["latent", "size"], 5),
    "a latent that is huge": _set(["latent", "size"], 10**9),
    "a size that is no number": _set(["latent", "size"], "4"),
    "an image without channels": _set(["image", "shape"], [28, 28]),
    "an image that is huge": _set(["image", "shape"], [10**6, 28, 1]),
    "an unknown distribution": _set(["latent", "distribution"], "cauchy"),
    "weights that do not sum to 1": _set(["latent", "mixture", "weights", 0], 5.0),
    "a negative weight": _set(["latent", "mixture", "weights", 0], -1.0),
    "a mean beyond float32": _set(["latent", "mixture", "means", 0, 0], 1e300),
    "a mean of hundreds of digits": _set(["latent", "mixture", "means", 0, 0], 10**400),
    "a mean that is no number": _set(["latent", "mixture", "means", 0, 0], None),
    "factors that are missing": _set(["latent", "mixture", "factors"], []),
    "a size that is negative": _set(["files", GOLDEN, "bytes"], -1),
    "a hash that is none": _set(["files", GOLDEN, "sha256"], "abc"),
}


@pytest.mark.parametrize("fault", CARDS)
def test_cards_that_are_refused(bundle_copy, fault):
    folder = bundle_copy("vae")
    record = json.loads((folder / CARD).read_text())
    CARDS[fault](record)
    (folder / CARD).write_text(json.dumps(record))
    with pytest.raises(InputError, match=CARD):
        Bundle.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 10**5, '{"schema": NaN}', "\0\xff"])
def test_cards_that_are_none(bundle_copy, text):
    folder = bundle_copy("vae")
    (folder / CARD).write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=CARD):
        Bundle.open(folder)


def test_unknown_variant(tiny_bundle):
    with pytest.raises(InputError, match="no variant int4; it has float32"):
        Bundle.open(tiny_bundle("vae")).model("int4")


# golden.npz


def _golden(tiny_bundle, tmp_path, **changes):
    with np.load(tiny_bundle("vae") / GOLDEN) as stored:
        arrays = dict(stored) | changes
    path = tmp_path / GOLDEN
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latents": np.zeros((16, 5), np.float32)}, r"latents is float32 \[16, 5\]"),
        ({"latents": np.zeros((16, 4))}, "latents is float64"),
        ({"latents": np.zeros((4, 16), np.float32).T}, "latents is"),
        ({"images": np.full((16, 28, 28, 1), np.nan, np.float32)}, "images is not finite"),
        ({"images": None}, "it holds"),
        ({"more": np.zeros(3)}, "it holds"),
        ({"seeds": np.array([{}] * 16)}, "seeds is object"),
    ],
)
def test_golden_numbers_that_are_refused(tiny_bundle, tmp_path, changes, reason):
    path = _golden(tiny_bundle, tmp_path, **changes)
    with pytest.raises(InputError, match=f"{GOLDEN} is damaged: {reason}"):
        read_golden(path, 4, (28, 28, 1))


def test_golden_numbers_that_would_fill_the_memory(tiny_bundle, tmp_path):
    path = _golden(tiny_bundle, tmp_path, latents=None)
    header = b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("latents.npy", (header % 10**13).ljust(127) + b"\n")
    with pytest.raises(InputError, match="latents is float32"):
        read_golden(path, 4, (28, 28, 1))


# Drawing


def _drawn(run, out, prior=None):
    drawing.sample(run, count=20, seed=5, out=out, prior=prior)
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
    for variant in ("float32", "float16", "dynamic_int8", "int8", "sampler"):
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


def test_a_file_that_its_own_card_does_not_know(bundle_copy):
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
    """Leave only these signatures, and rename none."""

    def edit(model):
        kept = [each for each in model.signatureDefs if each.signatureKey.decode() in names]
        model.signatureDefs = kept

    return edit


def test_a_file_that_only_samples(edited, tiny_bundle, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(edited(_only(["sample"]), "sampler.tflite"))
    source = open_source(path)
    images = source.sample(3, seed=9)
    model = interpreter.open_model(tiny_bundle("vae") / "sampler.tflite")
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
    with pytest.raises(InputError, match="x.tflite is no model of this package"):
        open_source(path)


def test_latents_of_another_size(tiny_bundle):
    model = Bundle.open(tiny_bundle("vae")).model()
    with pytest.raises(InputError, match="takes latents of 4, not 7"):
        decode(model, np.zeros((2, 7)))


def test_no_source(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"no model at all")
    for path in (tmp_path / "x.tflite", tmp_path / "absent.tflite", tmp_path):
        with pytest.raises(InputError):
            open_source(path)


WITHOUT_TENSORFLOW = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "tf_keras"):
            raise ImportError(f"{name} is forbidden")

sys.meta_path.insert(0, Forbid())
from keras_ganvae.export.bundle import open_source
from keras_ganvae.export.verify import verify
print(verify(sys.argv[1])["name"], "PIL" in sys.modules)
print(open_source(sys.argv[1]).sample(2, seed=0).shape)
"""


def test_without_tensorflow(tiny_bundle):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, tiny_bundle("vae")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("vae-synthetic False\n(2, 28, 28, 1)\n", "")

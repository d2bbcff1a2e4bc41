"""Reading bundles."""

import json
import zipfile

import numpy as np
import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.read import Bundle, read_golden
from keras_ganvae.errors import InputError

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


# Damaged folders


def test_no_bundle(tmp_path):
    with pytest.raises(InputError, match="there is no bundle at"):
        Bundle.open(tmp_path / "absent")
    with pytest.raises(InputError, match=f"has no {CARD}; export the run again"):
        Bundle.open(tmp_path)


def test_altered_files(bundle_copy):
    folder = bundle_copy("vae")
    bundle = Bundle.open(folder)
    path = folder / "model.tflite"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match="model.tflite has .* bytes instead of .*export"):
        bundle.model()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="model.tflite is not the file that its card lists"):
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
def test_file_names_outside_the_bundle(bundle_copy, name):
    folder = bundle_copy("vae")
    record = json.loads((folder / CARD).read_text())
    record["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    (folder / CARD).write_text(json.dumps(card.sealed(record)))
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
    "an earlier schema": _set(["schema_version"], 1),
    "a later schema": _set(["schema_version"], 3),
    "a latent of 0": _set(["latent", "size"], 0),
    "a latent of another size": _set(["latent", "size"], 5),
    "a huge latent": _set(["latent", "size"], 10**9),
    "a size that is not a number": _set(["latent", "size"], "4"),
    "an image without channels": _set(["image", "shape"], [28, 28]),
    "a huge image": _set(["image", "shape"], [10**6, 28, 1]),
    "an unknown distribution": _set(["latent", "distribution"], "cauchy"),
    "weights that do not sum to 1": _set(["latent", "mixture", "weights", 0], 5.0),
    "a negative weight": _set(["latent", "mixture", "weights", 0], -1.0),
    "a mean beyond float32": _set(["latent", "mixture", "means", 0, 0], 1e300),
    "a mean of hundreds of digits": _set(["latent", "mixture", "means", 0, 0], 10**400),
    "a mean that is no number": _set(["latent", "mixture", "means", 0, 0], None),
    "missing factors": _set(["latent", "mixture", "factors"], []),
    "a negative size": _set(["files", GOLDEN, "bytes"], -1),
    "an invalid hash": _set(["files", GOLDEN, "sha256"], "abc"),
}


NOT_CANONICAL = ("a mean of hundreds of digits",)


@pytest.mark.parametrize("fault", CARDS)
def test_invalid_cards(bundle_copy, fault):
    folder = bundle_copy("vae")
    record = json.loads((folder / CARD).read_text())
    CARDS[fault](record)
    if fault not in NOT_CANONICAL:
        record = card.sealed(record)
    (folder / CARD).write_text(json.dumps(record))
    with pytest.raises(InputError, match=CARD):
        Bundle.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 10**5, '{"schema": NaN}', "\0\xff"])
def test_cards_that_are_not_json(bundle_copy, text):
    folder = bundle_copy("vae")
    (folder / CARD).write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=CARD):
        Bundle.open(folder)


def test_the_name_of_a_file_decides_on_its_variant(bundle_copy):
    folder = bundle_copy("vae")
    record = json.loads((folder / CARD).read_text())
    record["files"]["model_int8.tflite"]["variant"] = "float32"
    record["files"]["model.tflite"]["variant"] = "mine"
    (folder / CARD).write_text(json.dumps(card.sealed(record)))
    bundle = Bundle.open(folder)
    assert bundle.variants == {variant: name for name, variant in card.MODELS.items()}
    assert bundle.model_file("float32").path == str(folder / "model.tflite")


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
def test_invalid_golden_numbers(tiny_bundle, tmp_path, changes, reason):
    path = _golden(tiny_bundle, tmp_path, **changes)
    with pytest.raises(InputError, match=f"{GOLDEN} is damaged: {reason}"):
        read_golden(path, Bundle.open(tiny_bundle("vae")).prior(), (28, 28, 1))


def test_golden_numbers_do_not_fill_the_memory(tiny_bundle, tmp_path):
    path = _golden(tiny_bundle, tmp_path, latents=None)
    header = b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("latents.npy", (header % 10**13).ljust(127) + b"\n")
    with pytest.raises(InputError, match="latents is float32"):
        read_golden(path, Bundle.open(tiny_bundle("vae")).prior(), (28, 28, 1))

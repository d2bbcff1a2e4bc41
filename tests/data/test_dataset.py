import subprocess
import sys

import numpy as np
import pytest

from keras_ganvae.data import load
from keras_ganvae.data.sources.base import file_name
from keras_ganvae.data.splits import split_indices
from keras_ganvae.errors import InputError


def _plan(**arguments):
    sizes = arguments.pop("sizes")
    return split_indices(sizes, shuffled=arguments.pop("shuffled", True), **arguments)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"train": 60_000, "test": 10_000}, (55_000, 5_000, 10_000)),
        ({"train": 60_000}, (49_500, 4_500, 6_000)),
        ({"train": 100, "validation": 7}, (90, 7, 10)),
        ({"train": 100, "validation": 7, "test": 8}, (100, 7, 8)),
        ({"train": 3}, (1, 1, 1)),
        ({"train": 2, "test": 1}, (1, 1, 1)),
    ],
)
def test_sizes_and_disjointness(sizes, expected):
    plan = _plan(sizes=sizes)
    assert tuple(len(plan[name][1]) for name in ("train", "validation", "test")) == expected
    taken = [(part, index) for part, indices in plan.values() for index in indices.tolist()]
    assert len(taken) == len(set(taken)) == sum(sizes.values()), "every image in one split"


def test_splits_are_fixed():
    """The same images in every run, on every machine, in every release."""
    plan = _plan(sizes={"train": 40})
    assert plan["test"][1].tolist() == [15, 16, 26, 38]
    assert plan["validation"][1].tolist() == [11, 14, 37]


@pytest.mark.parametrize("wanted", [1, 30, 49])
def test_validation_size(wanted):
    plan = _plan(sizes={"train": 50, "test": 5}, validation_size=wanted)
    assert len(plan["validation"][1]) == wanted and len(plan["train"][1]) == 50 - wanted


@pytest.mark.parametrize("wanted", [0, -3, 50, 51])
def test_validation_size_out_of_range(wanted):
    with pytest.raises(InputError, match=f"`validation_size` is {wanted};.*50 training images"):
        _plan(sizes={"train": 50, "test": 5}, validation_size=wanted)


@pytest.mark.parametrize("sizes", [{"train": 2}, {"train": 1, "test": 4}])
def test_too_few_images(sizes):
    with pytest.raises(InputError, match=f"{sizes['train']} images are too few"):
        _plan(sizes=sizes)


def test_an_empty_split():
    with pytest.raises(InputError, match="test split .* no images"):
        _plan(sizes={"train": 5, "test": 0})


@pytest.mark.parametrize("shuffled", [True, False])
def test_a_limit_does_not_change_the_splits(shuffled):
    sizes = {"train": 120, "test": 8}
    unlimited = _plan(sizes=sizes)
    some = _plan(sizes=sizes, limit=9, shuffled=shuffled)
    assert [len(some[name][1]) for name in ("train", "validation", "test")] == [9, 9, 8]
    for name, (_, indices) in some.items():
        assert set(indices) <= set(unlimited[name][1])
        assert (np.diff(indices) > 0).all()
    reach = np.searchsorted(unlimited["train"][1], some["train"][1][-1])
    assert reach == 8 if shuffled else reach > 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 0}, "`limit` is 0; it must be at least 1"),
        ({"limit": -5}, "`limit` is -5"),
        ({"image_size": 0}, "`image_size` must be at least 1, not 0"),
        ({"validation_size": 0}, "`validation_size` is 0"),
        ({"validation_size": 30_000}, "`validation_size` is 30000"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        load("synthetic", **arguments)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "data set '' is incomplete; give one of auto, mnist, synthetic, folder:DIR"),
        ("  ", "is incomplete"),
        ("folder:", "'folder:' is incomplete"),
        ("npz:", "'npz:' is incomplete"),
        ("tfds:", "'tfds:' is incomplete"),
        ("foldr:faces", "'foldr:faces'; did you mean folder:DIR"),
        ("nzp:faces.npz", "'nzp:faces.npz'; did you mean npz:FILE"),
        ("syntetic", "'syntetic'; did you mean synthetic"),
        ("xyzzy-plugh", "'xyzzy-plugh'; give one of auto, mnist"),
        ("tfds:mnist/", "no data set 'tfds:mnist/'; did you mean mnist"),
    ],
)
def test_bad_specs(tmp_path, no_network, spec, message):
    with pytest.raises(InputError, match=message) as failure:
        load(spec, data_dir=tmp_path)
    assert "\n" not in str(failure.value) and not no_network


def test_a_path_without_a_scheme_suggests_one(tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    (tmp_path / "digits.npz").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="'faces' is a folder; write it as folder:faces"):
        load("faces")
    with pytest.raises(InputError, match="'digits.npz' is a file; write it as npz:digits.npz"):
        load("digits.npz")


def test_image_size_scales_any_source():
    data = load("synthetic", limit=5, image_size=14)
    assert data.image_shape == (14, 14, 1) and data.train.images.dtype == np.uint8
    original = load("synthetic", limit=5)
    np.testing.assert_allclose(data.train.images.mean(), original.train.images.mean(), rtol=0.05)


def test_summary_is_one_line():
    data = load("synthetic", limit=1500)
    assert data.summary() == (
        "synthetic: 28x28x1, 1,500 train, 1,500 validation, 1,500 test, 10 classes, "
        f"sha256 {data.fingerprint[:12]}"
    )


def test_fingerprint_depends_on_the_content_only(tmp_path, pixels):
    images, labels = pixels(20, 4, 4), np.arange(20)

    def fingerprint(name, **arrays):
        np.savez(tmp_path / name, **arrays)
        return load(f"npz:{tmp_path / name}").fingerprint

    first = fingerprint("a.npz", images=images, labels=labels)
    assert len(first) == 64 and set(first) <= set("0123456789abcdef")
    assert fingerprint("b.npz", images=images / 255, labels=labels.astype(np.uint8)) == first
    other = images.copy()
    other[0, 0, 0] ^= 1
    others = {
        fingerprint("c.npz", images=other, labels=labels),
        fingerprint("d.npz", images=images, labels=labels[::-1]),
        fingerprint("e.npz", images=images),
        fingerprint("f.npz", images=images.reshape(20, 2, 8), labels=labels),
    }
    assert len(others | {first}) == 5


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("folder", "My faces"), "folder-My-faces"),
        (("npz", "a/b:c"), "npz-a-b-c"),
        (("npz", "日本"), "npz"),
        (("emnist", "letters"), "emnist-letters"),
        (("folder", ""), "folder"),
        (("..",), "unnamed"),
    ],
)
def test_file_names(words, name):
    assert file_name(*words) == name


def test_import_and_synthetic_digits_need_no_tensorflow():
    code = (
        "import sys, keras_ganvae.data as data; data.load('synthetic', limit=2); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'tensorflow_datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

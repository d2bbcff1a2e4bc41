import errno
import logging
import os
import re
import time

import numpy as np
import pytest
from PIL import Image

from keras_ganvae.data import caching, load, pipeline, room, stored
from keras_ganvae.data.caching import Room
from keras_ganvae.data.lazy import LazyImages, first
from keras_ganvae.data.pipeline import (
    Position,
    Replicas,
    bad_images_told,
    batches,
    training_batches,
)
from keras_ganvae.data.sources import folder
from keras_ganvae.errors import InputError
from keras_ganvae.files import UNFINISHED

SPLITS = ("train", "validation", "test")
COUNT = 40
MB = 1 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Where cache files go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "keras-ganvae" / "images"


@pytest.fixture
def root(tmp_path, pixels):
    """A folder of 40 colour images of two classes."""
    root = tmp_path / "pictures"
    for number, image in enumerate(pixels(COUNT, 6, 5, 3)):
        path = root / ("cat" if number % 3 else "dog") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


def _assert_equal(one, other):
    assert (one.fingerprint, one.classes, one.image_shape, one.summary()) == (
        other.fingerprint,
        other.classes,
        other.image_shape,
        other.summary(),
    )
    for name in SPLITS:
        mine, its = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(mine.images[:], its.images[:])
        np.testing.assert_array_equal(mine.labels, its.labels)
        assert mine.labels is None or mine.labels.dtype == its.labels.dtype


ARGUMENTS = [{}, {"limit": 3}, {"image_size": 4}, {"validation_size": 7}]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("cache", ["disk", "none", "auto"])
def test_a_folder_is_the_same_whatever_the_cache(root, cache, arguments):
    expected = load(f"folder:{root}", **arguments)
    found = load(f"folder:{root}", cache=cache, **arguments)
    _assert_equal(found, expected)
    assert isinstance(found.train.images, LazyImages) == (cache != "auto")


def test_images_of_many_sizes_and_modes(root):
    Image.new("L", (9, 30), 200).save(root / "cat" / "grey.jpg")
    Image.new("RGBA", (30, 9), (1, 2, 3, 40)).save(root / "dog" / "clear.webp", lossless=True)
    expected = load(f"folder:{root}", image_size=5)
    for cache in ("disk", "none"):
        _assert_equal(load(f"folder:{root}", image_size=5, cache=cache), expected)


def test_split_folders_and_no_labels(tmp_path, pixels):
    for number, image in enumerate(pixels(12, 4, 4)):
        path = tmp_path / "pictures" / ("train", "train", "test")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    expected = load(f"folder:{tmp_path / 'pictures'}")
    for cache in ("disk", "none"):
        _assert_equal(load(f"folder:{tmp_path / 'pictures'}", cache=cache), expected)


def test_many_chunks(root, monkeypatch):
    """As a large folder is read: files, threads and pieces of several chunks."""
    expected = load(f"folder:{root}")
    monkeypatch.setattr("keras_ganvae.data.sources.source.CHUNK", 3 * 6 * 5 * 3)
    monkeypatch.setattr(folder, "_LOOKS", 4)
    for cache in ("memory", "disk", "none"):
        _assert_equal(load(f"folder:{root}", cache=cache), expected)


def test_batches_of_large_arrays_are_not_copied(pixels, monkeypatch):
    images = pixels(23, 4, 4, 3)
    expected = [batch.numpy().tobytes() for batch in batches(images, 5)]
    monkeypatch.setattr(pipeline, "MOST_COPIED", 1000)
    assert [batch.numpy().tobytes() for batch in batches(images, 5)] == expected
    monkeypatch.setattr("tensorflow.constant", None)
    assert len(batches(images, 5)) == 5


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_batches_are_the_same_bytes_whatever_the_cache(root, cache):
    def taken(dataset):
        images = dataset.train.images
        endless = training_batches(images, 8, seed=5, start=Position(0, 2))
        return [*endless.take(12), *batches(dataset.validation.images, 2)]

    expected = taken(load(f"folder:{root}"))
    for mine, its in zip(taken(load(f"folder:{root}", cache=cache)), expected, strict=True):
        assert mine.dtype == its.dtype and mine.numpy().tobytes() == its.numpy().tobytes()


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_the_shares_of_replicas_are_the_same_whatever_the_cache(root, cache):
    def taken(dataset):
        images, some = dataset.train.images, Replicas(total=3, first=1, local=2)
        made = training_batches(images, 8, seed=5, start=Position(), replicas=some).take(20)
        return [(int(size), len(share), share.numpy().tobytes()) for share, size in made]

    expected = taken(load(f"folder:{root}"))
    assert (1, 0, b"") in expected, "33 images are four batches and one image"
    assert taken(load(f"folder:{root}", cache=cache)) == expected


def test_batches_in_order_from_slow_readers():
    """The first batch is the slowest to fetch, and still the first."""

    class Slow(LazyImages):
        def _fetch(self, rows):
            time.sleep(0.2 if 0 in rows else 0)
            return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 1, 1, 1))

    made = batches(Slow(50, (1, 1, 1)), 5)
    assert made.element_spec.shape.as_list() == [None, 1, 1, 1]
    found = np.concatenate([batch.numpy().ravel() for batch in made])
    np.testing.assert_array_equal(np.rint(found * 255), np.arange(50))


INDICES = {
    "slice": slice(3, 20),
    "steps": slice(None, None, -3),
    "beyond": slice(30, 100),
    "empty": slice(5, 5),
    "one": 4,
    "last": -1,
    "NumPy's": np.int64(7),
    "array": np.array([5, 5, 0, 31, -2]),
    "list": [2, 3, 9],
    "none": np.array([], int),
    "mask": np.arange(33) % 4 == 0,
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
@pytest.mark.parametrize("cache", ["disk", "none"])
def test_indexed_like_an_array(root, cache, index):
    expected = load(f"folder:{root}").train.images
    images = load(f"folder:{root}", cache=cache).train.images
    assert (images.shape, images.dtype, images.ndim, images.nbytes, len(images)) == (
        expected.shape,
        expected.dtype,
        expected.ndim,
        expected.nbytes,
        33,
    )
    found = images[index]
    assert type(found) is np.ndarray and found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected[index])


def test_as_an_array(root):
    expected = load(f"folder:{root}").train.images
    images = load(f"folder:{root}", cache="disk").train.images
    np.testing.assert_array_equal(np.asarray(images), expected)
    assert np.asarray(images, np.float32).dtype == np.float32
    with pytest.raises(IndexError):
        images[33]


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_the_first_without_fetching_them(root, monkeypatch, cache):
    expected = load(f"folder:{root}").train.images
    images = load(f"folder:{root}", cache=cache).train.images
    decoded = _decoding_counted(monkeypatch)
    some = first(images, 9)
    assert some.shape == (9, 6, 5, 3) and not decoded
    np.testing.assert_array_equal(some[7:], expected[7:9])
    assert len(first(images, 100)) == 33


def _decoding_counted(monkeypatch):
    decoded = []
    pixels = folder._pixels

    def counted(path, shape):
        decoded.append(path)
        return pixels(path, shape)

    monkeypatch.setattr(folder, "_pixels", counted)
    return decoded


@pytest.mark.parametrize("cache", ["disk", "auto"])
def test_a_second_load_reads_the_file_of_the_first(root, monkeypatch, cache):
    decoded = _decoding_counted(monkeypatch)
    first = load(f"folder:{root}", cache="disk")
    assert len(decoded) == COUNT, "each file is decoded once"
    second = load(f"folder:{root}", cache=cache)
    assert len(decoded) == COUNT
    _assert_equal(first, second)


def test_other_settings_have_a_file_of_their_own(root, cache):
    for arguments in ARGUMENTS:
        load(f"folder:{root}", cache="disk", **arguments)
    assert len(list(cache.iterdir())) == len(ARGUMENTS)


def _repaint(root):
    Image.new("RGB", (5, 6), "red").save(root / "cat" / "01.png")


def _touch(root):
    os.utime(root / "cat" / "01.png", (1, 1))


CHANGES = {
    "repainted": _repaint,
    "touched": _touch,
    "removed": lambda root: (root / "cat" / "01.png").unlink(),
    "added": lambda root: (root / "cat" / "new.png").write_bytes(
        (root / "cat" / "01.png").read_bytes()
    ),
    "renamed": lambda root: (root / "cat" / "01.png").rename(root / "dog" / "01.png"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_folder_is_read_again(root, cache, monkeypatch, change):
    load(f"folder:{root}", cache="disk")
    change(root)
    decoded = _decoding_counted(monkeypatch)
    found = load(f"folder:{root}", cache="disk")
    assert len(decoded) == len(list(root.rglob("*.png")))
    _assert_equal(found, load(f"folder:{root}"))
    assert len(list(cache.iterdir())) == 1, "the file is replaced"


def _flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut in the pixels": lambda path: os.truncate(path, 5000),
    "cut in the header": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "a pixel": lambda path: _flip(path, 4096 + 1000),
    "a label": lambda path: _flip(path, -8),
    "the header": lambda path: _flip(path, 0),
    "no numbers": lambda path: path.write_bytes(
        path.read_bytes().replace(b'"shape": [6', b'"shape": "6')
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_not_used(root, cache, caplog, damage):
    expected = load(f"folder:{root}")
    load(f"folder:{root}", cache="disk")
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    damage(file)
    assert file.read_bytes() != whole
    _assert_equal(load(f"folder:{root}", cache="disk"), expected)
    assert f"{file} is damaged and not used" in caplog.text
    assert file.read_bytes() == whole


def test_a_file_that_is_replaced_stays_readable_for_who_reads_it(root):
    expected = load(f"folder:{root}")
    first = load(f"folder:{root}", cache="disk")
    _repaint(root)
    load(f"folder:{root}", cache="disk")
    _assert_equal(first, expected)


def test_a_file_that_is_cut_while_it_is_read(root, cache):
    images = load(f"folder:{root}", cache="disk").train.images
    (file,) = cache.iterdir()
    os.truncate(file, 5000)
    with pytest.raises(InputError, match=f"{file} was cut while it was in use"):
        images[:]


def _full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing(root, cache, monkeypatch):
    monkeypatch.setattr(stored, "_put", _full)
    with pytest.raises(InputError, match="can't be written.*No space left on device") as failure:
        load(f"folder:{root}", cache="disk")
    assert "\n" not in str(failure.value)
    assert not list(cache.iterdir())


def test_a_disk_that_is_too_small_is_told_before_anything_is_decoded(root, monkeypatch):
    decoded = _decoding_counted(monkeypatch)
    monkeypatch.setattr(stored, "free_disk", lambda folder: 3000)
    with pytest.raises(InputError, match=r"\(8.02 kB\): only 3 kB are free there"):
        load(f"folder:{root}", cache="disk")
    assert not decoded


def test_a_cache_folder_that_cannot_be_made(root, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    with pytest.raises(InputError, match="can't be written.*Not a directory"):
        load(f"folder:{root}", cache="disk")


@pytest.mark.parametrize("cache_", ["memory", "disk", "none"])
def test_a_damaged_image_is_named_and_leaves_nothing(root, cache, cache_):
    path = root / "cat" / "22.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="22.png cannot be read"):
        load(f"folder:{root}", cache=cache_)
    assert not cache.exists() or not list(cache.iterdir())


def test_what_a_killed_process_left_is_removed(root, cache):
    cache.mkdir(parents=True)
    for name, age in (("old", 7200), ("new", 10)):
        path = cache / f"{UNFINISHED}{name}.images"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    load(f"folder:{root}", cache="disk")
    left = sorted(path.name for path in cache.iterdir() if path.name.startswith(UNFINISHED))
    assert left == [f"{UNFINISHED}new.images"], "the new one may still be written"


@pytest.mark.parametrize("damage", [os.unlink, lambda path: path.write_bytes(b"")])
def test_an_image_that_is_lost_while_training_is_named(root, damage):
    images = load(f"folder:{root}", cache="none").train.images
    for path in root.rglob("*.png"):
        damage(path)
    made = batches(images, 8)
    message = r"^The image .*\.png cannot be read; .* remove it\.$"
    with pytest.raises(InputError, match=message), bad_images_told():
        list(made)


def test_tfds_on_disk(prepare, pixels):
    data_dir = prepare("beasts", {"train": pixels(50, 32, 32, 3), "test": pixels(9, 32, 32, 3)})
    expected = load("beasts", data_dir=data_dir)
    _assert_equal(load("beasts", data_dir=data_dir, cache="disk"), expected)
    again = load("beasts", data_dir=data_dir, cache="disk")
    _assert_equal(again, expected)
    assert isinstance(again.train.images, LazyImages)
    with pytest.raises(InputError, match="--cache none decodes the files of a folder.*beasts"):
        load("beasts", data_dir=data_dir, cache="none")


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_what_only_memory_suits(tmp_path, pixels, cache):
    np.savez(tmp_path / "some.npz", images=pixels(9, 4, 4))
    for spec in (f"npz:{tmp_path / 'some.npz'}", "synthetic"):
        with pytest.raises(
            InputError, match=f"--cache {cache} .*{spec}.*--cache memory"
        ) as failure:
            load(spec, cache=cache)
        assert "\n" not in str(failure.value)


def test_what_only_memory_suits_is_not_measured(tmp_path, pixels, caplog, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: 0)
    np.savez(tmp_path / "some.npz", images=pixels(9, 4, 4))
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        data = load(f"npz:{tmp_path / 'some.npz'}", cache="auto")
    assert isinstance(data.train.images, np.ndarray) and not caplog.records


def test_an_unknown_cache():
    with pytest.raises(InputError, match="--cache is 'ram'; it must be auto, memory, disk or none"):
        load("synthetic", cache="ram")


@pytest.mark.parametrize(
    ("wanted", "memory", "disk", "viewable", "chosen"),
    [
        (100, 400, 0, True, "memory"),
        (101, 400, 1000, True, "disk"),
        (101, 400, 201, True, "none"),
        (101, 400, 201, False, "memory"),
        (101, 201, 201, False, None),
        (caching.MOST_IN_MEMORY // MB, 10**6, 10**6, True, "memory"),
        (caching.MOST_IN_MEMORY // MB + 1, 10**6, 10**6, True, "disk"),
    ],
)
def test_what_auto_decides(wanted, memory, disk, viewable, chosen):
    assert caching.decide(wanted * MB, Room(memory * MB, disk * MB), viewable) == chosen


AUTO = [
    (10**6, 10**6, r"cache: memory \(3.6 kB of 1 MB available\)"),
    (10**4, 10**6, r"cache: disk \(3.6 kB in .*images\)"),
    (10**4, 10**3, r"cache: none \(3.6 kB, too large for memory and for .*images\)"),
]


@pytest.mark.parametrize(("memory", "disk", "line"), AUTO)
def test_auto_measures_and_says_what_it_chose(root, caplog, monkeypatch, memory, disk, line):
    monkeypatch.setattr(room, "free_memory", lambda: memory)
    monkeypatch.setattr(room, "free_disk", lambda folder: disk)
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        load(f"folder:{root}", cache="auto")
    assert re.fullmatch(line, caplog.messages[0]), caplog.messages


def test_tfds_without_any_room(prepare, pixels, monkeypatch):
    data_dir = prepare("beasts", {"train": pixels(50, 32, 32, 3)})
    monkeypatch.setattr(room, "free_memory", lambda: 10**5)
    monkeypatch.setattr(room, "free_disk", lambda folder: 10**5)
    with pytest.raises(InputError, match="beasts takes 154 kB.*--limit"):
        load("beasts", data_dir=data_dir, cache="auto")
    assert len(load("beasts", data_dir=data_dir, cache="auto", limit=3).train) == 3

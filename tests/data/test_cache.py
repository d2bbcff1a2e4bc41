import logging
import os
import re
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from keras_ganvae.data import load
from keras_ganvae.data.cache import MAX_IN_MEMORY, Space, fitting_cache
from keras_ganvae.data.lazy_images import LazyImages, first
from keras_ganvae.data.pipeline import (
    MAX_CONSTANT,
    Position,
    Replicas,
    batches,
    input_errors_of_pipeline,
    training_batches,
)
from keras_ganvae.errors import InputError
from keras_ganvae.files import UNFINISHED

SPLITS = ("train", "validation", "test")
COUNT = 40
MB = 1 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the cache files."""
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
        left, right = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(left.images[:], right.images[:])
        np.testing.assert_array_equal(left.labels, right.labels)
        assert left.labels is None or left.labels.dtype == right.labels.dtype


@pytest.fixture
def machine(monkeypatch):
    """`machine(memory, disk)` sets the bytes that are available."""

    def machine(memory=10**9, disk=10**9):
        system = psutil.virtual_memory()._replace(available=memory)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: system)
        monkeypatch.setattr(psutil, "disk_usage", lambda path: SimpleNamespace(free=disk))

    return machine


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


def test_large_images_are_read_in_many_chunks(tmp_path):
    for number in range(8):
        Image.new("RGB", (1200, 1000), (number, 2, 3)).save(tmp_path / f"{number:02}.png")
    expected = load(f"folder:{tmp_path}")
    values = [split.images[:, 9, 9, 0] for split in (expected.train, expected.test)]
    assert [len(np.unique(each)) for each in values] == [6, 1]
    for cache in ("disk", "none"):
        _assert_equal(load(f"folder:{tmp_path}", cache=cache), expected)


def test_large_arrays_are_not_copied():
    """A change of the array shows in batches that were defined before."""
    count = MAX_CONSTANT // 2**20 + 1
    images = np.zeros((count, 1024, 1024, 1), np.uint8)
    made = batches(images, 5)
    images[:] = np.arange(count, dtype=np.uint8)[:, None, None, None]
    assert len(made) == count // 5
    found = np.concatenate([batch.numpy()[:, 0, 0, 0] for batch in made])
    np.testing.assert_array_equal(found, images[:, 0, 0, 0].astype(np.float32) / 255)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_batches_are_the_same_bytes_whatever_the_cache(root, cache):
    def taken(dataset):
        images = dataset.train.images
        endless = training_batches(images, 8, seed=5, start=Position(0, 2))
        return [*endless.take(12), *batches(dataset.validation.images, 2)]

    expected = taken(load(f"folder:{root}"))
    for one, other in zip(taken(load(f"folder:{root}", cache=cache)), expected, strict=True):
        assert one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_replica_batches_are_the_same_whatever_the_cache(root, cache):
    def taken(dataset):
        images, some = dataset.train.images, Replicas(total=3, first=1, local=2)
        made = training_batches(images, 8, seed=5, start=Position(), replicas=some).take(20)
        return [(int(size), len(images), images.numpy().tobytes()) for images, size in made]

    expected = taken(load(f"folder:{root}"))
    assert (1, 0, b"") in expected, "33 images make four batches and one image"
    assert taken(load(f"folder:{root}", cache=cache)) == expected


def test_batches_in_order_from_slow_readers():
    """The first batch is the slowest to fetch, and still the first."""

    class Slow(LazyImages):
        def fetch(self, rows):
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
def test_the_first_images(root, cache):
    expected = load(f"folder:{root}").train.images
    images = load(f"folder:{root}", cache=cache).train.images
    some = first(images, 9)
    assert some.shape == (9, 6, 5, 3)
    np.testing.assert_array_equal(some[7:], expected[7:9])
    assert len(first(images, 100)) == 33


def test_the_first_images_are_not_fetched_before_they_are_indexed():
    fetched = []

    class Recorded(LazyImages):
        def fetch(self, rows):
            fetched.extend(rows)
            return np.zeros((len(rows), *self.shape[1:]), np.uint8)

    some = first(Recorded(50, (2, 2, 1)), 9)
    assert len(some) == 9 and not fetched
    some[7:]
    assert fetched == [7, 8]


def _erase(root):
    """Overwrite the images, but keep what tells whether a file has changed: size and time."""
    for path in root.rglob("*.png"):
        info = path.stat()
        path.write_bytes(bytes(info.st_size))
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize("cache", ["disk", "auto"])
def test_a_second_load_reads_no_image(root, cache):
    expected = load(f"folder:{root}", cache="disk")
    _erase(root)
    _assert_equal(load(f"folder:{root}", cache=cache), expected)


def test_other_settings_have_another_file(root, cache):
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
def test_a_changed_folder_is_read_again(root, cache, change):
    first = load(f"folder:{root}", cache="disk")  # its file stays open: no inode is reused
    (old,) = (path.stat().st_ino for path in cache.iterdir())
    change(root)
    found = load(f"folder:{root}", cache="disk")
    _assert_equal(found, load(f"folder:{root}"))
    (new,) = (path.stat().st_ino for path in cache.iterdir())
    assert new != old, "the file is replaced"
    assert len(first.train.images[:]) == 33


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
    valid = file.read_bytes()
    damage(file)
    assert file.read_bytes() != valid
    _assert_equal(load(f"folder:{root}", cache="disk"), expected)
    assert f"{file} is damaged and not used" in caplog.text
    assert file.read_bytes() == valid


def test_a_replaced_file_stays_readable_while_it_is_open(root):
    expected = load(f"folder:{root}")
    first = load(f"folder:{root}", cache="disk")
    _repaint(root)
    load(f"folder:{root}", cache="disk")
    _assert_equal(first, expected)


def test_a_file_truncated_while_it_is_open(root, cache):
    images = load(f"folder:{root}", cache="disk").train.images
    (file,) = cache.iterdir()
    os.truncate(file, 5000)
    with pytest.raises(InputError, match=f"{file} was truncated while it was in use"):
        images[:]


def test_a_failed_write_leaves_nothing(root, cache):
    """A limit on the size of files stands in for a full disk."""
    resource = pytest.importorskip("resource", reason="POSIX only")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(InputError, match="can't be written.*File too large") as failure:
            load(f"folder:{root}", cache="disk")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(failure.value)
    assert not list(cache.iterdir())


def test_a_disk_that_is_too_small_is_reported_before_the_images_are_decoded(root, machine):
    machine(disk=3000)
    (damaged, *_) = root.rglob("*.png")
    damaged.write_bytes(damaged.read_bytes()[:-60])  # only its header is valid
    with pytest.raises(InputError, match=r"\(8.74 kB\): only 3 kB are available"):
        load(f"folder:{root}", cache="disk", image_size=6)


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


def test_the_unfinished_files_of_killed_processes_are_removed(root, cache):
    cache.mkdir(parents=True)
    for name, age in (("old", 7200), ("new", 10)):
        path = cache / f"{UNFINISHED}{name}.images"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    load(f"folder:{root}", cache="disk")
    left = sorted(path.name for path in cache.iterdir() if path.name.startswith(UNFINISHED))
    assert left == [f"{UNFINISHED}new.images"], "a process may still be writing the new one"


@pytest.mark.parametrize("damage", [os.unlink, lambda path: path.write_bytes(b"")])
def test_an_image_that_disappears_during_training_is_named(root, damage):
    images = load(f"folder:{root}", cache="none").train.images
    for path in root.rglob("*.png"):
        damage(path)
    made = batches(images, 8)
    message = r"^The image .*\.png cannot be read; .* remove it\.$"
    with pytest.raises(InputError, match=message), input_errors_of_pipeline():
        list(made)


def test_tfds_on_disk(prepare, pixels):
    data_dir = prepare("beasts", {"train": pixels(50, 32, 32, 3), "test": pixels(9, 32, 32, 3)})
    expected = load("beasts", data_dir=data_dir)
    _assert_equal(load("beasts", data_dir=data_dir, cache="disk"), expected)
    again = load("beasts", data_dir=data_dir, cache="disk")
    _assert_equal(again, expected)
    assert isinstance(again.train.images, LazyImages)
    with pytest.raises(InputError, match="`cache=none` decodes the files of a folder.*beasts"):
        load("beasts", data_dir=data_dir, cache="none")


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_arrays_can_only_be_kept_in_memory(tmp_path, pixels, cache):
    np.savez(tmp_path / "some.npz", images=pixels(9, 4, 4))
    for spec in (f"npz:{tmp_path / 'some.npz'}", "synthetic"):
        with pytest.raises(
            InputError, match=f"`cache={cache}` .*{spec}.*`cache=memory`"
        ) as failure:
            load(spec, cache=cache)
        assert "\n" not in str(failure.value)


def test_arrays_are_kept_in_memory_if_they_just_fit(tmp_path, pixels, caplog, machine):
    machine(memory=150)  # of which the images take 144
    np.savez(tmp_path / "some.npz", images=pixels(9, 4, 4))
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        data = load(f"npz:{tmp_path / 'some.npz'}", cache="auto")
    assert isinstance(data.train.images, np.ndarray) and not caplog.records


def test_an_unknown_cache():
    with pytest.raises(InputError, match="`cache` is 'ram'; it must be auto, memory, disk or none"):
        load("synthetic", cache="ram")


@pytest.mark.parametrize(
    ("needed", "memory", "disk", "random_access", "chosen"),
    [
        (100, 400, 0, True, "memory"),
        (101, 400, 1000, True, "disk"),
        (101, 400, 201, True, "none"),
        (101, 400, 201, False, "memory"),
        (101, 201, 201, False, None),
        (MAX_IN_MEMORY // MB, 10**6, 10**6, True, "memory"),
        (MAX_IN_MEMORY // MB + 1, 10**6, 10**6, True, "disk"),
    ],
)
def test_the_choice_of_auto(needed, memory, disk, random_access, chosen):
    assert fitting_cache(needed * MB, Space(memory * MB, disk * MB), random_access) == chosen


AUTO = [
    (10**6, 10**6, r"cache: memory \(3.6 kB of 1 MB available\)"),
    (10**4, 10**6, r"cache: disk \(3.6 kB in .*images\)"),
    (10**4, 10**3, r"cache: none \(3.6 kB, too large for memory and for .*images\)"),
]


@pytest.mark.parametrize(("memory", "disk", "line"), AUTO)
def test_auto_logs_its_choice(root, caplog, machine, memory, disk, line):
    machine(memory, disk)
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        load(f"folder:{root}", cache="auto")
    assert re.fullmatch(line, caplog.messages[0]), caplog.messages


def test_a_tfds_data_set_that_fits_nowhere(prepare, pixels, machine):
    data_dir = prepare("beasts", {"train": pixels(50, 32, 32, 3)})
    machine(10**5, 10**5)
    with pytest.raises(InputError, match="beasts takes 154 kB.*`limit`"):
        load("beasts", data_dir=data_dir, cache="auto")
    assert len(load("beasts", data_dir=data_dir, cache="auto", limit=3).train) == 3

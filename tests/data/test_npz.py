import io
import struct
import zipfile

import numpy as np
import pytest

from keras_ganvae.data import load
from keras_ganvae.errors import InputError


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        np.savez_compressed(tmp_path / "digits.npz", **arrays)
        return f"npz:{tmp_path / 'digits.npz'}"

    return save


@pytest.mark.parametrize("shape", [(24, 28, 28), (24, 28, 28, 1), (24, 32, 32, 3)])
@pytest.mark.parametrize("key", ["x_train", "images"])
def test_images_alone(save, pixels, tmp_path, key, shape):
    images = pixels(*shape)
    data = load(save(**{key: images}))
    assert data.name == "npz-digits"
    assert data.spec == f"npz:{tmp_path / 'digits.npz'}"
    assert data.image_shape == (*shape, 1)[1:4]
    assert (len(data.train), len(data.validation), len(data.test)) == (21, 1, 2)
    splits = (data.train, data.validation, data.test)
    assert {i.tobytes() for split in splits for i in split.images} == {i.tobytes() for i in images}
    assert data.classes is None and data.test.labels is None


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_all_splits_with_labels(save, pixels, validation):
    x, t, v = pixels(9, 4, 4), pixels(5, 4, 4), pixels(4, 4, 4)
    arrays = {
        "x_train": x,
        "y_train": np.arange(9, dtype=np.uint8),
        "x_test": t,
        "y_test": np.arange(5)[:, None],
        f"x_{validation}": v,
    }
    data = load(save(**arrays))
    np.testing.assert_array_equal(data.train.images[..., 0], x)
    np.testing.assert_array_equal(data.validation.images[..., 0], v)
    np.testing.assert_array_equal(data.test.images[..., 0], t)
    assert data.train.labels.tolist() == list(range(9)) and data.train.labels.dtype == np.int64
    assert data.test.labels.tolist() == list(range(5)) and data.validation.labels is None
    assert data.classes == tuple("012345678")


def test_labels_stay_with_their_images(save):
    images = np.arange(200, dtype=np.uint8).repeat(16).reshape(200, 4, 4)
    data = load(save(images=images, labels=np.arange(200)))
    for split in (data.train, data.validation, data.test):
        assert split.images[:, 0, 0, 0].tolist() == split.labels.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_rounded_to_bytes(save, dtype):
    images = np.broadcast_to(np.arange(256).reshape(1, 16, 16) / 255, (3, 16, 16))
    data = load(save(images=images.astype(dtype)))
    np.testing.assert_array_equal(data.train.images[0].ravel(), np.arange(256))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((3, 4, 4))}, "no images under x_train or images; it has pictures"),
        ({}, "no images under x_train or images; it has nothing"),
        ({"images": np.zeros((3, 4))}, "'images' has shape 3x4"),
        ({"images": np.zeros((3, 4, 4, 2), np.uint8)}, "'images' has shape 3x4x4x2"),
        ({"images": np.zeros((0, 4, 4), np.uint8)}, "'images' has shape 0x4x4x1: no images"),
        ({"images": np.zeros((3, 4, 4), np.int64)}, "'images' is int64; images must be uint8"),
        ({"images": np.zeros((3, 4, 4), object)}, "digits.npz cannot be read"),
        ({"x_train": np.full((3, 4, 4), 1.5)}, "'x_train' has values from 1.5 to 1.5"),
        ({"x_train": np.full((3, 4, 4), -0.1)}, "'x_train' has values from -0.1"),
        ({"x_train": np.full((3, 4, 4), np.nan)}, "'x_train' has values from nan to nan"),
        ({"x_train": np.full((3, 4, 4), np.inf)}, "'x_train' has values from inf"),
    ],
)
def test_bad_images(save, arrays, message):
    with pytest.raises(InputError, match=message):
        load(save(**arrays))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.arange(4)}, "'labels' has shape 4; .* each of the 6 images under 'images'"),
        ({"labels": np.eye(6)}, "'labels' has shape 6x6"),
        ({"labels": np.zeros(6)}, "'labels' is float64; labels must be integers"),
        ({"labels": np.arange(6) - 1}, "'labels' has values from -1 to 4"),
        ({"labels": np.arange(6) * 10**6}, "'labels' has values from 0 to 5000000"),
        ({"y_train": np.arange(6), "labels": np.arange(6)}, "both 'y_train' and 'labels'"),
        ({"x_train": np.zeros((6, 4, 4), np.uint8)}, "both 'x_train' and 'images'"),
        ({"y_test": np.arange(6)}, "labels under 'y_test' but no images under x_test"),
        ({"x_test": np.zeros((6, 4, 5), np.uint8)}, "under 'x_test' are 4x5x1, .* are 4x4x1"),
        ({"x_val": np.zeros((6, 4, 4, 3), np.uint8)}, "under 'x_val' are 4x4x3, .* are 4x4x1"),
    ],
)
def test_arrays_that_do_not_fit_the_images(save, pixels, arrays, message):
    with pytest.raises(InputError, match=message):
        load(save(images=pixels(6, 4, 4), **arrays))


def _truncated(path):
    np.savez(path, images=np.zeros((100, 8, 8), np.uint8))
    path.write_bytes(path.read_bytes()[:3000])


def _single(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _flipped(path):
    np.savez_compressed(path, images=np.random.RandomState(0).bytes(5000))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


IMAGES = np.arange(3 * 16 * 16, dtype=np.uint8).reshape(3, 16, 16)


def _member(path, content=None, name="images.npy", compression=zipfile.ZIP_STORED):
    """An archive with one member: these bytes, or `IMAGES`."""
    if content is None:
        file = io.BytesIO()
        np.save(file, IMAGES)
        content = file.getvalue()
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)


def _header(shape, dtype="|u1"):
    """A header of an array, and 100 bytes of its content."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(100)


def _damaged(compression):
    def make(path):
        _member(path, compression=compression)
        data = bytearray(path.read_bytes())
        for i in range(60, 80):
            data[i] ^= 0xFF
        path.write_bytes(data)

    return make


def _patched(offset, value):
    """Two bytes of both headers of the member: 6 is the flags, 8 the compression."""

    def make(path):
        _member(path)
        data = bytearray(path.read_bytes())
        central = data.index(b"PK\1\2")
        struct.pack_into("<H", data, offset, value)
        struct.pack_into("<H", data, central + offset + 2, value)
        path.write_bytes(data)

    return make


def _claiming(size):
    """The archive's directory claims so many bytes."""

    def make(path):
        _member(path, _header((size - 128,)))
        data = bytearray(path.read_bytes())
        struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, size)
        path.write_bytes(data)

    return make


@pytest.mark.parametrize(
    "make",
    [
        lambda path: _member(path, b"no array"),
        lambda path: _member(path, b"no array", name="images"),
        lambda path: _member(path, b""),
        lambda path: _member(path, b"\x93NUMPY\x09\x00"),
        lambda path: _member(path, b"\x93NUMPY\x01\x00\xff\xff{"),
        lambda path: _member(path, _header((10**12, 28, 28))),
        lambda path: _member(path, _header((10**400,))),
        lambda path: _member(path, _header((-2, -50))),
        lambda path: _member(path, _header((10**12,), "|V0")),
        lambda path: _member(path, _header((12,), "|O")),
        _damaged(zipfile.ZIP_DEFLATED),
        _damaged(zipfile.ZIP_BZIP2),
        _damaged(zipfile.ZIP_LZMA),
        _patched(8, 97),
        _patched(6, 1),
        _claiming(2**31),
    ],
)
def test_archives_that_are_not_what_they_claim(tmp_path, make):
    make(tmp_path / "bad.npz")
    with pytest.raises(InputError, match="bad.npz") as failure:
        load(f"npz:{tmp_path / 'bad.npz'}")
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 1000


def test_other_members_are_ignored(tmp_path):
    _member(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("README.txt", "no array")
        archive.writestr("weights.npy", "no array")
    assert load(f"npz:{tmp_path / 'a.npz'}").image_shape == (16, 16, 1)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_compression_is_read(tmp_path, compression):
    _member(tmp_path / "a.npz", compression=compression)
    splits = load(f"npz:{tmp_path / 'a.npz'}")
    found = [part.images[0, ..., 0] for part in (splits.train, splits.validation, splits.test)]
    assert {each.tobytes() for each in found} == {each.tobytes() for each in IMAGES}


def test_images_beyond_the_memory(tmp_path, monkeypatch):
    from keras_ganvae.data.sources import npz

    np.savez(tmp_path / "a.npz", images=IMAGES)
    monkeypatch.setattr(npz, "available_memory", lambda: 700)
    with pytest.raises(InputError, match="'images' takes 768 bytes of memory, and 700 bytes are"):
        load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "There is no file .*bad.npz"),
        (lambda path: path.mkdir(), "There is no file .*bad.npz"),
        (lambda path: path.write_bytes(b""), "bad.npz cannot be read as .npz"),
        (lambda path: path.write_text("hello"), "bad.npz cannot be read as .npz"),
        (_truncated, "bad.npz cannot be read as .npz"),
        (_flipped, "bad.npz cannot be read as .npz"),
        (_single, "bad.npz is a single array"),
    ],
)
def test_bad_files(tmp_path, make, message):
    make(tmp_path / "bad.npz")
    with pytest.raises(InputError, match=message) as failure:
        load(f"npz:{tmp_path / 'bad.npz'}")
    assert "\n" not in str(failure.value)

"""`npz:FILE`: arrays saved with `numpy.savez`.

Training images have the key `x_train` or `images`; the others, if present, `x_test` and
`x_validation` (or `x_val`). Class numbers have the keys `y_train` or `labels`, `y_test`, and
`y_validation` (or `y_val`).
"""

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganvae.data.resources import available_memory, readable_size
from keras_ganvae.data.sources.base import Part, Source, chunks, file_name, resolved
from keras_ganvae.errors import InputError

_IMAGE_KEYS = {
    "train": ("x_train", "images"),
    "validation": ("x_validation", "x_val"),
    "test": ("x_test",),
}
_LABEL_KEYS = {
    "train": ("y_train", "labels"),
    "validation": ("y_validation", "y_val"),
    "test": ("y_test",),
}
_MAX_CLASSES = 100_000  # larger labels are surely not class numbers

_KEYS = {key for keys in (_IMAGE_KEYS, _LABEL_KEYS) for names in keys.values() for key in names}

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_COPIES = 3  # the most that scaling floats to bytes takes at a time
# What zipfile, its decompressors and NumPy raise; RuntimeError is encryption, and
# NotImplementedError, derived from it, an unknown compression.
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)

_ByKey = Mapping[str, Any]  # arrays, and None for what is under any other key
# Images (N, H, W, C) and labels (N,) or None.
_Arrays = tuple[np.ndarray, np.ndarray | None]


def open_source(file: str) -> Source:
    """Read a file.

    Images are uint8, or floats in [0, 1], of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3),
    with the same (H, W, C) in all splits. Labels are integers from 0, (N,) or (N, 1).

    Raises:
        InputError: the file is missing or damaged, or an array has another type or shape.
    """
    path = resolved(file)
    arrays = _load(path)
    found: dict[str, _Arrays] = {}
    for split in _IMAGE_KEYS:
        key, label_key = (_key(path, arrays, keys[split]) for keys in (_IMAGE_KEYS, _LABEL_KEYS))
        if key is None:
            _check_absence(path, arrays, split, label_key)
            continue
        images, labels = _images(arrays[key], f"{path}: {key!r}"), None
        if label_key is not None:
            labels = _labels(arrays[label_key], f"{path}: {label_key!r}", key, len(images))
        _check_shape(path, key, images, found)
        found[split] = images, labels
    classes = 1 + max(
        (int(labels.max()) for _, labels in found.values() if labels is not None), default=-1
    )
    return Source(
        name=file_name("npz", path.stem),
        spec=f"npz:{path}",
        classes=tuple(map(str, range(classes))) or None,
        parts={split: _part(*arrays) for split, arrays in found.items()},
        shuffled=False,
        shape=lambda: found["train"][0].shape[1:],
    )


def _load(path: Path) -> _ByKey:
    if not path.is_file():
        raise InputError(f"There is no file {path}; npz: needs a file written by numpy.savez.")
    try:
        with path.open("rb") as file:
            magic = np.lib.format.MAGIC_PREFIX
            if file.read(len(magic)) == magic:
                raise InputError(f"{path} is a single array, not .npz; write it with numpy.savez.")
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            return {
                key: _array(archive, name, f"{path}: {key!r}") if key in _KEYS else None
                for key, name in names.items()
            }
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} cannot be read as .npz ({reason}); write it again with numpy.savez."
        ) from error


def _array(archive: zipfile.ZipFile, name: str, where: str) -> np.ndarray:
    """Read an array after its header: a wrong one could ask for more memory than there is."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version not in _READ_HEADER:
            raise ValueError(f"{name} has an unknown version")
        shape, _, dtype = _READ_HEADER[version](file)
        size, held = math.prod(shape) * dtype.itemsize, archive.getinfo(name).file_size
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, not numbers")
        if min(shape, default=0) < 0 or size != held - file.tell():
            raise ValueError(
                f"{name} claims to be {_shape(shape)[:60]} of {dtype}, in {held} bytes"
            )
    needed, available = size * (_COPIES if dtype.kind == "f" else 1), available_memory()
    if needed > available:
        raise InputError(
            f"{where} takes {readable_size(needed)} of memory, and {readable_size(available)} are"
            " available; save fewer or smaller images."
        )
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _key(path: Path, arrays: _ByKey, keys: Sequence[str]) -> str | None:
    present = [key for key in keys if key in arrays]
    if len(present) > 1:
        raise InputError(f"{path} has both {present[0]!r} and {present[1]!r}; keep one of them.")
    return present[0] if present else None


def _check_absence(path: Path, arrays: _ByKey, split: str, label_key: str | None) -> None:
    """Refuse a split without images if it is the training split or has labels."""
    keys = " or ".join(_IMAGE_KEYS[split])
    if split == "train":
        found = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(f"{path} has no images under {keys}; it has {found}.")
    if label_key is not None:
        raise InputError(f"{path} has labels under {label_key!r} but no images under {keys}.")


def _check_shape(path: Path, key: str, images: np.ndarray, found: dict[str, _Arrays]) -> None:
    for other, _ in found.values():
        if images.shape[1:] != other.shape[1:]:
            raise InputError(
                f"{path}: the images under {key!r} are {_shape(images.shape[1:])}, but the "
                f"training images are {_shape(other.shape[1:])}; give all splits one shape."
            )


def _images(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise InputError(
            f"{where} has shape {_shape(array.shape)}; images must be (N, H, W) or "
            "(N, H, W, C) with C 1 or 3."
        )
    if not array.size:
        raise InputError(f"{where} has shape {_shape(array.shape)}: no images.")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise InputError(f"{where} is {array.dtype}; images must be uint8, or floats in [0, 1].")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # false for NaN too
        raise InputError(
            f"{where} has values from {low:g} to {high:g}; float images must be in [0, 1] "
            "(divide by 255, or save them as uint8)."
        )
    return np.round(array.astype(np.float32, copy=False) * np.float32(255)).astype(np.uint8)


def _labels(array: np.ndarray, where: str, image_key: str, images: int) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != images:
        raise InputError(
            f"{where} has shape {_shape(array.shape)}; give one class number for each of the "
            f"{images} images under {image_key!r}."
        )
    if array.dtype.kind not in "iu":
        raise InputError(f"{where} is {array.dtype}; labels must be integers from 0.")
    if array.min() < 0 or array.max() >= _MAX_CLASSES:
        raise InputError(
            f"{where} has values from {array.min()} to {array.max()}; labels must be class "
            f"numbers from 0 to {_MAX_CLASSES - 1}."
        )
    return array.astype(np.int64)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"


def _part(images: np.ndarray, labels: np.ndarray | None) -> Part:
    def read(indices):
        for rows in chunks(indices, images.shape[1:]):
            yield images[rows], None if labels is None else labels[rows]

    return Part(len(images), read)

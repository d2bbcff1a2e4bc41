"""`load`: from a spec to a `Dataset` with its three splits in memory."""

import difflib
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data import folder, npz, synthetic, tfds_source
from keras_ganvae.data.partition import partition
from keras_ganvae.data.resize import arrays_to_square
from keras_ganvae.data.source import Source
from keras_ganvae.errors import InputError

SPLITS = ("train", "validation", "test")
SPECS = ("auto", "mnist", "synthetic", "folder:DIR", "npz:FILE", "tfds:NAME")

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True, eq=False)
class Split:
    """`images` uint8 (N, H, W, C), C 1 or 3; `labels` int64 (N,), or None if there are none."""

    images: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits that share no image, and what they are called.

    `name` is short and fit for a file name; `spec` loads the same data set again, from any
    working directory; `classes` names the labels 0, 1, ... or is None; `fingerprint` is
    the SHA-256 of shapes, pixels and labels, wherever they were read from.
    """

    name: str
    spec: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...] | None
    fingerprint: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        return self.train.images.shape[1:]

    def summary(self) -> str:
        """One line for people: name, shape, sizes, classes, fingerprint."""
        sizes = ", ".join(f"{len(getattr(self, split)):,} {split}" for split in SPLITS)
        shape = "x".join(map(str, self.image_shape))
        labels = f"{len(self.classes)} classes" if self.classes else "no labels"
        return f"{self.name}: {shape}, {sizes}, {labels}, sha256 {self.fingerprint[:12]}"


def load(
    spec: str = "auto", *, data_dir=None, image_size=None, limit=None, validation_size=None
) -> Dataset:
    """Reads a data set into memory.

    Args:
        spec: `auto`; `synthetic`; `mnist` or another TFDS image data set, with
            `/config` and `:version` as TFDS writes them (`tfds:NAME` too); `folder:DIR`;
            `npz:FILE`. `auto` is MNIST if it is on disk or can be downloaded, else
            `synthetic` with one warning. Nothing else ever falls back.
        data_dir: where TFDS keeps data sets; else TFDS_DATA_DIR, else TFDS's own default.
        image_size: N scales every image to N by N (the central square of it). Folders and
            TFDS data sets whose images differ in size need it.
        limit: keep at most so many images of each split. Splits are made first.
        validation_size: images to hold out of train; a twelfth of them if None.

    Returns:
        The `Dataset`: the same images in the same order for the same arguments.

    Raises:
        InputError: the spec, its files or an argument is bad; the message says which.
    """
    if image_size is not None and image_size < 1:
        raise InputError(f"--image-size is {image_size}; it must be at least 1.")
    source = _open(spec, data_dir, image_size)
    plan = partition(
        {name: part.size for name, part in source.parts.items()},
        shuffled=source.shuffled,
        limit=limit,
        validation_size=validation_size,
    )
    splits = _read(source, plan, image_size)
    return Dataset(
        name=source.name,
        spec=source.spec,
        classes=source.classes,
        fingerprint=_fingerprint(splits),
        **splits,
    )


def _open(spec: str, data_dir, image_size) -> Source:
    scheme, colon, argument = spec.partition(":")
    if not spec.strip() or (colon and not argument):
        raise InputError(f"The data set {spec!r} is incomplete; give one of {_listed(SPECS)}.")
    if spec == "auto":
        return _open_auto(data_dir, image_size)
    if spec == "synthetic":
        return synthetic.open_source()
    if colon and scheme == "folder":
        return folder.open_source(argument, image_size)
    if colon and scheme == "npz":
        return npz.open_source(argument)
    name = argument if colon and scheme == "tfds" else spec
    tfds_source.check_name(name, data_dir, otherwise=lambda: _unknown(spec))
    return tfds_source.open_source(name, data_dir, image_size)


def _open_auto(data_dir, image_size) -> Source:
    try:
        return tfds_source.open_source("mnist", data_dir, image_size)
    except tfds_source.Unavailable:
        _log.warning(
            "MNIST is neither on disk nor can it be downloaded: using the built-in synthetic "
            "digits instead. To get MNIST, run once with a network, or set --data-dir or "
            "TFDS_DATA_DIR to a folder in which TFDS has prepared it (mnist/3.0.1)."
        )
        return synthetic.open_source()


def _unknown(spec: str) -> InputError:
    """The error for a spec that names nothing, with what was probably meant."""
    path = Path(spec).expanduser()
    if path.is_dir():
        return InputError(f"{spec!r} is a folder; write it as folder:{spec}")
    if path.is_file() and path.suffix == ".npz":
        return InputError(f"{spec!r} is a file; write it as npz:{spec}")
    known = {known.partition(":")[0]: known for known in SPECS}
    known |= {name: name for name in tfds_source.known_names()}
    nearest = []
    # `foldr:DIR` should suggest folder:DIR, and `mnits:3.0.1` mnist.
    name = spec.lower().removeprefix("tfds:")
    for wanted in (name, name.partition(":")[0]):
        nearest += difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    nearest = list(dict.fromkeys(known[name] for name in nearest))
    if nearest:
        return InputError(f"There is no data set {spec!r}; did you mean {_listed(nearest)}?")
    return InputError(f"There is no data set {spec!r}; give one of {_listed(SPECS)}.")


def _listed(names) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _read(source: Source, plan, image_size) -> dict[str, Split]:
    """The planned splits. A part is read once, even if several splits are cut from it."""
    splits = {}
    for part in sorted({part for part, _ in plan.values()}):
        shares = {name: indices for name, (its, indices) in plan.items() if its == part}
        wanted = np.sort(np.concatenate(list(shares.values())))
        images, labels = source.parts[part].read(wanted)
        if image_size is not None:
            images = arrays_to_square(images, image_size)
        for name, indices in shares.items():
            rows = np.searchsorted(wanted, indices)
            splits[name] = Split(images[rows], None if labels is None else labels[rows])
    return splits


def _fingerprint(splits) -> str:
    digest = hashlib.sha256()
    for name in SPLITS:
        images, labels = splits[name].images, splits[name].labels
        digest.update(f"{name} {images.shape} {labels is not None}\n".encode())
        digest.update(np.ascontiguousarray(images).data)
        if labels is not None:
            digest.update(labels.astype("<i8").data)
    return digest.hexdigest()

"""`load`: from a spec to a `Dataset` with its three splits, in memory or not."""

import difflib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data import caching, stored
from keras_ganvae.data.partition import partition
from keras_ganvae.data.resize import arrays_to_square
from keras_ganvae.data.sources import folder, npz, synthetic
from keras_ganvae.data.sources import tfds as tfds_source
from keras_ganvae.data.sources.source import Source
from keras_ganvae.data.split import SPLITS, Split, fingerprint
from keras_ganvae.errors import InputError

SPECS = ("auto", "mnist", "synthetic", "folder:DIR", "npz:FILE", "tfds:NAME")

_log = logging.getLogger("keras_ganvae")


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
    spec: str = "auto",
    *,
    data_dir=None,
    image_size=None,
    limit=None,
    validation_size=None,
    cache: str = "memory",
) -> Dataset:
    """Reads a data set.

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
        cache: where decoded images are kept: `memory`, `disk`, `none` or `auto` (see
            `caching`). Only in memory are `images` arrays; else they are `LazyImages`.

    Returns:
        The `Dataset`: the same images in the same order for the same arguments, and the
        same fingerprint, whatever the cache.

    Raises:
        InputError: the spec, its files or an argument is bad; the message says which.
    """
    if image_size is not None and image_size < 1:
        raise InputError(f"--image-size is {image_size}; it must be at least 1.")
    source = _open(spec, data_dir, image_size)
    caching.check(cache, source)
    plan = partition(
        {name: part.size for name, part in source.parts.items()},
        shuffled=source.shuffled,
        limit=limit,
        validation_size=validation_size,
    )
    file = stored.file_for(
        source.name, source.spec, size=image_size, limit=limit, validation=validation_size
    )
    splits, digest = _keep(cache, source, plan, image_size, file)
    return Dataset(
        name=source.name,
        spec=source.spec,
        classes=source.classes,
        fingerprint=digest,
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


def _keep(cache: str, source: Source, plan, image_size, file: Path):
    """The planned splits, kept as `cache` says, and their fingerprint."""
    state = source.state() if cache in ("auto", "disk") and source.state else None
    # A file from an earlier run is there to be used, and spares even a look at the images.
    found = stored.read(file, state) if state else None
    if found:
        _log.info("cache: disk (%s)", file)
        return found
    counts = {name: len(plan[name][1]) for name in SPLITS}
    if cache == "auto":
        cache = caching.choose(
            source, _shape(source, image_size), sum(counts.values()), file.parent
        )
    if cache == "disk":
        layout = stored.Layout(counts, _shape(source, image_size), source.classes is not None)
        return stored.write(file, state, layout, _stream(source, plan, image_size))
    splits = (
        _views(source, plan)
        if cache == "none"
        else _arrays(counts, _shape(source, image_size), _stream(source, plan, image_size))
    )
    return splits, fingerprint(splits)


def _shape(source: Source, image_size) -> tuple[int, int, int]:
    """(H, W, C) of the images as they are kept."""
    height, width, channels = source.shape()
    return (image_size or height, image_size or width, channels)


def _views(source: Source, plan) -> dict[str, Split]:
    return {
        name: Split(*source.parts[part].view(indices)) for name, (part, indices) in plan.items()
    }


def _arrays(counts, shape, stream) -> dict[str, Split]:
    images = {name: np.empty((count, *shape), np.uint8) for name, count in counts.items()}
    labels = {name: [] for name in counts}
    for name, row, pixels, numbers in stream:
        images[name][row : row + len(pixels)] = pixels
        if numbers is not None:
            labels[name].append(numbers)
    return {
        name: Split(images[name], np.concatenate(labels[name]) if labels[name] else None)
        for name in counts
    }


def _stream(source: Source, plan, image_size) -> Iterator[tuple]:
    """All planned images in pieces: (split, number of the first, images, labels or None).

    A part is read once, even if several splits are cut from it; the pieces of a split come
    in order.
    """
    for part in sorted({part for part, _ in plan.values()}):
        shares = {name: indices for name, (its, indices) in plan.items() if its == part}
        wanted = np.sort(np.concatenate(list(shares.values())))
        places = {name: np.searchsorted(wanted, indices) for name, indices in shares.items()}
        done = dict.fromkeys(shares, 0)
        first = 0
        for images, labels in source.parts[part].read(wanted):
            if image_size is not None:
                images = arrays_to_square(images, image_size)
            for name, its in places.items():
                until = int(np.searchsorted(its, first + len(images)))
                rows = its[done[name] : until] - first
                if len(rows):
                    yield name, done[name], images[rows], labels if labels is None else labels[rows]
                done[name] = until
            first += len(images)

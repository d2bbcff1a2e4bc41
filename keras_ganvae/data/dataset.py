"""Load a data set, given by a spec, with its three splits."""

import difflib
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.config import MAX_SIZE, check_range
from keras_ganvae.data import disk_cache
from keras_ganvae.data.cache import check_cache, choose_cache
from keras_ganvae.data.disk_cache import Piece
from keras_ganvae.data.lazy_images import Shape
from keras_ganvae.data.resize import arrays_to_square
from keras_ganvae.data.resources import available_memory, readable_size
from keras_ganvae.data.sources import folder, npz, synthetic
from keras_ganvae.data.sources import tfds as tfds_source
from keras_ganvae.data.sources.base import Source
from keras_ganvae.data.splits import SPLITS, Split, SplitIndices, fingerprint, split_indices
from keras_ganvae.errors import InputError

SPECS = ("auto", "mnist", "synthetic", "folder:DIR", "npz:FILE", "tfds:NAME")

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits that share no image.

    Attributes:
        name: short name, fit for a file name.
        spec: the spec that loads the data set again, from any working directory.
        train: images to train on.
        validation: images held out for decisions during development.
        test: images held out for the final evaluation.
        classes: names of the labels 0, 1, ..., or None if there are no labels.
        fingerprint: SHA-256 checksum of shapes, pixels and labels.
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
        """One line of text: name, shape, sizes, classes, fingerprint."""
        sizes = ", ".join(f"{len(getattr(self, split)):,} {split}" for split in SPLITS)
        shape = "x".join(map(str, self.image_shape))
        labels = f"{len(self.classes)} classes" if self.classes else "no labels"
        return f"{self.name}: {shape}, {sizes}, {labels}, sha256 {self.fingerprint[:12]}"


def load(
    spec: str = "auto",
    *,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    limit: int | None = None,
    validation_size: int | None = None,
    cache: str = "memory",
) -> Dataset:
    """Load a data set.

    Args:
        spec: `auto`; `synthetic`; `mnist` or another TFDS image data set, with
            `/config` and `:version` as TFDS writes them (`tfds:NAME` too); `folder:DIR`;
            `npz:FILE`. `auto` is MNIST if it is on disk or can be downloaded, else
            `synthetic` with one warning. No other spec falls back.
        data_dir: where TFDS keeps data sets; else TFDS_DATA_DIR, else TFDS's default.
        image_size: N crops every image to its central square and scales that to N by N.
            Required for folders and TFDS data sets whose images differ in size.
        limit: the most images to keep of each split. It does not change the splits.
        validation_size: images to hold out of the training images; a twelfth if None.
        cache: where decoded images are kept: `memory`, `disk`, `none` or `auto` (see
            `data.cache`). In memory, `Split.images` are arrays; else `LazyImages`.

    Returns:
        The same images in the same order, and the same fingerprint, whatever the cache.

    Raises:
        InputError: the spec, a file or an argument is invalid.
    """
    if image_size is not None:
        check_range("image_size", image_size, least=1, most=MAX_SIZE)
    source = _open(spec, data_dir, image_size)
    check_cache(cache, source)
    plan = split_indices(
        {name: part.size for name, part in source.parts.items()},
        shuffled=source.shuffled,
        limit=limit,
        validation_size=validation_size,
    )
    file = disk_cache.file_for(
        source.name, source.spec, size=image_size, limit=limit, validation=validation_size
    )
    splits, digest = _read(cache, source, plan, image_size, file)
    return Dataset(
        name=source.name,
        spec=source.spec,
        classes=source.classes,
        fingerprint=digest,
        **splits,
    )


def _open(spec: str, data_dir: str | Path | None, image_size: int | None) -> Source:
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
    if not tfds_source.exists(name, data_dir):
        raise _unknown(spec)
    return tfds_source.open_source(name, data_dir, image_size)


def _open_auto(data_dir: str | Path | None, image_size: int | None) -> Source:
    try:
        return tfds_source.open_source("mnist", data_dir, image_size)
    except tfds_source.Unavailable:
        _log.warning(
            "MNIST is not on disk and cannot be downloaded: using the built-in synthetic digits "
            "instead. To get MNIST, run once with a network, or set `data_dir` or TFDS_DATA_DIR "
            "to a folder in which TFDS has prepared it (mnist/3.0.1)."
        )
        return synthetic.open_source()


def _unknown(spec: str) -> InputError:
    """The error for an unknown spec, with suggestions."""
    path = Path(spec).expanduser()
    if path.is_dir():
        return InputError(f"{spec!r} is a folder; write it as folder:{spec}")
    if path.is_file() and path.suffix == ".npz":
        return InputError(f"{spec!r} is a file; write it as npz:{spec}")
    known = {each.partition(":")[0]: each for each in SPECS}
    known |= {name: name for name in tfds_source.known_names()}
    nearest: list[str] = []
    # `foldr:DIR` should suggest folder:DIR, and `mnits:3.0.1` mnist.
    name = spec.lower().removeprefix("tfds:")
    for wanted in (name, name.partition(":")[0]):
        nearest += difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    nearest = list(dict.fromkeys(known[name] for name in nearest))
    if nearest:
        return InputError(f"There is no data set {spec!r}; did you mean {_listed(nearest)}?")
    return InputError(f"There is no data set {spec!r}; give one of {_listed(SPECS)}.")


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _read(
    cache: str, source: Source, plan: SplitIndices, image_size: int | None, file: Path
) -> tuple[dict[str, Split], str]:
    """The planned splits, kept as `cache` says, and their fingerprint.

    Args:
        cache: `auto`, `memory`, `disk` or `none`.
        source: the opened data set.
        plan: the images of each split.
        image_size: N scales the images to N by N; None keeps their size.
        file: where the cache on disk is, or will be.
    """
    state = source.state() if cache in ("auto", "disk") and source.state else None
    # Reading the file of an earlier run avoids even reading the headers of the images.
    found = disk_cache.read(file, state) if state else None
    if found:
        _log.info("cache: disk (%s)", file)
        return found
    counts = {name: len(plan[name][1]) for name in SPLITS}
    if cache == "auto":
        shape = _shape(source, image_size)
        cache = choose_cache(source, shape, sum(counts.values()), file.parent)
    if cache == "none":
        splits = _views(source, plan)
        return splits, fingerprint(splits)
    shape = _shape(source, image_size)
    pieces = _pieces(source, plan, image_size)
    if state and cache == "disk":
        layout = disk_cache.Layout(counts, shape, source.classes is not None)
        return disk_cache.write(file, state, layout, pieces)
    _check_fit(source, sum(counts.values()), shape)
    splits = _arrays(counts, shape, pieces)
    return splits, fingerprint(splits)


def _check_fit(source: Source, count: int, shape: Shape) -> None:
    """Refuse images that can't be kept in memory."""
    size, available = math.prod(shape), available_memory()
    if count * size > available:
        raise InputError(
            f"The {count} images of {source.spec} take {readable_size(count * size)}, and"
            f" {readable_size(available)} of memory are available, enough for"
            f" {available // size}; set `limit`, or reduce `image_size`."
        )


def _shape(source: Source, image_size: int | None) -> Shape:
    """(H, W, C) of the images after scaling."""
    height, width, channels = source.shape()
    return (image_size or height, image_size or width, channels)


def _views(source: Source, plan: SplitIndices) -> dict[str, Split]:
    splits = {}
    for name, (part, indices) in plan.items():
        view = source.parts[part].view
        assert view, "check_cache guarantees random access"
        splits[name] = Split(*view(indices))
    return splits


def _arrays(counts: dict[str, int], shape: Shape, pieces: Iterator[Piece]) -> dict[str, Split]:
    images = {name: np.empty((count, *shape), np.uint8) for name, count in counts.items()}
    labels: dict[str, list[np.ndarray]] = {name: [] for name in counts}
    for name, row, pixels, numbers in pieces:
        images[name][row : row + len(pixels)] = pixels
        if numbers is not None:
            labels[name].append(numbers)
    return {
        name: Split(images[name], np.concatenate(labels[name]) if labels[name] else None)
        for name in counts
    }


def _pieces(source: Source, plan: SplitIndices, image_size: int | None) -> Iterator[Piece]:
    """Read all planned images in pieces.

    A part is read once, even if several splits are cut from it. The pieces of a split come
    in order.
    """
    for part in sorted({part for part, _ in plan.values()}):
        by_split = {name: indices for name, (its, indices) in plan.items() if its == part}
        wanted = np.sort(np.concatenate(list(by_split.values())))
        places = {name: np.searchsorted(wanted, indices) for name, indices in by_split.items()}
        done = dict.fromkeys(by_split, 0)
        first = 0
        for images, labels in source.parts[part].read(wanted):
            if image_size is not None:
                images = arrays_to_square(images, image_size)
            for name, its in places.items():
                end = int(np.searchsorted(its, first + len(images)))
                rows = its[done[name] : end] - first
                if len(rows):
                    yield name, done[name], images[rows], labels if labels is None else labels[rows]
                done[name] = end
            first += len(images)

"""TensorFlow Datasets (TFDS): `mnist`, or any other image data set that it has.

Data sets on disk are read without any network access. TFDS downloads the others, but only
after their host has answered: without a network, TFDS retries for minutes.
"""

import contextlib
import difflib
import fnmatch
import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganvae.data import network
from keras_ganvae.data.lazy_images import Shape
from keras_ganvae.data.resize import array_to_square
from keras_ganvae.data.sources.base import Chunk, Part, Source, file_name, resolved
from keras_ganvae.errors import InputError

_BATCH = 1024  # images decoded at a time
_BUCKET = "https://storage.googleapis.com"  # the host of data sets that declare no URL
_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[^:/]+))?(:(?P<version>[\d.*]+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Unavailable(InputError):
    """The data set exists, but is not on disk and cannot be downloaded now."""


@dataclass(frozen=True)
class Prepared:
    """A data set that TFDS has prepared in `folder`."""

    name: str
    config: str | None
    version: str
    folder: Path

    @property
    def spec(self) -> str:
        return f"{self.name}/{self.config}" if self.config else self.name


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Where TFDS keeps data sets: the argument, else TFDS_DATA_DIR, else TFDS's default."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or Path("~", "tensorflow_datasets")
    return resolved(chosen)


def prepared(data_dir: str | Path | None = None, name: str = "*") -> list[Prepared]:
    """The data sets on disk, or those called `name`, sorted, the newest version last."""
    root = data_folder(data_dir)
    found = []
    for levels in (f"{name}/*", f"{name}/*/*"):
        for info in root.glob(f"{levels}/dataset_info.json"):
            found_name, *config, version = info.parent.relative_to(root).parts
            # Folders of interrupted downloads have other names.
            if _VERSION.fullmatch(version):
                found.append(
                    Prepared(found_name, config[0] if config else None, version, info.parent)
                )
    return sorted(found, key=lambda it: (it.name, it.config or "", _numbers(it.version)))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def known_names() -> list[str]:
    """The names of all data sets of TFDS, of images or not."""
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def exists(full_name: str, data_dir: str | Path | None) -> bool:
    """Whether `NAME[/CONFIG][:VERSION]` names a data set on disk or one of TFDS.

    The configuration and the version need not exist.
    """
    match = _NAME.fullmatch(full_name)
    if not match:
        return False
    return bool(prepared(data_dir, match["name"])) or match["name"] in known_names()


def open_source(
    full_name: str, data_dir: str | Path | None = None, image_size: int | None = None
) -> Source:
    """Open a data set, after downloading it if it is not on disk.

    Args:
        full_name: `NAME[/CONFIG][:VERSION]`, of a data set that `exists`.
        data_dir: see `data_folder`.
        image_size: N scales images that differ in size to N by N.

    Raises:
        Unavailable: it is not on disk and cannot be downloaded.
        InputError: there is no such configuration or version, files are damaged, or the
            data set has no images.
    """
    match = _NAME.fullmatch(full_name)
    assert match, full_name
    name, config, version = match.group("name", "config", "version")
    config = config or next(iter(_configs(name)), None)
    on_disk = [
        it
        for it in prepared(data_dir, name)
        if it.config == config and fnmatch.fnmatch(it.version, version or "*")
    ]
    folder = on_disk[-1].folder if on_disk else _download(name, config, version, data_dir)
    return _source(_builder(folder), _full_name(name, config, version), image_size)


def _full_name(name: str, config: str | None, version: str | None) -> str:
    return name + (f"/{config}" if config else "") + (f":{version}" if version else "")


def _configs(name: str) -> list[str]:
    """The configurations of a data set of TFDS, the default first; none for others."""
    import tensorflow_datasets as tfds

    if name not in known_names():
        return []
    return [config.name for config in tfds.builder_cls(name).BUILDER_CONFIGS]


def _download(
    name: str, config: str | None, version: str | None, data_dir: str | Path | None
) -> Path:
    """Download and prepare a data set; return its folder."""
    import tensorflow_datasets as tfds

    wanted, root = _full_name(name, config, version), data_folder(data_dir)
    if name not in known_names():
        found = ", ".join(f"{it.spec}:{it.version}" for it in prepared(data_dir, name))
        raise InputError(f"{wanted} is not in {root}, which has {found}; give one of these.")
    builder = _new_builder(name, config, version, root)
    _image_feature(builder, wanted)
    url = next(iter(tfds.builder_cls(name).url_infos), _BUCKET)
    if not network.reachable(url):
        raise Unavailable(
            f"{wanted} is not in {root}, and its host {url.split('/')[2]} cannot be reached; "
            "connect to the network, or set `data_dir` or TFDS_DATA_DIR to a folder in which TFDS "
            "has prepared it."
        )
    _prepare(builder, wanted)
    return Path(builder.data_dir)


def _new_builder(name: str, config: str | None, version: str | None, root: Path) -> Any:
    import tensorflow_datasets as tfds

    configs = _configs(name)
    if config and config not in configs:
        near = difflib.get_close_matches(config, configs, n=3, cutoff=0.3) or configs[:3]
        advice = f"try {', '.join(near)}" if near else f"give just {name}"
        raise InputError(f"{name} has no configuration {config!r}; {advice}.")
    try:
        with _quiet():
            return tfds.builder(_full_name(name, config, version), data_dir=root)
    except (AssertionError, ValueError, ImportError) as error:
        raise InputError(
            f"TFDS cannot make {_full_name(name, config, version)}: {_line(error)}"
        ) from error


def _prepare(builder: Any, wanted: str) -> None:
    import tensorflow_datasets as tfds

    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        # TFDS prints to stdout, which is for results.
        with _quiet(), contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=settings)
    except Exception as error:  # of each data set's own code, and of several HTTP layers
        raise Unavailable(f"{wanted} could not be downloaded: {_line(error)}") from error


def _builder(folder: Path) -> Any:
    import tensorflow_datasets as tfds

    try:
        with _quiet():
            return tfds.builder_from_directory(folder)
    except Exception as error:  # of JSON, protobuf, and TFDS
        raise _damaged(folder, error) from error


def _damaged(folder: str | Path, error: Exception) -> InputError:
    return InputError(
        f"The data set in {folder} is damaged ({_line(error)}); delete that folder and prepare "
        "it again."
    )


def _line(error: Exception) -> str:
    """An exception's message on one line, shortened: TensorFlow's may fill pages."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"^(\{\{[^}]*\}\} ?)+|^Failed to construct dataset .*?\}\": ", "", text)
    return text if len(text) <= 200 else text[:200] + "..."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages that TFDS logs about every step, except errors."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _image_feature(builder: Any, wanted: str) -> Any:
    """The feature "image", or an `InputError` if these models can't use it."""
    import tensorflow_datasets as tfds

    try:
        features = builder.info.features
    except Exception as error:  # of the data set's own code, which may download
        raise InputError(f"TFDS cannot describe {wanted}: {_line(error)}") from error
    feature = _feature(features, "image")
    if not isinstance(feature, tfds.features.Image):
        raise InputError(f"{wanted} has no images (no feature 'image'); give an image data set.")
    if feature.np_dtype != np.uint8 or feature.shape[-1] not in (1, 3):
        raise InputError(
            f"The images of {wanted} are {np.dtype(feature.np_dtype)} with {feature.shape[-1]} "
            "channels; they must be uint8 with 1 or 3."
        )
    return feature


def _feature(features: Any, name: str) -> Any:
    """A feature by name, or None; `FeaturesDict` has no `get`."""
    return features[name] if name in (features or ()) else None


def _source(builder: Any, wanted: str, image_size: int | None) -> Source:
    import tensorflow_datasets as tfds

    feature = _image_feature(builder, wanted)
    if None in feature.shape and image_size is None:
        raise InputError(
            f"The images of {wanted} differ in size; give `image_size=N` to make them all N by N."
        )
    label = _feature(builder.info.features, "label")
    labelled = isinstance(label, tfds.features.ClassLabel)
    parts = {
        split: _part(builder, name, labelled, image_size)
        for split, name in _split_names(builder, wanted).items()
    }
    return Source(
        name=file_name(*wanted.split(":")[0].split("/")),
        spec=wanted,
        classes=tuple(label.names) if labelled else None,
        parts=parts,
        shuffled=True,
        shape=lambda: _shape(feature, image_size),
        state=lambda: _state(Path(builder.data_dir)),
    )


def _shape(feature: Any, image_size: int | None) -> Shape:
    """(H, W, C) of the images that the parts yield."""
    side = (image_size, image_size) if None in feature.shape else feature.shape[:2]
    return (*side, feature.shape[-1])


def _state(folder: Path) -> str:
    """A checksum of the names, sizes and times of the files that TFDS prepared."""
    digest = hashlib.sha256(f"{folder}\n".encode())
    for path in sorted(folder.iterdir()):
        info = path.stat()
        digest.update(f"{path.name}\0{info.st_size}\0{info.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _split_names(builder: Any, wanted: str) -> dict[str, str]:
    """TFDS's names of our splits. A single split is for training, whatever its name."""
    names = list(builder.info.splits)
    if len(names) == 1:
        return {"train": names[0]}
    if "train" not in names:
        raise InputError(
            f"{wanted} has no split 'train', only {', '.join(names) or 'none at all'}."
        )
    return {name: name for name in ("train", "validation", "test") if name in names}


def _part(builder: Any, split: str, labelled: bool, image_size: int | None) -> Part:
    def read(indices):
        import tensorflow as tf

        try:
            with _quiet():
                yield from _read(builder, split, indices, labelled, image_size)
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise _damaged(builder.data_dir, error) from error

    return Part(builder.info.splits[split].num_examples, read)


def _read(
    builder: Any, split: str, indices: np.ndarray, labelled: bool, image_size: int | None
) -> Iterator[Chunk]:
    """Yield the images at the sorted `indices`, in TFDS's order, and their labels or None."""
    differ_in_size = None in builder.info.features["image"].shape
    first = done = 0
    for batch in _batches(
        builder, split, labelled, 1 if differ_in_size else _BATCH, int(indices[-1]) + 1
    ):
        pixels = batch["image"]
        end = int(np.searchsorted(indices, first + len(pixels)))
        chosen = indices[done:end] - first
        first, done = first + len(pixels), end
        if not len(chosen):
            continue
        if differ_in_size and image_size:  # `_source` requires it then
            images = np.stack([array_to_square(pixels[i], image_size) for i in chosen])
        else:
            images = pixels[chosen]
        yield images, batch["label"][chosen].astype(np.int64) if labelled else None
    if first <= indices[-1]:
        raise ValueError(f"{split} ends after {first} images")


def _batches(
    builder: Any, split: str, labelled: bool, batch_size: int, count: int
) -> Iterator[dict[str, np.ndarray]]:
    """The first `count` examples of a split, in their order on disk, as batches of arrays."""
    import tensorflow_datasets as tfds

    features = {"image": True, "label": True} if labelled else {"image": True}
    examples = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(features),
        # One file after the other: the order must not depend on the number of files.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    return examples.take(count).batch(batch_size).as_numpy_iterator()

"""TensorFlow Datasets: `mnist`, or any other image data set that it knows.

What lies on disk is read without a look at the network. What does not is downloaded by
TFDS, but only after the host that it comes from has answered: TFDS on its own retries for
minutes before it admits that there is no network.
"""

import contextlib
import difflib
import fnmatch
import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data import network
from keras_ganvae.data.names import file_name
from keras_ganvae.data.resize import array_to_square
from keras_ganvae.data.sources.source import Part, Source
from keras_ganvae.errors import InputError

_BATCH = 1024  # images decoded at a time
_BUCKET = "https://storage.googleapis.com"  # asked when a data set names no address
_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[^:/]+))?(:(?P<version>[\d.*]+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Unavailable(InputError):
    """The data set exists, but it is neither on disk nor can it be downloaded now."""


@dataclass(frozen=True)
class Prepared:
    """A data set that TFDS has written to disk, in `folder`."""

    name: str
    config: str | None
    version: str
    folder: Path

    @property
    def spec(self) -> str:
        return f"{self.name}/{self.config}" if self.config else self.name


def data_folder(data_dir=None) -> Path:
    """Where TFDS keeps data: the argument, else TFDS_DATA_DIR, else TFDS's own default."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or Path("~", "tensorflow_datasets")
    return Path(chosen).expanduser().resolve()


def prepared(data_dir=None, name: str = "*") -> list[Prepared]:
    """What lies in the data folder under `name`, sorted, the newest version last."""
    root = data_folder(data_dir)
    found = []
    for levels in (f"{name}/*", f"{name}/*/*"):
        for info in root.glob(f"{levels}/dataset_info.json"):
            name_here, *config, version = info.parent.relative_to(root).parts
            # Folders of a download that was interrupted have other names.
            if _VERSION.fullmatch(version):
                found.append(Prepared(name_here, *config or [None], version, info.parent))
    return sorted(found, key=lambda it: (it.name, it.config or "", _numbers(it.version)))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def known_names() -> list[str]:
    """The data sets that TFDS can make, images or not."""
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def check_name(full_name: str, data_dir, otherwise: Callable[[], Exception]):
    """Raises what `otherwise` returns if `full_name` is neither on disk nor known to TFDS."""
    match = _NAME.fullmatch(full_name)
    if match and (prepared(data_dir, match["name"]) or match["name"] in known_names()):
        return
    raise otherwise()


def open_source(full_name: str, data_dir=None, image_size: int | None = None) -> Source:
    """Opens `full_name`, `NAME[/CONFIG][:VERSION]`; downloads it if it is not on disk.

    Args:
        full_name: a name that `check_name` lets pass.
        data_dir: see `data_folder`.
        image_size: N, for data sets whose images differ in size.

    Raises:
        Unavailable: it is not on disk and cannot be downloaded.
        InputError: no such configuration or version, damaged files, or no images in it.
    """
    name, config, version = _NAME.fullmatch(full_name).group("name", "config", "version")
    config = config or _default_config(name)
    on_disk = [
        it
        for it in prepared(data_dir, name)
        if it.config == config and fnmatch.fnmatch(it.version, version or "*")
    ]
    folder = on_disk[-1].folder if on_disk else _fetch(name, config, version, data_dir)
    builder = _builder(folder)
    return _source(builder, _full_name(name, config, version), image_size)


def _full_name(name: str, config, version) -> str:
    return name + (f"/{config}" if config else "") + (f":{version}" if version else "")


def _default_config(name: str) -> str | None:
    configs = _configs(name)
    return configs[0] if configs else None


def _configs(name: str) -> list[str]:
    """The configurations of a data set that TFDS knows; none for one that merely is on disk."""
    import tensorflow_datasets as tfds

    if name not in known_names():
        return []
    return [config.name for config in tfds.builder_cls(name).BUILDER_CONFIGS]


def _fetch(name: str, config, version, data_dir) -> Path:
    """Downloads and prepares a data set; returns its folder."""
    import tensorflow_datasets as tfds

    wanted, root = _full_name(name, config, version), data_folder(data_dir)
    if name not in known_names():
        there = ", ".join(f"{it.spec}:{it.version}" for it in prepared(data_dir, name))
        raise InputError(f"{wanted} is not in {root}, which has {there}; give one of these.")
    builder = _new_builder(name, config, version, root)
    _image_feature(builder, wanted)
    address = next(iter(tfds.builder_cls(name).url_infos), _BUCKET)
    if not network.reachable(address):
        raise Unavailable(
            f"{wanted} is not in {root}, and {address.split('/')[2]}, where it comes from, cannot "
            "be reached; connect to the network, or set --data-dir or TFDS_DATA_DIR to a folder "
            "in which TFDS has prepared it."
        )
    return _download(builder, wanted)


def _new_builder(name: str, config, version, root: Path):
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


def _download(builder, wanted: str) -> Path:
    import tensorflow_datasets as tfds

    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        # TFDS announces itself on stdout, which belongs to results.
        with _quiet(), contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=settings)
    except Exception as error:  # each data set's own code and several HTTP layers
        raise Unavailable(f"{wanted} could not be downloaded: {_line(error)}") from error
    return Path(builder.data_dir)


def _builder(folder: Path):
    import tensorflow_datasets as tfds

    try:
        with _quiet():
            return tfds.builder_from_directory(folder)
    except Exception as error:  # JSON, protobuf and TFDS each have errors of their own
        raise _damaged(folder, error) from error


def _damaged(folder, error) -> InputError:
    return InputError(
        f"The data set in {folder} is damaged ({_line(error)}); delete that folder and prepare "
        "it again."
    )


def _line(error: Exception) -> str:
    """The beginning of an error's message on one line: TFDS's and TensorFlow's run to pages."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"^(\{\{[^}]*\}\} ?)+|^Failed to construct dataset .*?\}\": ", "", text)
    return text if len(text) <= 200 else text[:200] + "..."


@contextlib.contextmanager
def _quiet():
    """Without the remarks that TFDS logs about every step; errors still show."""
    chatter = logging.getLogger("absl")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        yield
    finally:
        chatter.setLevel(level)


def _image_feature(builder, wanted: str):
    """The feature "image", or an `InputError` that says why the data set will not do."""
    import tensorflow_datasets as tfds

    try:
        features = builder.info.features
    except Exception as error:  # a data set's own code; some describe themselves by download
        raise InputError(f"TFDS cannot describe {wanted}: {_line(error)}") from error
    feature = _feature(features, "image")
    if not isinstance(feature, tfds.features.Image):
        raise InputError(f"{wanted} has no images (no feature 'image'); give an image data set.")
    if feature.np_dtype != np.uint8 or feature.shape[-1] not in (1, 3):
        raise InputError(
            f"The images of {wanted} are {np.dtype(feature.np_dtype)} with {feature.shape[-1]} "
            "channels; this program wants uint8 with 1 or 3."
        )
    return feature


def _feature(features, name: str):
    """A feature by name, or None; `FeaturesDict` is not a dict and has no `get`."""
    return features[name] if name in (features or ()) else None


def _source(builder, wanted: str, image_size) -> Source:
    import tensorflow_datasets as tfds

    feature = _image_feature(builder, wanted)
    if None in feature.shape and image_size is None:
        raise InputError(
            f"The images of {wanted} differ in size; give --image-size N to make them all N by N."
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


def _shape(feature, image_size) -> tuple[int, int, int]:
    """(H, W, C) of the images that the parts yield."""
    side = (image_size, image_size) if None in feature.shape else feature.shape[:2]
    return (*side, feature.shape[-1])


def _state(folder: Path) -> str:
    """A digest of the names, sizes and times of the files that TFDS prepared."""
    digest = hashlib.sha256(f"{folder}\n".encode())
    for path in sorted(folder.iterdir()):
        info = path.stat()
        digest.update(f"{path.name}\0{info.st_size}\0{info.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _split_names(builder, wanted: str) -> dict[str, str]:
    """Our names of the splits to TFDS's. A lone split, whatever its name, is for training."""
    names = list(builder.info.splits)
    if len(names) == 1:
        return {"train": names[0]}
    if "train" not in names:
        raise InputError(
            f"{wanted} has no split 'train', only {', '.join(names) or 'none at all'}."
        )
    return {name: name for name in ("train", "validation", "test") if name in names}


def _part(builder, split: str, labelled: bool, image_size) -> Part:
    def read(indices):
        import tensorflow as tf

        try:
            with _quiet():
                yield from _read(builder, split, indices, labelled, image_size)
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise _damaged(builder.data_dir, error) from error

    return Part(builder.info.splits[split].num_examples, read)


def _read(builder, split: str, indices, labelled: bool, image_size):
    """The images at the sorted `indices`, in TFDS's order, and their labels or None, in chunks."""
    varied = None in builder.info.features["image"].shape
    first = done = 0
    for batch in _batches(builder, split, labelled, 1 if varied else _BATCH, int(indices[-1]) + 1):
        pixels = batch["image"]
        until = np.searchsorted(indices, first + len(pixels))
        chosen = indices[done:until] - first
        first, done = first + len(pixels), until
        if not len(chosen):
            continue
        if varied:
            images = np.stack([array_to_square(pixels[i], image_size) for i in chosen])
        else:
            images = pixels[chosen]
        yield images, batch["label"][chosen].astype(np.int64) if labelled else None
    if first <= indices[-1]:
        raise ValueError(f"{split} ends after {first} images")


def _batches(builder, split: str, labelled: bool, batch_size: int, count: int):
    """The first `count` examples of a split in their order on disk, batched, as arrays."""
    import tensorflow_datasets as tfds

    features = {"image": True, "label": True} if labelled else {"image": True}
    examples = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(features),
        # One file after the other: the order of the files' contents, whatever their number.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    return examples.take(count).batch(batch_size).as_numpy_iterator()

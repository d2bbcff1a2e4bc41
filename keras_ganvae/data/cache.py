"""Where the decoded images of a data set are kept: in memory, on disk, or nowhere.

- `memory`: arrays. The fastest, if they fit.
- `disk`: decoded once into a file of the cache folder, from which batches and later runs
  read. For folders and TFDS data sets.
- `none`: decoded again for each batch, in threads. For folders.
- `auto`: memory for small data sets, else disk if there is space, else none.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.config import CACHES
from keras_ganvae.data.lazy_images import Shape
from keras_ganvae.data.resources import available_disk, available_memory, readable_size
from keras_ganvae.data.sources.base import Source
from keras_ganvae.errors import InputError

# `auto` uses at most a quarter of the available memory,
MEMORY_FRACTION = 4
# and no more than this: reading from a file that the system keeps in its page cache costs
# training next to nothing, and the system can reclaim that memory.
MAX_IN_MEMORY = 256 << 20
DISK_FRACTION = 2  # half of the available disk space

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class Space:
    """Available bytes: in memory, and on the disk of the cache folder."""

    memory: int
    disk: int


def check_cache(cache: str, source: Source) -> None:
    """Check that `cache` exists and suits the source.

    Raises:
        InputError: it does not.
    """
    if cache not in CACHES:
        raise InputError(f"`cache` is {cache!r}; it must be auto, memory, disk or none.")
    if cache == "none" and not _has_random_access(source):
        raise InputError(
            f"`cache=none` decodes the files of a folder when they are needed; {source.spec} "
            "is not a folder: use `cache=memory`."
        )
    if cache == "disk" and source.state is None:
        raise InputError(
            f"`cache=disk` is for folders and TFDS data sets; {source.spec} is in memory "
            "anyway: use `cache=memory`."
        )


def _has_random_access(source: Source) -> bool:
    return all(part.view for part in source.parts.values())


def choose_cache(source: Source, shape: Shape, count: int, folder: Path) -> str:
    """Resolve `auto`, and log the choice where there was one.

    Args:
        source: the opened data set.
        shape: (H, W, C) of its images as they would be kept.
        count: the number of images.
        folder: the cache folder on disk.

    Raises:
        InputError: the images fit neither in memory nor on disk.
    """
    if source.state is None:
        return "memory"
    needed = count * int(np.prod(shape, dtype=np.int64))
    random_access = _has_random_access(source)
    space = Space(available_memory(), available_disk(folder))
    chosen = fitting_cache(needed, space, random_access)
    if chosen is None:
        raise InputError(
            f"{source.spec} takes {readable_size(needed)}, which fits neither in memory "
            f"({readable_size(space.memory)} available) nor on disk "
            f"({readable_size(space.disk)}); set `limit` or `image_size`."
        )
    if chosen != "memory" or random_access:
        _log.info("cache: %s (%s)", chosen, _reason(chosen, needed, space, folder))
    return chosen


def fitting_cache(needed: int, space: Space, random_access: bool) -> str | None:
    """`memory`, `disk` or `none` for so many bytes; None if they fit nowhere."""
    if needed <= min(space.memory // MEMORY_FRACTION, MAX_IN_MEMORY):
        return "memory"
    if needed <= space.disk // DISK_FRACTION:
        return "disk"
    if random_access:
        return "none"
    # The other half is for TensorFlow and the model.
    return "memory" if needed <= space.memory // 2 else None


def _reason(chosen: str, needed: int, space: Space, folder: Path) -> str:
    size = readable_size(needed)
    if chosen == "memory":
        return f"{size} of {readable_size(space.memory)} available"
    if chosen == "disk":
        return f"{size} in {folder}"
    return f"{size}, too large for memory and for {folder}"

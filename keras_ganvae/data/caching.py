"""Where a data set's decoded images are kept: in memory, in a file, or nowhere.

- `memory`: arrays. The quickest, as long as there is room.
- `disk`: decoded once into a file below XDG_CACHE_HOME (or ~/.cache), from which batches
  are read; the next run finds them there. Folders and TFDS data sets.
- `none`: decoded again for each batch, in threads. Folders only.
- `auto`: memory for what is small, else disk if there is room, else none.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data import room
from keras_ganvae.data.room import size
from keras_ganvae.data.sources.source import Source
from keras_ganvae.errors import InputError

CACHES = ("auto", "memory", "disk", "none")

# `auto` takes at most this share of the free memory,
MEMORY_SHARE = 4
# and no more than this: reading from a file that the system still remembers costs a training
# next to nothing, and memory that the system lends it can be taken back.
MOST_IN_MEMORY = 256 << 20
DISK_SHARE = 2  # half of the free disk

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class Room:
    """Bytes that are free; `disk` where the file would lie."""

    memory: int
    disk: int


def check(cache: str, source: Source):
    """Raises InputError if there is no such cache, or the source can't be kept that way."""
    if cache not in CACHES:
        raise InputError(f"--cache is {cache!r}; it must be auto, memory, disk or none.")
    if cache == "none" and not _viewable(source):
        raise InputError(
            f"--cache none decodes the files of a folder when they are needed; {source.spec} "
            "is no folder: use --cache memory."
        )
    if cache == "disk" and source.state is None:
        raise InputError(
            f"--cache disk is for folders and TFDS data sets; {source.spec} is in memory "
            "anyway: use --cache memory."
        )


def _viewable(source: Source) -> bool:
    return all(part.view for part in source.parts.values())


def choose(source: Source, shape, count: int, folder: Path) -> str:
    """What `auto` comes to, said in one log line where there was a choice.

    Args:
        source: the opened `Source`.
        shape: (H, W, C) of its images, as they are to be kept.
        count: how many are wanted.
        folder: where they would be kept on disk.

    Raises:
        InputError: there is no room anywhere.
    """
    if source.state is None:
        return "memory"
    wanted = count * int(np.prod(shape, dtype=np.int64))
    viewable = _viewable(source)
    free = Room(room.free_memory(), room.free_disk(folder))
    chosen = decide(wanted, free, viewable)
    if chosen is None:
        raise InputError(
            f"{source.spec} takes {size(wanted)}, and there is room for it neither in memory "
            f"({size(free.memory)} free) nor on disk ({size(free.disk)}); give --limit N or "
            "--image-size N."
        )
    if chosen != "memory" or viewable:
        _log.info("cache: %s (%s)", chosen, _reason(chosen, wanted, free, folder))
    return chosen


def decide(wanted: int, free: Room, viewable: bool) -> str | None:
    """`memory`, `disk` or `none` for so many bytes; None if nothing is left to choose."""
    if wanted <= min(free.memory // MEMORY_SHARE, MOST_IN_MEMORY):
        return "memory"
    if wanted <= free.disk // DISK_SHARE:
        return "disk"
    if viewable:
        return "none"
    # As much again for TensorFlow and the model.
    return "memory" if wanted <= free.memory // 2 else None


def _reason(chosen: str, wanted: int, free: Room, folder: Path) -> str:
    if chosen == "memory":
        return f"{size(wanted)} of {size(free.memory)} available"
    if chosen == "disk":
        return f"{size(wanted)} in {folder}"
    return f"{size(wanted)}, too large for memory and for {folder}"

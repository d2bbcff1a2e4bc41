"""Available memory and disk space, checked before large arrays or files are created."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from keras_ganvae.errors import InputError

FLOAT = 4  # bytes


def available_memory(root: str | Path = "/") -> int:
    """Bytes that can be allocated without swapping, within the memory limit of the container.

    Args:
        root: the root of the file system that holds `proc/` and `sys/`.
    """
    return min([psutil.virtual_memory().available, *_left_in_cgroups(Path(root))])


def check_images_fit(setting: str, count: int, shape: Sequence[int], latent_dim: int = 0) -> None:
    """Refuse a number of generated images that can't fit in memory.

    Args:
        setting: the name of the setting that asks for them.
        count: how many.
        shape: (H, W, C).
        latent_dim: of the latents that they are decoded from.

    Raises:
        InputError: more memory is needed than is available.
    """
    size = FLOAT * (latent_dim + math.prod(shape)) + math.prod(shape)  # float32, then uint8
    available = available_memory()
    if count * size > available:
        raise InputError(
            f"`{setting}` {count} takes at least {readable_size(count * size)} of memory;"
            f" {readable_size(available)} are available, enough for {available // size}"
        )


def available_disk(folder: str | Path) -> int:
    """Bytes that a file in `folder` may take; 0 if it is not writable.

    The folder need not exist yet.
    """
    folder = Path(folder).absolute()
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return 0
    return psutil.disk_usage(str(nearest)).free


def _left_in_cgroups(root: Path) -> list[int]:
    """Bytes left below each memory limit of this process's control groups.

    Read by hand because psutil reports the whole machine: in a container with a limit of
    2 GB on a machine of 64 GB, it would let us allocate until the kernel kills the process.
    """
    left = []
    for folder in _cgroups(root):
        for limit, usage in (
            ("memory.max", "memory.current"),  # cgroup v2
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),  # v1
        ):
            try:
                # A v2 group without a limit says "max", which is a ValueError.
                most, used = (int((folder / name).read_text()) for name in (limit, usage))
                cached = _page_cache((folder / "memory.stat").read_text())
            except (OSError, ValueError):
                continue
            left.append(max(0, most - used + cached))
    return left


def _cgroups(root: Path) -> list[Path]:
    """The folders of this process's memory groups and of their ancestors."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []  # not Linux
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        # Inside a container, its own group is at the top, even if `path` is the host's.
        group = Path(path.lstrip("/"))
        folders += [top / each for each in (group, *group.parents)]
    return folders


def _page_cache(stat: str) -> int:
    """Bytes of cached files, which the kernel drops when memory is needed."""
    fields = dict(line.split() for line in stat.splitlines())
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def readable_size(count: float) -> str:
    """A number of bytes with its unit, such as "157 MB"."""
    for unit in ("bytes", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"

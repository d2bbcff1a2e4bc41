"""How much memory and disk there is to use, before something large is put there."""

import os
import shutil
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def free_memory() -> int:
    """Bytes that can be had without swapping: of the machine, or of this container if less."""
    return min(_free_on_machine(), *_free_in_groups())


def free_disk(folder) -> int:
    """Bytes that a file in `folder`, which need not exist, may take; 0 if it can't be written."""
    folder = Path(folder).absolute()
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return 0
    return shutil.disk_usage(nearest).free


def _free_on_machine() -> int:
    """Linux counts what it would give back; elsewhere half of all memory is a fair guess."""
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _free_in_groups() -> list[int]:
    """What each control group around this process leaves; none where there are no limits.

    An infinite value stands for no limit, so that the list is never empty.
    """
    found = [1 << 62]
    for folder in _own_groups():
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            try:
                most = (folder / limit).read_text().strip()
                taken = int((folder / used).read_text())
                reclaimable = _file_pages((folder / "memory.stat").read_text())
            except (OSError, ValueError):
                continue  # no such file: the other version of control groups, or the root's
            if most != "max":
                found.append(max(0, int(most) - taken + reclaimable))
    return found


def _own_groups() -> list[Path]:
    """The folders of this process's control groups, and of the groups around these."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = _CGROUPS / "memory" if controllers else _CGROUPS
        below = Path(path.lstrip("/"))
        # A container sees its own group at the top, whatever path is told.
        folders += [top / each for each in (below, *below.parents)]
    return folders


def _file_pages(stat: str) -> int:
    """Bytes of files read or written before, which the kernel drops when memory is wanted."""
    fields = dict(line.split() for line in stat.splitlines())
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def size(count: int) -> str:
    """So many bytes, for people: 157 MB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"

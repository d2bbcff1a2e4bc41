"""Atomic writes, checks of output paths, checksums, and the cache folder."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_ganvae.errors import InputError

NAME_OF_CACHE = "keras-ganvae"
UNFINISHED = ".part-"  # prefix of temporary files and folders
OLD = "-old"  # suffix of a folder's temporary name while another takes its place
CLOCK_ERROR = 60.0  # seconds, between the start of a process and a file's time
_in_use: set[Path] = set()  # temporary files and folders that this process is writing


def cache_folder(*parts: str) -> Path:
    """The folder of this package's caches: ~/.cache/keras-ganvae, or below XDG_CACHE_HOME.

    Args:
        parts: names below it.
    """
    root = os.environ.get("XDG_CACHE_HOME") or Path("~", ".cache").expanduser()
    return Path(root, NAME_OF_CACHE, *parts)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path that is renamed to `path` on success.

    The file is synced before it is renamed, so that a crash leaves either the old file or
    the new one. If the block raises, the temporary file is removed and `path` is unchanged.
    """
    path = Path(path).resolve()  # replaces the target of a link, not the link
    _check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_path(path) as temporary:
        try:
            temporary.touch(exist_ok=False)
            with _naming_full_disk(path):
                yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            _remove_although_interrupted(temporary)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Write a folder atomically: yield an empty temporary one that replaces `path` on success.

    Where the system can't exchange two names at once, a crash may leave the old folder under
    a temporary name; `recover` puts it back.
    """
    path = Path(path).resolve()
    with temporary_folder(path) as temporary:
        with _naming_full_disk(path):
            yield temporary
        for file in temporary.rglob("*"):
            sync(file)
        sync(temporary)
        _swap(temporary, path)
        sync(path.parent)


@contextlib.contextmanager
def temporary_folder(path: Path, mode: int = 0o777) -> Iterator[Path]:
    """Yield an empty folder beside `path` and remove it at the end.

    What a killed process has left there is removed first, see `recover`.

    Args:
        path: names the folder's purpose; it need not exist.
        mode: permissions, less the process's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_path(path) as temporary:
        try:
            temporary.mkdir(mode)
            yield temporary
        finally:
            _remove_although_interrupted(temporary)


@contextlib.contextmanager
def _temporary_path(path: Path) -> Iterator[Path]:
    """An unused path beside `path`. Its name has the process and a digest of `path.name`.

    Unlike `tempfile`'s, what is created there has ordinary permissions. It has the suffix of
    `path` because some writers choose the format by it.
    """
    recover(path)
    name = f"{UNFINISHED}{os.getpid()}-{_digest(path)}-{secrets.token_hex(4)}{path.suffix}"
    temporary = path.with_name(name)
    _in_use.add(temporary)
    try:
        yield temporary
    finally:
        _in_use.discard(temporary)


def _digest(path):
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]


def recover(path: str | os.PathLike) -> None:
    """Clean up after processes that were killed while they replaced `path`.

    If the old folder was just being swapped, it gets its name back.
    """
    path = Path(path).resolve()
    pattern = re.compile(rf"{re.escape(UNFINISHED)}(\d{{1,9}})-{_digest(path)}-.*", re.DOTALL)
    for leftover in path.parent.glob(f"{UNFINISHED}*"):
        match = pattern.fullmatch(leftover.name)
        if not match or not _is_abandoned(leftover, int(match[1])):
            continue
        with contextlib.suppress(PermissionError):  # another user's
            if leftover.name.endswith(OLD) and not path.exists():
                os.replace(leftover, path)
            else:
                _remove(leftover)


def _is_abandoned(leftover, process):
    """Whether the process that wrote a temporary file or folder has ended."""
    if process == os.getpid():  # in a container, a killed process often had the same number
        return leftover not in _in_use
    import psutil  # takes 40 ms

    try:
        # Since then its number may have been given to another process.
        return psutil.Process(process).create_time() > leftover.lstat().st_mtime + CLOCK_ERROR
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, FileNotFoundError):
        return False


def _swap(new, path):
    """Give a folder the name `path`, and the folder that had it the name `new`."""
    if not path.exists():
        os.replace(new, path)
    elif not _exchange(new, path):
        old = new.with_name(new.name + OLD)
        os.replace(path, old)
        try:
            os.replace(new, path)
        except BaseException:
            if not path.exists():
                os.replace(old, path)
            raise
        os.replace(old, new)


def _exchange(one, other):
    """Exchange the names of two folders at once; False where the system can't."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None).renameat2  # in glibc since 2.28
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@contextlib.contextmanager
def _naming_full_disk(path: Path) -> Iterator[None]:
    """Make the error of a full disk name `path` instead of a source or a temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            error.filename, error.filename2 = str(path), None
        raise


def check_parent(out: str | Path) -> None:
    """Check that the parent folder of `out` exists or can be created.

    Raises:
        InputError: one of its ancestors is not a folder.
    """
    nearest = _nearest(Path(out).absolute().parent)
    if not nearest.is_dir():
        raise InputError(f"`out={out}`: {nearest} is not a folder")


def check_new_file(path: str | Path) -> None:
    """Check that a file can be written to `path`, or be replaced there.

    Raises:
        InputError: `path` is a folder or a device, or its folder is not writable.
    """
    path = Path(path).resolve()
    _check_replaceable(path)
    nearest = _nearest(path.parent)
    try:  # permissions alone miss read-only file systems
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise InputError(f"can't write {path}: {nearest} is not a writable folder") from error


def _check_replaceable(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file")


def _nearest(path: Path) -> Path:
    """The path itself or the first of its ancestors that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def remove_unfinished(folder: str | Path) -> None:
    """Remove the temporary files that a killed process left in `folder` and below it."""
    for path in list(Path(folder).rglob(f"{UNFINISHED}*")):
        _remove(path)


def _remove_although_interrupted(path):
    """Remove a file or folder; an interrupt that arrives meanwhile waits until it is done."""
    try:
        _remove(path)
    except KeyboardInterrupt:
        _remove(path)
        raise


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically, indented by two spaces."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def readable(path: str | os.PathLike) -> Path:
    """Return the path of a file to read, unless it is a pipe or a device.

    Opening a pipe waits for a writer, which may never come.

    Raises:
        OSError: there is no such file, or it is a pipe, a socket or a device.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to open a folder is an error anyway
        raise OSError(errno.ENXIO, "not a regular file", os.fspath(path))
    return Path(path)


def sha256_of(path: str | Path) -> str:
    """The hexadecimal SHA-256 checksum of a file."""
    with open(readable(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """The hexadecimal SHA-256 checksum of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sync(path: str | Path) -> None:
    """Flush a file or folder to the disk (fsync)."""
    windows = os.name == "nt"
    if windows and Path(path).is_dir():
        return  # Windows can't sync folders,
    # and syncs only files that are open for writing.
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

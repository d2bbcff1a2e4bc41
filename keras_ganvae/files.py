"""Atomic writes, checks of output paths, checksums, and the cache folder."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from keras_ganvae.errors import InputError

NAME_OF_CACHE = "keras-ganvae"
UNFINISHED = ".part-"  # prefix of temporary files and folders


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
    # Some writers choose the format by the suffix.
    temporary = _temporary(path.parent, path.name)
    temporary.touch(exist_ok=False)
    try:
        with _naming_full_disk(path):
            yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Write a folder atomically: yield an empty temporary one that replaces `path` on success.

    The swap takes two renames. A crash between them leaves both folders under temporary
    names.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path.parent)
    temporary.mkdir()
    try:
        with _naming_full_disk(path):
            yield temporary
        for file in temporary.rglob("*"):
            sync(file)
        sync(temporary)
        old = temporary.with_name(f"{temporary.name}-old")
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
        sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(folder: Path, suffix: str = "") -> Path:
    """An unused path. Unlike `tempfile`'s, what is created there has ordinary permissions."""
    return folder / f"{UNFINISHED}{secrets.token_hex(4)}{suffix}"


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


def check_new_folder(out: str | Path, kind: str, marks: Collection[str], overwrite: bool) -> None:
    """Check that a folder can be created at `out`, or be replaced there.

    Args:
        out: the folder to create.
        kind: what it will hold, such as "bundle", for error messages.
        marks: files by which an existing folder of this kind is recognized.
        overwrite: whether an existing folder of this kind may be replaced.

    Raises:
        InputError: `out` is a file, a folder of something else, or exists and `overwrite` is
            false.
    """
    out = Path(out)
    check_parent(out)
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"`out={out}` is a file")
    if all((out / mark).exists() for mark in marks):
        if not overwrite:
            raise InputError(f"`out={out}` already holds a {kind}; `overwrite` replaces it")
    elif any(out.iterdir()):
        raise InputError(f"`out={out}` is not empty and not a {kind}; choose another folder")


def _check_replaceable(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file")


def _nearest(path: Path) -> Path:
    """The path itself or the first of its ancestors that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def remove_unfinished(folder: str | Path) -> None:
    """Remove the temporary files that a killed process left in `folder` and below it."""
    for path in list(Path(folder).rglob(f"{UNFINISHED}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically, indented by two spaces."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def sha256_of(path: str | Path) -> str:
    """The hexadecimal SHA-256 checksum of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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

"""Writing files so that a death at any moment leaves the old file or the new one, whole."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from keras_ganvae.errors import InputError

NAME_OF_CACHE = "keras-ganvae"
UNFINISHED = ".part-"  # begins the name of what is being written


def cache_folder(*parts: str) -> Path:
    """The folder of this package's caches: ~/.cache/keras-ganvae, or below XDG_CACHE_HOME.

    Args:
        parts: names below it.
    """
    root = os.environ.get("XDG_CACHE_HOME") or Path("~", ".cache").expanduser()
    return Path(root, NAME_OF_CACHE, *parts)


@contextlib.contextmanager
def replacing(path):
    """Yield a path beside `path` to write to; on success it becomes `path`.

    The file is synced before it is renamed. On an error it is removed and `path` stays
    as it was.
    """
    path = Path(path).resolve()  # what a link leads to is replaced, not the link
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file that could be replaced")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keeping the ending lets writers that choose a format by it do so.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=path.name)
    os.close(descriptor)
    beside = Path(name)
    try:
        with _full_disk_named(path):
            yield beside
        beside.chmod(0o666 & ~_umask())  # mkstemp's 0600 would lock out other readers
        sync(beside)
        os.replace(beside, path)
        sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path):
    """The same for a folder: yield an empty one beside it, then swap.

    A death between the two renames of the swap leaves both folders under other names.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=UNFINISHED))
    try:
        with _full_disk_named(path):
            yield beside
        beside.chmod(0o777 & ~_umask())
        for file in beside.rglob("*"):
            sync(file)
        sync(beside)
        old = beside.with_name(f"{beside.name}-old")
        if path.exists():
            os.replace(path, old)
        os.replace(beside, path)
        sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def _full_disk_named(path):
    """Let a full disk's error name `path`: a write's own names no file, a copy's its source."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename, error.filename2 = str(path), None
        raise


def check_parent(out):
    """InputError unless the folder that `out` goes to is one, or can be made."""
    parents = Path(out).absolute().parents
    nearest = next(folder for folder in parents if folder.exists())
    if not nearest.is_dir():
        raise InputError(f"--out {out}: {nearest} is not a folder")


def check_new_file(path):
    """InputError unless a file can be written there, or replaced."""
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file that could be replaced")
    nearest = next(folder for folder in path.parents if folder.exists())
    try:  # which says more than its permissions do
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise InputError(f"can't write {path}: {nearest} is not a writable folder") from error


def check_new_folder(out, kind, marks, overwrite):
    """InputError where a new folder can't go: on a file, in a folder of other things, or,
    unless it may be replaced, on one of its own kind.

    Args:
        kind: what is to be written, such as "bundle".
        marks: the files by which one is known.
    """
    out = Path(out)
    check_parent(out)
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"--out {out} is a file")
    if all((out / mark).exists() for mark in marks):
        if not overwrite:
            raise InputError(f"--out {out} already holds a {kind}; --overwrite replaces it")
    elif any(out.iterdir()):
        raise InputError(f"--out {out} is not empty and no {kind}; choose another folder")


def remove_unfinished(folder):
    """Remove what a killed process left half-written, in a folder and below it."""
    for path in list(Path(folder).rglob(f"{UNFINISHED}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_text(path, text: str):
    with replacing(path) as beside:
        beside.write_text(text)


def write_json(path, value):
    write_text(path, json.dumps(value, indent=2) + "\n")


def sha256_of(path) -> str:
    """The SHA-256 of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path):
    """Push a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

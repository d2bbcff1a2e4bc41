"""One training process per run folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from keras_ganvae.errors import InputError

NAME = ".lock"  # in the run folder; it stays there, empty


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; the operating system frees it when the process dies.

    Raises:
        InputError: another process holds it.
    """
    lock = filelock.FileLock(folder / NAME, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(f"{folder} is in use by another process; wait until it ends") from error
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether another process holds the lock of a run folder, that is, trains the run."""
    if not (folder / NAME).exists():
        return False
    try:
        with exclusive(folder):
            return False
    except InputError:
        return True
    except OSError:  # a folder that this user may only read
        return False

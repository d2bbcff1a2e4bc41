"""One process to a run folder."""

import contextlib
import fcntl
import os

from keras_ganvae.errors import InputError


@contextlib.contextmanager
def locked(folder):
    """Hold the run folder; the kernel lets go of it when the process dies, however it dies.

    The lock is on the folder itself, so that nothing is left behind.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(f"{folder} is in use by another process; wait for it to end") from error
    try:
        yield
    finally:
        os.close(descriptor)

"""Silence TensorFlow's converters and turn their errors into `InputError`."""

import contextlib
import errno
import os
import re
import sys
import warnings
from collections.abc import Iterator

from keras_ganvae.errors import InputError


@contextlib.contextmanager
def quietly(task: str) -> Iterator[None]:
    """Suppress all output, of Python and C++, and report errors in one line.

    Raises:
        InputError: the block failed; the message is "can't TASK: " and the reason.
        OSError: the disk is full.
    """
    try:
        with warnings.catch_warnings(), _silence(sys.stdout, 1), _silence(sys.stderr, 2):
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:  # TensorFlow raises whatever its layers do
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, f"can't {task}") from error
        raise InputError(f"can't {task}: {_reason(error)}") from error


@contextlib.contextmanager
def _silence(stream, descriptor):
    """Redirect a file descriptor, which C++ writes to as well, to the null device."""
    stream.flush()
    kept = os.dup(descriptor)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        stream.flush()
        os.dup2(kept, descriptor)
        os.close(kept)


def _reason(error):
    """The first line with a reason, without the location that MLIR puts before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.partition("error:")[2].strip() for line in lines if "error:" in line]
    return re.sub(r"^loc\(.*\): ", "", (named or lines or [type(error).__name__])[0])

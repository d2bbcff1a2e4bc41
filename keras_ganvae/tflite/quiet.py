"""Silence TensorFlow's converters and turn their errors into `InputError`."""

import contextlib
import errno
import os
import re
import warnings
from collections.abc import Iterator

from keras_ganvae.errors import InputError
from keras_ganvae.runtime import redirected


@contextlib.contextmanager
def quietly(task: str) -> Iterator[None]:
    """Suppress all output, of Python and C++, and report errors in one line.

    Raises:
        InputError: the block failed; the message is "can't TASK: " and the reason.
        OSError: the disk is full.
    """
    with (
        open(os.devnull, "wb") as nowhere,
        redirected(1, nowhere.fileno()),
        redirected(2, nowhere.fileno()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # TensorFlow raises whatever its layers do
            if os.strerror(errno.ENOSPC) in str(error):
                raise OSError(errno.ENOSPC, f"can't {task}") from error
            raise InputError(f"can't {task}: {_reason(error)}") from error


def _reason(error):
    """The first line with a reason, without the location that MLIR puts before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.partition("error:")[2].strip() for line in lines if "error:" in line]
    return re.sub(r"^loc\(.*\): ", "", (named or lines or [type(error).__name__])[0])

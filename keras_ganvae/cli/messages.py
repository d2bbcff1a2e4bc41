"""Errors and log lines as the command line prints them, with flags in place of settings."""

import errno
import logging
import os
import re
import shlex
from collections.abc import Collection, Iterator

from keras_ganvae.cli.process import PROGRAM
from keras_ganvae.errors import UserError, first_line, printable

# `name` or `name=value`, as errors and logs write settings.
SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")

MAX_LINE = 900  # characters of an error: a screenful
FREE_SPACE = "existing files are intact; free some space and try again"
OUT_OF_MEMORY = "out of memory; a smaller `batch_size`, `image_size`, `limit` or `count` needs less"
# Failures of the machine, not of the program: one line, exit code 2.
MACHINE_ERRORS = {
    errno.ENOSPC: f"the disk is full; {FREE_SPACE}",
    errno.EDQUOT: f"the disk quota is exceeded; {FREE_SPACE}",
    errno.EFBIG: "a file exceeds this process's size limit (ulimit -f); existing files are intact",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EIO: "disk I/O error",
    errno.EEXIST: "expected a folder, found a file",
    errno.ENOTDIR: "expected a folder, found a file",
    errno.EISDIR: "expected a file, found a folder",
    errno.ENAMETOOLONG: "a file name or path is too long",
    errno.ELOOP: "symbolic links form a loop",
    errno.ENXIO: "expected a file, found a device",
    errno.ENOMEM: OUT_OF_MEMORY,
    errno.EMFILE: "this process has too many files open (ulimit -n)",
    errno.ENFILE: "this machine has too many files open",
}
# The same for exceptions without an errno, by the start of the message: from pathlib and the
# file functions.
PATH_ERRORS = {
    "embedded null": "a path contains a NUL character",
    "Symlink loop": "symbolic links form a loop",
    "Could not determine home directory": "a path starts with ~ and no known user",
}
# They explain any error that they caused, such as that a file seems damaged.
SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
# How C++ libraries say it: they pass on no number.
SCARCE_TEXTS = {os.strerror(number): number for number in SCARCE} | {
    "failed to map segment": errno.ENOMEM,
    "OOM when allocating": errno.ENOMEM,
    "std::bad_alloc": errno.ENOMEM,
}


def flag(name: str) -> str:
    """The flag of a setting: `image_size` is --image-size."""
    return f"--{name.replace('_', '-')}"


def with_flags(text: str, flags: Collection[str]) -> str:
    """Replace each setting in backticks by its flag.

    Args:
        text: a message such as "`image_size` must be at least 4".
        flags: the command's flags; a setting that has none keeps its name.
    """

    def replacement(match: re.Match) -> str:
        name, value = match.groups()
        if flag(name) not in flags:
            return name if value is None else f"{name}={value}"
        return flag(name) if value is None else f"{flag(name)} {value}"

    return SETTING.sub(replacement, text)


def described(error: UserError, flags: Collection[str]) -> str:
    """An error as one line, with the command that resumes training if that is the remedy."""
    line = with_flags(" ".join(str(error).split()), flags)
    if error.resume is None:
        return line
    return f"{line}; to resume: {PROGRAM} train --resume {shlex.quote(str(error.resume))}"


def explain(error: Exception, flags: Collection[str] = ()) -> tuple[str, int]:
    """One line for an exception, and the exit code.

    Args:
        flags: the flags of the command that failed.
    """
    for each in _causes(error):
        number = _scarce(each)
        if number is not None:
            return with_flags(_machine_error(number, each), flags), 2
    if isinstance(error, UserError):
        return described(error, flags), error.exit_code
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        return _machine_error(error.errno, error), 2
    for start, meaning in PATH_ERRORS.items():
        if isinstance(error, ValueError | RuntimeError) and str(error).startswith(start):
            return meaning, 2
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"this command needs the Python package {error.name}, which is not installed", 2
    return f"unexpected {type(error).__name__}: {first_line(error)} (--debug shows where)", 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _scarce(error: BaseException) -> int | None:
    """The errno of what this machine has too little of; None for another error."""
    if isinstance(error, UserError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in SCARCE else None
    # The latter is TensorFlow's, which is not imported here.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return errno.ENOMEM
    message = str(error)
    return next((number for text, number in SCARCE_TEXTS.items() if text in message), None)


def _machine_error(number: int, error: BaseException) -> str:
    where = getattr(error, "filename", None)
    return MACHINE_ERRORS[number] + (f" ({where})" if where else "")


def shortened(line: str) -> str:
    """A line without its middle if it is long, as with a path of thousands of characters."""
    half = MAX_LINE // 2
    return line if len(line) <= MAX_LINE else f"{line[:half]} ... {line[-half:]}"


def print_lines(*lines: object) -> None:
    """Print results on stdout, each argument on a line of its own."""
    for line in lines:
        print(printable(line))


class LogFormatter(logging.Formatter):
    """Formats log lines with flags in place of settings, and names escaped."""

    def __init__(self, flags: Collection[str]):
        super().__init__("%(message)s")
        self.flags = flags

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(with_flags(super().formatMessage(record), self.flags))

"""From the settings that errors and logs name to the flags of the command line."""

import logging
import re
import shlex
from collections.abc import Collection

from keras_ganvae.errors import UserError

PROGRAM = "keras-ganvae"
# `name` or `name=value`, as errors and logs write settings.
SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def with_flags(text: str, flags: Collection[str]) -> str:
    """Replace each setting in backticks by its flag.

    Args:
        text: a message, such as "`image_size` is 0".
        flags: those of the command; a setting without a flag keeps its name.
    """

    def shown(match):
        name, value = match.groups()
        flag = f"--{name.replace('_', '-')}"
        if flag not in flags:
            return name if value is None else f"{name}={value}"
        return flag if value is None else f"{flag} {value}"

    return SETTING.sub(shown, text)


def described(error: UserError, flags: Collection[str]) -> str:
    """An error as one line, with the command that resumes where that is the remedy."""
    line = with_flags(" ".join(str(error).split()), flags)
    if error.resume is None:
        return line
    return f"{line}; to resume: {PROGRAM} train --resume {shlex.quote(str(error.resume))}"


class Formatter(logging.Formatter):
    """Log lines with flags in the place of settings."""

    def __init__(self, flags: Collection[str]):
        super().__init__("%(message)s")
        self.flags = flags

    def format(self, record: logging.LogRecord) -> str:
        return with_flags(super().format(record), self.flags)

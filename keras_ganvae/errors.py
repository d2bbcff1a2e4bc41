"""Errors that the user can act on, one class per exit code.

A message names a setting in backticks, as Python spells it: `image_size`, or
`strategy=mirrored` with its value. The command line shows the flag instead
(`cli/messages.py`). Any other exception is a bug or a failure of the machine.

What is printed on the terminal outside `cli/` goes through `printable`, too.
"""


class UserError(Exception):
    """An error whose message is meant for the user.

    Args:
        message: what is wrong and what to do, in one line.
        resume: the run folder, if the remedy is to resume its training.
    """

    exit_code = 2

    def __init__(self, message: str, *, resume: object = None):
        super().__init__(message)
        self.resume = resume


class InputError(UserError):
    """Invalid input or usage."""


class GateFailed(UserError):
    """The result failed a check: a loss diverged, a bundle failed verification."""

    exit_code = 1


class Interrupted(UserError):
    """A signal stopped training; a checkpoint is saved."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; its class name if the message is empty."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def printable(text: object) -> str:
    """Text on one line, with control characters, line breaks and the like as escapes.

    Names in files could otherwise send commands to the terminal.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )

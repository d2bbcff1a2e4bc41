"""The failures that a user can do something about, one class for each exit code.

A message names a setting as Python does, in backticks: `image_size`, or `strategy=mirrored`
with its value. The command line shows the flag instead (`cli/messages.py`); no other room
knows flags. Any other exception is a defect of this package or of the machine; `--debug`
shows its traceback.
"""


class UserError(Exception):
    """Base of the errors whose message is meant for the user.

    Args:
        message: what is wrong and what to do, in one line.
        resume: a run folder from which training can resume, if that is the remedy.
    """

    exit_code = 2

    def __init__(self, message: str, *, resume: object = None):
        super().__init__(message)
        self.resume = resume


class InputError(UserError):
    """Bad input or usage."""


class GateFailed(UserError):
    """The work was done and its result did not pass: a diverged loss, a failed check."""

    exit_code = 1


class Interrupted(UserError):
    """A signal stopped the training; its state is saved."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; its class name if the message is empty."""
    return (str(error).splitlines() or [type(error).__name__])[0]

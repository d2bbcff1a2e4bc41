"""The failures that a user can do something about, one class for each exit code.

The command line prints the message as one line and exits with `exit_code`. Everything
else is a defect of this package or of the machine; `--debug` shows its traceback.
"""


class UserError(Exception):
    """Base of the errors whose message is meant for the person at the terminal."""

    exit_code = 2


class InputError(UserError):
    """Bad input or usage. The message says what is wrong and what to do."""


class GateFailed(UserError):
    """The work was done and its result did not pass (a diverged loss, a failed check)."""

    exit_code = 1


class Interrupted(UserError):
    """A signal asked the training to stop; its state is saved."""

    exit_code = 130


def first_line(error) -> str:
    """Of what an exception says; its name if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]

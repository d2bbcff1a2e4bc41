"""The process of a command: signals, standard streams, inherited environment.

Imports nothing heavy: a signal may arrive at any time.
"""

import contextlib
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

from keras_ganvae.errors import UserError

PROGRAM = "keras-ganvae"
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP

# For so many seconds after a signal another one changes nothing: it would interrupt the removal
# of temporary files. `timeout` sends its signal twice, to the process and to its group, and
# some people press Ctrl-C twice.
GRACE = 5.0

_received: list[int] = []
_grace_ends = 0.0  # time.monotonic()


class OutputFailed(UserError):
    """Results can't be written to stdout."""


class OutputClosed(UserError):
    """The reader of a pipe has closed it, as `head` does. Ends without a message."""

    exit_code = 141  # what a shell shows for a process that SIGPIPE ended


def run() -> int:
    """Run the command of this process; returns its exit code."""
    try:
        _catch_signals()
        _own_environment()
        if not _own_streams():
            reason = "standard output is closed; to discard the results, redirect it to a file"
            print(f"{PROGRAM}: {reason}", file=sys.stderr)
            return 2
        from keras_ganvae.cli.main import main  # takes long enough to be interrupted

        return main()
    except (KeyboardInterrupt, Exception):
        if not _received:
            raise
        return report_interruption()
    finally:
        with contextlib.suppress(UserError, AttributeError):  # reported already, or closed
            sys.stdout.flush()
        _release_signals()


def is_interrupted() -> bool:
    """Whether a signal asked this process to end.

    An extension module that is being imported turns KeyboardInterrupt into an ImportError.
    """
    return bool(_received)


def report_interruption() -> int:
    """Print that the command was interrupted; returns the exit code."""
    print(f"{PROGRAM}: interrupted", file=sys.stderr)
    return 130


def _catch_signals():
    """Raise KeyboardInterrupt on every signal that asks the process to end: it cleans up."""
    for number in _signals():
        # A shell's background job ignores SIGINT, and `nohup` SIGHUP.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _repeat_swallowed_interrupt


def _release_signals():
    """Let a signal end the process while the interpreter shuts down."""
    for number in _signals():
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)


def _own_environment():
    """Override what the user's shell sets for other programs."""
    os.environ["MPLBACKEND"] = "agg"
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.simplefilter("default" if "--debug" in sys.argv else "ignore")


def _own_streams():
    """Replace the standard streams; returns whether stdout was open."""
    closed = []
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.append(descriptor)
            # Gets the lowest free number, this one, which a file to write could get otherwise.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _Stdout.of(sys.stdout, 1)
    sys.stderr = _Stderr.of(sys.stderr, 2)
    return 1 not in closed


def _signals():
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]


def _interrupt(number, frame):
    global _grace_ends
    _received.append(number)
    if time.monotonic() >= _grace_ends:
        _grace_ends = time.monotonic() + GRACE
        raise KeyboardInterrupt


def _repeat_swallowed_interrupt(unraisable):
    """Interrupt again if Python caught the first KeyboardInterrupt in a destructor."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    global _grace_ends
    _grace_ends = 0.0
    import threading

    main = threading.get_ident()

    def interrupt():
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            return  # the command has ended
        if hasattr(signal, "pthread_kill"):  # wakes the main thread from a blocking call, too
            signal.pthread_kill(main, signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.05, interrupt)  # not at once: it would interrupt this function
    timer.daemon = True
    timer.start()


class _Stream(io.TextIOWrapper):
    """stdout or stderr. It prints any character, and reports only its first failure."""

    @classmethod
    def of(cls, stream: Any, descriptor: int) -> "_Stream":
        """Replace a stream of Python's; None if its descriptor was closed."""
        return cls(
            stream.buffer if stream else open(descriptor, "wb", closefd=False),
            encoding=stream.encoding if stream else "utf-8",
            errors="backslashreplace",
            line_buffering=not stream or stream.line_buffering or stream.write_through,
        )

    def write(self, text: str) -> int:
        with self._failing_once():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with self._failing_once():
            super().flush()

    @contextlib.contextmanager
    def _failing_once(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is still buffered has nowhere to go.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            self.failed(error)

    def failed(self, error: OSError) -> None:
        raise NotImplementedError


class _Stdout(_Stream):
    def failed(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise OutputClosed("standard output is closed") from None
        raise OutputFailed(f"can't write to standard output: {error.strerror}") from None


class _Stderr(_Stream):
    def failed(self, error: OSError) -> None:
        """Ignore it: a log that nobody can read must not end a training run."""

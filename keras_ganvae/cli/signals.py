"""Signals that end a command which has temporary files to remove."""

import contextlib
import signal
from collections.abc import Iterator

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP too, unless they are ignored (nohup)."""
    before = {number: signal.getsignal(number) for number in ENDING}
    changed = [number for number in ENDING if before[number] != signal.SIG_IGN]
    for number in changed:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])

"""The command `keras-ganvae`, also as `python -m keras_ganvae`."""

import os
import sys  # nothing else here: Ctrl-C during an import would print a traceback

INTERRUPTED = "keras-ganvae: interrupted\n"


def main() -> int:
    """Run the command of this process; returns its exit code."""
    try:
        from keras_ganvae.cli import process

        return process.run()
    except KeyboardInterrupt:
        sys.stderr.write(INTERRUPTED)
        return 130


def _end(number: int, frame: object) -> None:
    """Handle SIGINT until `process.run` does: nothing has been written yet."""
    try:
        os.write(2, INTERRUPTED.encode())
    finally:
        os._exit(130)


def _catch_interrupts() -> None:
    """Do not let Python raise KeyboardInterrupt while the command is being imported.

    The import system swallows some, with a traceback, and goes on.
    """
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
    except KeyboardInterrupt:
        _end(0, None)


# The installed script imports this module, as other programs may: they keep their handlers.
if __name__ == "__main__" or os.path.basename(sys.argv[0]).startswith("keras-ganvae"):
    _catch_interrupts()

if __name__ == "__main__":
    code = main()
    # With -m, Python replaces the exit code once a KeyboardInterrupt passed an eval(); not now.
    eval("0")
    sys.exit(code)

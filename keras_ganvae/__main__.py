"""The command `keras-ganvae`, also as `python -m keras_ganvae`."""

import sys  # nothing else: Ctrl-C during an import here would print a traceback


def main() -> int:
    """Run the command of this process; returns its exit code."""
    try:
        from keras_ganvae.cli import process

        return process.run()
    except KeyboardInterrupt:
        print("keras-ganvae: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    code = main()
    # With -m, Python replaces the exit code once a KeyboardInterrupt passed an eval(); not now.
    eval("0")
    sys.exit(code)

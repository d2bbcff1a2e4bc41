"""The command line: which command, and what to say when it fails.

Nothing heavy is imported before a command has its arguments, so that help and mistakes
answer at once.
"""

import argparse
import difflib
import errno
import logging
import sys
import traceback
from collections.abc import Collection

from keras_ganvae import runtime
from keras_ganvae.cli import evaluate as evaluation
from keras_ganvae.cli import export, machine, pictures, web
from keras_ganvae.cli import train as training
from keras_ganvae.cli.messages import PROGRAM, Formatter, described
from keras_ganvae.errors import InputError, UserError

MAKE_ROOM = "what was complete before is whole, make room and try again"
# Failures of the machine rather than of the program: said in one line, exit 2.
MACHINE_ERRORS = {
    errno.ENOSPC: f"the disk is full; {MAKE_ROOM}",
    errno.EDQUOT: f"the disk quota is used up; {MAKE_ROOM}",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EIO: "the disk failed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
}


def main(argv=None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed a gate, 2 bad input, 130."""
    args = None
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        _log_to_stderr(args.flags)
        args.run(args)
        return 0
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if args is not None and args.debug:
            traceback.print_exc()
        message, code = explain(error, getattr(args, "flags", ()))
        print(f"{PROGRAM}: {message}", file=sys.stderr)
        return code


def _log_to_stderr(flags):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(flags))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def explain(error: Exception, flags: Collection[str] = ()) -> tuple[str, int]:
    """One line for an exception, and the exit code.

    Args:
        flags: of the command that ran.
    """
    if isinstance(error, UserError):
        return described(error, flags), error.exit_code
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        where = f" ({error.filename})" if error.filename else ""
        return MACHINE_ERRORS[error.errno] + where, 2
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"this command needs the Python package {error.name}, which is not installed", 2
    first = (str(error).splitlines() or [""])[0]
    return f"unexpected {type(error).__name__}: {first} (--debug shows where)", 1


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that suggest the nearest option."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message):
        raise InputError(f"{message}; see {self.prog} --help")

    @property
    def flags(self):
        return list(self._option_string_actions)

    def refuse_unknown(self, unknown):
        close = difflib.get_close_matches(unknown[0].partition("=")[0], self.flags, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see {self.prog} --help"
        raise InputError(f"unknown argument '{unknown[0]}'; {hint}")


def parse(argv):
    """Arguments to a namespace whose `run` does the work."""
    parser = Parser(
        prog=PROGRAM,
        description="Train small GANs and VAEs, compare them, ship the winner to a phone.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for group in (training, pictures, evaluation, export, web, machine):
        group.add(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show tracebacks and all logs")
    _check_command(argv, commands.choices)
    args, unknown = parser.parse_known_args(argv)
    command = commands.choices.get(argv[0], parser)
    if unknown:
        command.refuse_unknown(unknown)
    args.flags = frozenset(command.flags)
    return args


def _check_command(argv, known):
    if argv and not argv[0].startswith("-") and argv[0] not in known:
        close = difflib.get_close_matches(argv[0], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"commands: {', '.join(known)}"
        raise InputError(f"unknown command '{argv[0]}'; {hint}")


def _version():
    return f"{PROGRAM} {runtime.versions().get('keras_ganvae', 'not installed')}"

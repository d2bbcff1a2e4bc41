"""The entry point: parse the arguments, run the command, turn failures into exit codes.

Help and mistakes answer at once: no command imports TensorFlow before its arguments are checked.
"""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Collection, Sequence

from keras_ganvae import runtime
from keras_ganvae.cli import evaluate, export, machine, pictures, process, train, web
from keras_ganvae.cli.messages import LogFormatter, explain, shortened
from keras_ganvae.cli.parser import Commands, Parser, suggestion
from keras_ganvae.cli.process import PROGRAM
from keras_ganvae.errors import InputError, Interrupted, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code: 0 done, 1 a gate failed, 2 bad input, 130 interrupted, 141 stdout is a
        pipe whose reader has closed it.
    """
    args = None
    try:
        argv = sys.argv[1:] if argv is None else argv
        _check_text(argv)
        args = parse(argv)
        _log_to_stderr(args.flags)
        _check_working_folder()
        args.run(args)
        sys.stdout.flush()  # reports what can't be written
        return 0
    except KeyboardInterrupt:
        return process.report_interruption()
    except process.OutputClosed as error:
        return error.exit_code
    except Exception as error:
        if args is not None and args.debug:
            _print_traceback()
        if process.is_interrupted() and not isinstance(error, Interrupted):
            return process.report_interruption()
        message, code = explain(error, getattr(args, "flags", ()))
        print(f"{PROGRAM}: {shortened(printable(message))}", file=sys.stderr)
        return code


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments. The result's `run` runs the command; `flags` are its options.

    Raises:
        InputError: an unknown command or option, or a missing or malformed value.
    """
    parser, commands = build_parser()
    _check_command(argv, commands)
    _check_dashes(argv)
    args, unknown = parser.parse_known_args(argv)
    command = commands.get(argv[0], parser)
    if unknown:
        command.reject(unknown[0])
    args.flags = frozenset(command.flags)
    return args


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the program, and those of its commands by name."""
    parser = Parser(
        prog=PROGRAM,
        description="Train small GANs and VAEs, compare them, ship the winner to a phone.",
    )
    parser.add_argument("-V", "--version", action="version", version=_version())
    commands: Commands[Parser] = parser.add_subparsers(
        metavar="COMMAND", required=True, parser_class=Parser
    )
    for group in (train, pictures, evaluate, export, web, machine):
        group.add(commands)
    for each in commands.choices.values():
        each.add_argument("--debug", action="store_true", help="show tracebacks and all logs")
    return parser, dict(commands.choices)


def _print_traceback() -> None:
    for line in traceback.format_exc().splitlines():
        print(printable(line), file=sys.stderr)


def _check_command(argv: Sequence[str], known: Collection[str]) -> None:
    if argv and not argv[0].startswith("-") and argv[0] not in known:
        hint = suggestion(argv[0], known, f"commands: {', '.join(known)}")
        raise InputError(f"unknown command '{argv[0]}'; {hint}")


def _check_dashes(argv: Sequence[str]) -> None:
    """Refuse "--" as a value: argparse of Python 3.11 drops it, and the value would be []."""
    for option, _, value in (argument.partition("=") for argument in argv):
        if option.startswith("--") and value == "--":
            raise InputError(f"argument {option}: expected a value, not '--'")


def _check_text(argv: Sequence[str]) -> None:
    """Refuse bytes that are no text: TensorFlow, HDF5 and JSON can't take them as paths."""
    for argument in argv:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the argument {argument!a} is not valid UTF-8") from error


def _check_working_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise InputError("the current folder was deleted; change to another one") from error


def _version() -> str:
    return f"{PROGRAM} {runtime.versions().get('keras_ganvae', 'not installed')}"


def _log_to_stderr(flags: Collection[str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(flags))
    logging.basicConfig(level=logging.INFO, handlers=[handler])

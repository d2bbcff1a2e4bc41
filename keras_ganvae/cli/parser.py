"""argparse with one-line errors that suggest the nearest option."""

import argparse
import difflib
import sys
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from keras_ganvae.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser that raises `InputError` and accepts no abbreviated options."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # reports that --help can't be written
        super().exit(status, message)

    @property
    def flags(self) -> list[str]:
        """The options, as the user types them."""
        return list(self._option_string_actions)

    def reject(self, argument: str) -> NoReturn:
        """Raise `InputError` for an unknown argument, with the nearest option."""
        hint = suggestion(argument.partition("=")[0], self.flags, f"see {self.prog} --help")
        raise InputError(f"unknown argument '{argument}'; {hint}")


# The type of what `add_subparsers` returns has no public name.
Commands = argparse._SubParsersAction


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], None], help: str
) -> Parser:
    """Register a command whose arguments `run` receives."""
    parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    parser.set_defaults(run=run)
    return parser


def suggestion(word: str, known: Collection[str], otherwise: str) -> str:
    """ "did you mean X?" with the nearest known word, if there is one."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else otherwise

"""A case: the command, what was damaged before it, and what goes wrong while it runs."""

import dataclasses
import json
import signal
from dataclasses import dataclass

MAX_SHOWN = 1000  # characters
KILL = int(signal.SIGKILL)


@dataclass(frozen=True)
class Damage:
    """One change to the files, before the command runs. See `damage.py`.

    Attributes:
        file: relative to the working folder.
        how: a name in `damage.WAYS`.
        where: the place in the file, from 0 to 1.
        value: what is written there: text, or any JSON value.
    """

    file: str
    how: str
    where: float = 0.0
    value: object = None


@dataclass(frozen=True)
class Fault:
    """What goes wrong while the command runs. See `faults.py`.

    Attributes:
        how: "error" or "signal", at an operation; "size", of a file; or "kill after" a time.
        at: the number of the operation, from 1; bytes; or milliseconds.
        number: the errno or the signal.
        exchange: whether the system can exchange the names of two folders at once.
    """

    how: str
    at: int
    number: int = 0
    exchange: bool = True

    @property
    def is_kill(self) -> bool:
        return self.how == "kill after" or (self.how == "signal" and self.number == KILL)


@dataclass(frozen=True, repr=False)
class Case:
    """One case.

    Attributes:
        kind: "values", "files", "faults" or "server".
        argv: the arguments of the command; a request's bytes as text (Latin-1) for "server".
        damages: made in this order.
        fault: of the first run of the command.
    """

    kind: str
    argv: tuple[str, ...]
    damages: tuple[Damage, ...] = ()
    fault: Fault | None = None

    @property
    def command(self) -> str:
        return self.argv[0] if self.argv else ""

    def __repr__(self) -> str:
        return self.to_json()[:MAX_SHOWN]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of(cls, text: str) -> "Case":
        """The case that `to_json` wrote."""
        values = json.loads(text)
        fault = values["fault"]
        return cls(
            kind=values["kind"],
            argv=tuple(values["argv"]),
            damages=tuple(Damage(**each) for each in values["damages"]),
            fault=None if fault is None else Fault(**fault),
        )

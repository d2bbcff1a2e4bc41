"""What holds for every case, whatever the command and however it ends."""

import re
import signal
from pathlib import Path

from hostile.case import KILL, Case
from hostile.forkserver import Result
from hostile.scene import PRECIOUS, SECRET, Snapshot, differences

# Done, a gate failed, bad input, interrupted.
CODES = (0, 1, 2, 130)
PREFIX = "keras-ganvae: "
MAX_LINE = 1000  # characters of an error
UNFINISHED = re.compile(r"\.part-\d+-|\.replaced(/|$)")
# Colours of a QR code, and what moves a progress bar, are for terminals only: here is none.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
WAITS = "--workers", "multi-worker"
IDLE = 0.8  # of the time: a command that waits for something


def of_result(case: Case, result: Result) -> list[str]:
    """The violations that the exit code and the output show."""
    return [*_of_ending(case, result), *_of_output(case, result)]


def _of_ending(case, result):
    if result.stopped == "kill" or (case.fault is not None and case.fault.is_kill):
        allowed = (*CODES, -KILL)
    elif result.stopped == "memory":
        return  # a user may ask for as much as the machine has
    else:
        allowed = CODES
    if result.stopped == "hangs":
        yield f"hangs after SIGINT: {result.seconds:.0f} s"
    elif result.code not in allowed:
        name = signal.Signals(-result.code).name if result.code < 0 else "exit code"
        yield f"ended with {name} {result.code}"
    waits = result.waiting > IDLE * result.seconds
    if result.stopped == "time" and waits and not _waits(case):
        yield "waits for nothing, until interrupted"
    if result.orphans and -KILL not in allowed:
        yield "left a process running"


def _waits(case):
    return any(each in word for word in case.argv for each in WAITS) or case.command == "demo"


def _of_output(case, result):
    text = f"{result.out}\n{result.err}"
    if "Traceback (most recent call last)" in text and "--debug" not in case.argv:
        yield f"a traceback: {result.err.strip().splitlines()[-1]}"
    lines = [line for line in result.err.splitlines() if line.startswith(PREFIX)]
    for line in lines:
        if line.startswith(f"{PREFIX}unexpected "):
            yield line
        if len(line) > MAX_LINE:
            yield f"an error of {len(line)} characters"
    if control := CONTROL.search(text):
        yield f"prints the control character {control[0]!a}"
    if SECRET in text:
        yield "prints a bystander's content"
    if result.code in (1, 2, 130):
        if len(lines) != 1:
            yield f"exit code {result.code} with {len(lines)} errors"
        elif result.err.strip().splitlines()[-1] != lines[0]:
            yield "prints more after its error"


def of_files(case: Case, result: Result, before: Snapshot, after: Snapshot) -> list[str]:
    """The violations that the files show. The snapshots are of the working folder."""
    changed = [
        name.removeprefix("work/")
        for name in differences(before, after)
        if not name.endswith("/.lock")
    ]
    found = [f"left {name}" for name in after if UNFINISHED.search(name) and name not in before]
    allowed = _outputs(case, result)
    for name in changed:
        if name in PRECIOUS and name not in allowed:
            found.append(f"changed the bystander {name}")
        elif not any(name == each or _is_below(name, each) for each in allowed):
            found.append(f"exit code {result.code} and changed {name}")
    return found


def _is_below(name, folder):
    """Whether a name is in an output folder; of what existed, only our own kinds' files are."""
    return name.startswith(f"{folder}/") and name not in PRECIOUS


def _outputs(case, result):
    """The paths that a command may write, relative to the working folder."""
    named = [each for flag in ("--out", "--json") for each in option(case.argv, flag)]
    places = [_relative(each) for each in named]
    resumed = [_relative(each) for each in option(case.argv, "--resume")]
    if result.code == 2 and case.fault is None:
        return []  # bad input changes nothing
    if case.command == "train":
        places += [*resumed, "runs"]
    if case.command in ("evaluate", "compare"):
        for word in case.argv[1:]:
            run = _relative(word)
            places += [f"{run}/evaluation.json", f"{run}/tensorboard"]
    if case.command == "benchmark":
        for word in case.argv[1:]:
            names = ("benchmark.json", "benchmark.png", "model_card.json", "README.md")
            places += [f"{_relative(word)}/{name}" for name in names]
    return [place for place in places if place not in ("", ".")]


def option(argv: tuple[str, ...], flag: str) -> list[str]:
    """The values of an option, as `FLAG VALUE` and `FLAG=VALUE`."""
    after = [argv[i + 1] for i, word in enumerate(argv[:-1]) if word == flag]
    return after + [word.partition("=")[2] for word in argv if word.startswith(f"{flag}=")]


LINKS = {"odd/to-run": "run", "odd/to-notes.png": "notes.md", "odd/dangling": "odd/nowhere"}


def _relative(text):
    """A path as the snapshot names it, through the scene's own links."""
    parts = Path("work", text).parts[1:]
    name = "/".join(part for part in parts if part != ".").removeprefix("../work/")
    for link, target in LINKS.items():
        if name == link or name.startswith(f"{link}/"):
            return target + name[len(link) :]
    return name

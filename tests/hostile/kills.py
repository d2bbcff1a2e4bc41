"""Cases in which an operation on a file fails, and what must be true afterwards.

Whatever happens: the old output is whole or the new one is; the same command run again works;
and then nothing unfinished is left.
"""

import contextlib
import errno
import json
import random
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import KILL, Case, Fault
from hostile.forkserver import Limits, Result
from hostile.oracle import UNFINISHED, of_result
from hostile.scene import MEASURE, TINY, Snapshot, differences, snapshot

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIZES = (4096, 5000, 20_000, 60_000, 200_000, 1_000_000)  # bytes; errors must fit
READING = re.compile(r"open 'read'|os\.(listdir|scandir)")
REMOVING = re.compile(r"os\.(remove|rmdir)")
LIMITS = Limits(seconds=600)  # on a busy machine, too

# Runs a command in the scene.
Run = Callable[..., Result]


@dataclass(frozen=True)
class Scenario:
    """A command that must do all or nothing.

    Attributes:
        argv: its arguments.
        out: what it writes.
        is_whole: whether the output at this path is complete.
        resumable: whether an output in part is continued, with --resume, and not made again.
        shared: whether the output is files in somebody's folder, which no system replaces at
            once: each alone is old or new, and the command run again makes them agree.
    """

    argv: tuple[str, ...]
    out: str
    is_whole: Callable[[Path, Run], bool]
    resumable: bool = False
    shared: bool = False


def _whole_run(path, run):
    return run(("sample", path.name, "--count", "2", "--out", "check.png")).code == 0


def _whole_bundle(path, run):
    return run(("verify", path.name)).code == 0


def _whole_evaluation(path, run):
    return _whole_run(path, run) and json.loads((path / "evaluation.json").read_text())


def _whole_comparison(path, run):
    page = (path / "index.html").read_text()
    return json.loads((path / "results.json").read_text()) and page.rstrip().endswith("</html>")


def _whole_site(path, run):
    """Its list of files has the checksum of exactly the files that are there."""
    from keras_ganvae.web import site

    copy = path.parents[1] / "copy-of-site"
    try:
        shutil.copytree(path, copy)
        (copy / site.PRECACHE).unlink()
        return site.precache(copy) == (path / site.PRECACHE).read_text()
    finally:
        shutil.rmtree(copy)


def _whole_pictures(path, run):
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return len(archive["samples"]) == COUNT
    for picture in path.iterdir():
        Image.open(picture).load()
    return len(list(path.iterdir())) == COUNT


COUNT = 3
MEASURED = r"(run|gan)/(evaluation\.json$|tensorboard(/|$))"  # `compare` evaluates each run
_TRAIN = ("train", "--arch", "gan", *TINY)
_EXPORT = ("export", "gan", "--formats", "float32", "sampler")
_COMPARE = ("compare", "run", *MEASURE, "--seed", "1")  # of a GAN it takes a minute
_SAMPLE = ("sample", "run", "--count", str(COUNT))

SCENARIOS = {
    "train": Scenario((*_TRAIN, "--out", "new"), "new", _whole_run, resumable=True),
    "train --overwrite": Scenario(
        (*_TRAIN, "--out", "run", "--overwrite"), "run", _whole_run, resumable=True
    ),
    "train --resume": Scenario(
        ("train", "--resume", "gan", "--epochs", "2"), "gan", _whole_run, resumable=True
    ),
    "export": Scenario((*_EXPORT, "--out", "new"), "new", _whole_bundle),
    "export --overwrite": Scenario(
        (*_EXPORT, "--out", "bundle", "--overwrite"), "bundle", _whole_bundle
    ),
    "evaluate": Scenario(("evaluate", "gan", *MEASURE, "--seed", "1"), "gan", _whole_evaluation),
    "compare": Scenario((*_COMPARE, "--out", "new"), "new", _whole_comparison, shared=True),
    "compare again": Scenario(
        (*_COMPARE, "--out", "comparison"), "comparison", _whole_comparison, shared=True
    ),
    "web": Scenario(("web", "bundle", "--out", "new"), "new", _whole_site),
    "web --overwrite": Scenario(
        ("web", "bundle", "--out", "site", "--overwrite"), "site", _whole_site
    ),
    "sample": Scenario((*_SAMPLE, "--out", "new/"), "new", _whole_pictures),
    "sample again": Scenario((*_SAMPLE, "--out", "old.npz"), "old.npz", _whole_pictures),
}
BY_ARGV = {each.argv: name for name, each in SCENARIOS.items()}


def choose(rng: random.Random, name: str, profile: Result) -> Case:
    """A case of a scenario; `profile` is how it ends without a fault."""
    operations = profile.operations
    writing = [i for i, each in enumerate(operations, 1) if not READING.search(each)]
    at = rng.choice(writing if writing and rng.random() < 0.8 else range(1, len(operations) + 1))
    exchange = rng.random() < 0.7
    fault = rng.choices(
        [
            Fault("signal", at, KILL, exchange),
            Fault("kill after", rng.randint(1, int(1000 * profile.seconds))),
            Fault("error", at, rng.choice(ERRORS), exchange),
            Fault("signal", at, int(rng.choice(SIGNALS)), exchange),
            Fault("size", rng.choice(SIZES)),
        ],
        weights=[10, 5, 2, 2, 1],
    )[0]
    return Case("faults", SCENARIOS[name].argv, fault=fault)


def violations(case: Case, work: Path, run: Run) -> Iterator[str]:
    """Run a case in a fresh scene and judge everything up to the recovery.

    Args:
        work: the working folder.
        run: `run(argv, fault)` runs a command there.
    """
    scenario = SCENARIOS[BY_ARGV[case.argv]]
    before = snapshot(work)
    first = run(case.argv, case.fault)
    yield from of_result(case, first)
    after = snapshot(work)
    yield from _bystanders(before, after, scenario.out)
    killed = first.code == -KILL
    if not killed and not _removal_failed(case, first):
        yield from _unfinished(after, "its end")
    state = _state(scenario, work, before, run)
    yield from _impossible(scenario, first, state, work, before)
    yield from _recovery(scenario, work, run)
    yield from _bystanders(before, snapshot(work), scenario.out)


def _state(scenario, work, before, run):
    """ "unchanged", "whole" or "partial": what the output is now."""
    if not _changes(scenario, work, before):
        return "unchanged"
    return "whole" if _is_whole(scenario, work, run) else "partial"


def _is_whole(scenario, work, run):
    with contextlib.suppress(OSError, ValueError, KeyError):
        return bool(scenario.is_whole(work / scenario.out, run))
    return False


def _changes(scenario, work, before):
    inside = re.compile(rf"{re.escape(scenario.out)}(/|$)")
    return [
        name
        for name in differences(before, snapshot(work))
        if inside.match(name) and not (name.endswith(".lock") or UNFINISHED.search(name))
    ]


def _impossible(scenario, first, state, work, before):
    """What must not be after the first run."""
    out = work / scenario.out
    if first.code == 0 and state != "whole":
        yield f"exit code 0, but the output is {state}"
    if state != "partial" or scenario.shared:
        return
    if scenario.resumable:  # a new run in part is continued, see `_recovery`
        if scenario.out in before and not (_saved(out) or _kept(out, before)):
            yield "the old run is lost, and the new one has no checkpoint"
    elif out.exists() or first.code != -KILL:
        changes = ", ".join(_changes(scenario, work, before)[:5])
        yield f"exit code {first.code}, and the output is neither old nor new: {changes}"


def _saved(folder):
    """Whether a run has a checkpoint."""
    checkpoints = folder / "checkpoint"
    return checkpoints.is_dir() and any(
        not each.name.startswith(".") for each in checkpoints.iterdir()
    )


def _kept(folder: Path, before: Snapshot) -> bool:
    """Whether every file of the old run is still somewhere in its folder, by size and time."""
    now = [state for state in snapshot(folder).values() if len(state) == 3]
    old = [
        state
        for name, state in before.items()
        if name.startswith(f"{folder.name}/") and len(state) == 3 and not name.endswith(".lock")
    ]
    return all(state in now for state in old)


def _recovery(scenario, work, run):
    """The same command again succeeds, or says that all is there, and leaves nothing behind."""
    again = run(scenario.argv)
    if scenario.resumable and again.code == 2 and (work / scenario.out).exists():
        again = run(("train", "--resume", scenario.out))
        if again.code == 2 and "resume again" in again.err:
            again = run(("train", "--resume", scenario.out))
    complete = "already holds" in again.err or "is not empty" in again.err
    if again.code and not (again.code == 2 and complete):
        yield f"the command run again ends with {again.code}: {again.err.strip()[-300:]}"
    yield from of_result(Case("faults", scenario.argv), again)
    if not _is_whole(scenario, work, run):
        yield "the output is not whole after the command ran again"
    yield from _unfinished(snapshot(work), "the command ran again")


def _unfinished(found: Snapshot, when: str):
    for name in found:
        if UNFINISHED.search(name):
            yield f"left {name} after {when}"


def _removal_failed(case, first):
    fault = case.fault
    failed = fault.how == "error" and fault.at <= len(first.operations)
    return failed and REMOVING.match(first.operations[fault.at - 1])


def _bystanders(before, after, out):
    ours = re.compile(rf"{re.escape(out)}(/|$)|check\.png$|{MEASURED}|.*\.lock$")
    for name in differences(before, after):
        if not (ours.match(name) or UNFINISHED.search(name)):
            yield f"changed the bystander {name}"

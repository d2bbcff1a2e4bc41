"""The adversary's own parts: what it must find, and what it must not hold against anybody."""

import dataclasses
import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hostile import kills, oracle, scene
from hostile.case import KILL, Case, Damage, Fault
from hostile.damage import ARRAYS, ENCRYPTED, MEMBERS, WAYS, apply
from hostile.forkserver import Result
from hostile.session import signature, torture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the adversary runs on Linux")

ERROR = "keras-ganvae: no run folder at nowhere\n"
BAD_INPUT = Result(2, "", ERROR, 1.0, 0.0, 300.0, "", False, ())
CASE = Case("values", ("sample", "nowhere", "--out", "new.png"))


def _ended(**changes):
    return oracle.of_result(CASE, dataclasses.replace(BAD_INPUT, **changes))


def test_one_clear_line_is_no_violation():
    assert _ended() == []
    assert _ended(code=0, err="") == []
    assert _ended(err=f"data: synthetic\n{ERROR}") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"err": "keras-ganvae: unexpected KeyError: 'a' (--debug shows where)\n", "code": 1},
        {"err": f"Traceback (most recent call last):\nKeyError\n{ERROR}"},
        {"err": ""},
        {"err": ERROR * 2},
        {"err": f"{ERROR}more\n"},
        {"err": "keras-ganvae: " + "x" * 2000 + "\n"},
        {"err": "keras-ganvae: no \x1b[31mrun\n"},
        {"out": "\u202egnp.exe\n"},
        {"out": scene.SECRET},
        {"code": 120},
        {"code": -signal.SIGSEGV},
        {"code": -KILL},
        {"stopped": "hangs", "code": -KILL},
        {"stopped": "time", "seconds": 40.0, "waiting": 39.0, "code": 130},
        {"orphans": True},
    ],
)
def test_a_broken_promise_is_a_violation(changes):
    assert len(_ended(**changes)) == 1


def test_a_long_computation_may_be_interrupted():
    interrupted = "keras-ganvae: interrupted\n"
    assert _ended(stopped="time", seconds=40.0, waiting=3.0, code=130, err=interrupted) == []


def test_only_a_kill_may_end_by_sigkill():
    killed = dataclasses.replace(BAD_INPUT, code=-KILL, err="", orphans=True)
    case = dataclasses.replace(CASE, fault=Fault("signal", 3, KILL))
    assert oracle.of_result(case, killed) == []


@pytest.fixture
def place(tmp_path):
    """A scene's folder with a few files in its `work`."""
    work = tmp_path / "work"
    for name in (*scene.PRECIOUS, "run/config.json", "old.png"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(name)
    (work / "loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "code", "changed", "count"),
    [
        (("sample", "run", "--out", "new.png"), 0, "new.png", 0),
        (("sample", "run", "--out=new.png"), 0, "new.png", 0),
        (("sample", "run", "--out", "new.png"), 2, "new.png", 1),
        (("sample", "run", "--out", "new.png"), 0, "old.png", 1),
        (("sample", "run", "--out", "new.png"), 0, "notes.md", 1),
        (("train", "--out", "."), 0, "data.npz", 1),
        (("web", "bundle", "--out", "thesis"), 0, "thesis/chapter.txt", 1),
        (("evaluate", "run"), 0, "run/evaluation.json", 0),
        (("evaluate", "run"), 0, "run/config.json", 1),
        (("train", "--resume", "run"), 1, "run/history.csv", 0),
        (("train", "--resume", "run"), 2, "run/history.csv", 0),
        (("train", "--resume", "run"), 2, "run/config.json", 1),
    ],
)
def test_changed_files_are_judged(place, argv, code, changed, count):
    before = scene.snapshot(place, "work")
    (place / "work" / changed).write_text("changed, and longer")
    after = scene.snapshot(place, "work")
    result = dataclasses.replace(BAD_INPUT, code=code)
    assert len(oracle.of_files(Case("values", argv), result, before, after)) == count


def test_unfinished_files_are_a_violation(place):
    before = scene.snapshot(place, "work")
    (place / "work" / ".part-12-abc-def").write_text("")
    after = scene.snapshot(place, "work")
    found = oracle.of_files(CASE, dataclasses.replace(BAD_INPUT, code=0), before, after)
    assert any("left" in each for each in found)


@pytest.mark.parametrize("how", sorted(WAYS))
def test_every_way_damages_and_a_mirror_undoes_it(place, tmp_path_factory, how):
    path = place / "work" / "run" / "config.json"
    path.write_text('{"a": [1, {"b": 2}]}')
    (path.parent / "other").write_text("other")
    if how == "array":
        with path.open("wb") as file:
            np.savez(file, a=np.arange(3))
    template = tmp_path_factory.mktemp("template") / "copy"
    scene.mirror(place, template)
    before = scene.snapshot(place)
    assert scene.snapshot(template) == before
    apply(Damage("run/config.json", how, 0.4, "nan" if how == "array" else "3"), place / "work")
    assert scene.differences(before, scene.snapshot(place))
    scene.mirror(template, place)
    assert scene.snapshot(place) == before


@pytest.mark.parametrize("value", [*ARRAYS, *MEMBERS, ENCRYPTED])
@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.float32(0.5), np.array("text")])
def test_every_array_can_be_damaged(place, value, array):
    path = place / "work" / "data.npz"
    np.savez(path, x=array, y=array)
    before = path.read_bytes()
    apply(Damage("data.npz", "array", 0.9, value), place / "work")
    assert path.read_bytes() != before and zipfile.is_zipfile(path)


def test_a_case_survives_json():
    case = Case("faults", ("a", "\udcff"), (Damage("x", "json", 0.5, [None]),), Fault("size", 5))
    assert Case.of(case.to_json()) == case


def test_violations_that_differ_in_names_only_are_one():
    one, other = "left .part-12-ab/x after its end", "left .part-7-cd/x after its end"
    assert signature(one) == signature(other) != signature("left nothing")


def test_neighboring_seeds_try_other_cases():
    class Recorded:
        def __init__(self):
            self.report, self.seeds = None, []

        def attack(self, kind, seed, count):
            self.seeds.append(seed)

    one, same, next_to_it = Recorded(), Recorded(), Recorded()
    for recorded, seed in ((one, 7), (same, 7), (next_to_it, 8)):
        for _ in itertools.islice(torture(recorded, seed, 60.0, ("faults",)), 20):
            pass
    assert one.seeds == same.seeds and len(set(one.seeds)) == 20
    assert not set(one.seeds) & set(next_to_it.seeds)


# Faults: in a process of their own, as an audit hook stays for ever.

WORK = """
import os, pathlib, sys
from hostile import case, faults
here, fault = pathlib.Path(sys.argv[1]), case.Case.of(sys.argv[2]).fault
os.chdir(here)
faults.install(here, fault, 2)
pathlib.Path("a").write_text("a")
os.replace("a", "b")
pathlib.Path("c").mkdir()
with open("b") as file:
    os.fsync(file.fileno())
os.unlink("b")
"""
OPERATIONS = ["open 'write' 'a'", "os.rename 'a' 'b'", "os.mkdir 'c'", "open 'read' 'b'"]
OPERATIONS += ["fsync", "os.remove 'b'"]


def _faulty(folder, fault):
    """(exit code, the operations, the error) of `WORK` with a fault."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", WORK, folder, Case("faults", (), fault=fault).to_json()],
        env=os.environ | {"PYTHONPATH": tests},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    operations, _, error = done.stderr.partition("Traceback")
    return done.returncode, operations.splitlines(), error.strip().rpartition("\n")[2]


def test_operations_are_counted(tmp_path):
    assert _faulty(tmp_path, None) == (0, OPERATIONS, "")


@pytest.mark.parametrize(("at", "left"), [(1, []), (2, ["a"]), (3, ["b"]), (6, ["b", "c"])])
def test_an_operation_fails_before_it_is_done(tmp_path, at, left):
    code, operations, error = _faulty(tmp_path, Fault("error", at, errno.EIO))
    assert (code, operations) == (1, OPERATIONS[:at])
    assert error.startswith(f"OSError: [Errno {errno.EIO}] ")
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_a_kill_comes_at_its_operation(tmp_path):
    code, operations, _ = _faulty(tmp_path, Fault("signal", 3, KILL))
    assert (code, operations) == (-KILL, OPERATIONS[:3])
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_kill_is_never_at_an_operation_that_does_not_exist():
    profile = dataclasses.replace(BAD_INPUT, operations=tuple(OPERATIONS))
    for i in range(200):
        fault = kills.choose(random.Random(i), "export", profile).fault
        if fault.how in ("signal", "error"):
            assert 1 <= fault.at <= len(OPERATIONS)

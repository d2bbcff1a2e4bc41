"""A session: one scene, one fork server, and the count of everything that was tried in it."""

import contextlib
import functools
import itertools
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, strategies

import stand_in_app
from hostile import damage, kills, oracle, requests, scene, values
from hostile.case import KILL, Case
from hostile.forkserver import ForkServer, Limits, Result

KINDS = ("values", "files", "faults", "server")
SHRINK_SECONDS = 60.0


class Violated(AssertionError):
    """A case broke a promise."""


@dataclass
class Report:
    """What a session has done.

    Attributes:
        cases: by kind.
        commands: cases by command.
        kills: SIGKILLs that arrived, by scenario.
        limits: commands that were stopped, by limit.
        violations: the smallest case found of each, by what was broken.
        seconds: of the slowest cases.
    """

    cases: Counter = field(default_factory=Counter)
    commands: Counter = field(default_factory=Counter)
    codes: Counter = field(default_factory=Counter)
    kills: Counter = field(default_factory=Counter)
    limits: Counter = field(default_factory=Counter)
    violations: dict[str, tuple[str, Case]] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        """Add what another session has done."""
        for name in ("cases", "commands", "codes", "kills", "limits"):
            getattr(self, name).update(getattr(other, name))
        self.violations.update(other.violations)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.cases.total()} cases: {_counted(self.cases)}"
        yield f"commands: {_counted(self.commands)}"
        yield f"exit codes: {_counted(self.codes)}"
        yield f"{self.kills.total()} kills: {_counted(self.kills)}"
        yield f"stopped by a limit: {_counted(self.limits)}"
        yield f"{len(self.violations)} violations"
        for text, case in self.violations.values():
            yield f"- {text}"
            yield f"  {case.to_json()}"


def _counted(counter):
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"


class Session:
    """Runs cases. Use it as a context manager."""

    def __init__(self):
        self.report = Report()
        self._demo: int | None = None  # the port, while one runs
        self._dirty = True

    def __enter__(self) -> "Session":
        self.folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        scene.open_to_all(self.folder)
        self.server = ForkServer(stand_in_app.write(self.folder / "app"))
        self.template = scene.template(self.server)
        self.root = self.folder / "scene"
        self.work = self.root / "work"
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Kinds

    def attack(self, kind: str, seed: int, count: int) -> None:
        """Try `count` cases of one kind; violations go to the report."""
        if kind == "faults":
            rng = random.Random(seed)
            for _ in range(count):
                self.check(self._fault_case(rng))
            return
        if kind == "server":
            self._port()  # a server that does not start is no case
        self._explore(self._strategies()[kind], seed, count)
        if kind == "server":
            self._note(Case("server", ("demo",)), self._stop_demo())

    @functools.cache  # noqa: B019 (a session lives as long as the program)
    def _strategies(self) -> dict[str, strategies.SearchStrategy[Case]]:
        return {
            "values": values.cases(),
            "files": damage.cases(self.template / "work"),
            "server": requests.cases(),
        }

    def _explore(self, strategy, seed, count):
        """Draw cases with Hypothesis, which shrinks the first of each new violation."""
        last: list[tuple[list[str], Case]] = []
        known = set(self.report.violations)
        deadline = float("inf")

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @hypothesis.given(strategy)
        def explore(case):
            nonlocal deadline
            if time.monotonic() > deadline:
                return
            found = [each for each in self._try(case) if signature(each) not in known]
            if found:
                last[:] = [(found, case)]
                deadline = min(deadline, time.monotonic() + SHRINK_SECONDS)
                raise Violated(found[0])

        with contextlib.suppress(Violated, hypothesis.errors.Flaky):
            explore()
        for found, case in last:
            self._note(case, found)

    def _fault_case(self, rng):
        name = rng.choice(list(kills.SCENARIOS))
        return kills.choose(rng, name, self._profile(name))

    @functools.cache  # noqa: B019
    def _profile(self, name):
        self._restore()
        return self.server.run(kills.SCENARIOS[name].argv, self.root, limits=kills.LIMITS)

    # One case

    def check(self, case: Case) -> list[str]:
        """Run a case; returns its violations, which are in the report, too."""
        found = self._try(case)
        self._note(case, found)
        return found

    def _try(self, case):
        self.report.cases[case.kind] += 1
        if case.kind == "server":
            return requests.violations(case, self._port())
        self._restore()
        if case.kind == "faults":
            return list(
                kills.violations(case, self.work, functools.partial(self._run_faulty, case))
            )
        for each in case.damages:
            with contextlib.suppress(OSError):  # one may have made the other impossible
                damage.apply(each, self.work)
        before = scene.snapshot(self.root, "work")
        result = self.server.run(case.argv, self.root)
        self._count(case, result)
        after = scene.snapshot(self.root, "work")
        self._dirty = bool(case.damages or before != after)
        return [*oracle.of_result(case, result), *oracle.of_files(case, result, before, after)]

    def _run_faulty(self, case, argv, fault=None):
        limits = kills.LIMITS
        if fault is not None and fault.how == "kill after":
            limits = Limits(limits.seconds, kill_after=fault.at / 1000)
        result = self.server.run(argv, self.root, fault, limits)
        if fault is not None:
            self._count(case, result)
            if result.code == -KILL:
                self.report.kills[kills.BY_ARGV[case.argv]] += 1
        return result

    def _count(self, case, result: Result):
        self.report.commands[case.command if case.command in values.VALID else "(none)"] += 1
        self.report.codes[result.code] += 1
        if result.stopped:
            self.report.limits[result.stopped] += 1

    def _restore(self):
        self._stop_demo()
        if self._dirty:
            scene.mirror(self.template, self.root)
        self._dirty = True

    def _note(self, case: Case, found: list[str]) -> None:
        for each in found:
            self.report.violations.setdefault(signature(each), (each, case))

    # The server

    def _port(self) -> int:
        if self._demo is None:
            self._restore()
            self.server.start(("demo", "bundle", "--port", "0"), self.root)
            ends = time.monotonic() + 60
            while not (match := re.search(r"http://127\.0\.0\.1:(\d+)/", self.server.output())):
                if time.monotonic() > ends:
                    raise RuntimeError(f"no demo: {self.server.wait(Limits(seconds=0))}")
                time.sleep(0.05)
            self._demo = int(match[1])
        return self._demo

    def _stop_demo(self) -> list[str]:
        """Stop the server with SIGINT; returns its violations."""
        if self._demo is None:
            return []
        self._demo = None
        result = self.server.wait(Limits(seconds=0, megabytes=4000))
        case = Case("server", ("demo",))
        found = oracle.of_result(case, result)
        if result.code:
            found.append(f"demo ends with {result.code}")
        if "a request failed" in result.err:
            found.append(f"demo: {result.err.strip().splitlines()[0]}")
        return found


def signature(violation: str) -> str:
    """What is the same in equal violations: no numbers, no names."""
    return re.sub(r"'.*'|\d+|/\S+|\.part\S*", "*", violation)[:120]


def torture(
    session: Session, seed: int, seconds: float, kinds: tuple[str, ...]
) -> Iterator[Report]:
    """Attack until the time is over, with each kind for as long; yield the report at each turn."""
    spent = dict.fromkeys(kinds, 0.0)
    began = time.monotonic()
    for turn in itertools.count():
        if time.monotonic() - began > seconds:
            return
        kind = min(kinds, key=lambda kind: spent[kind])
        start = time.monotonic()
        # Not seed + turn: then neighboring seeds would try the same cases.
        session.attack(kind, random.Random(f"{seed} {turn}").getrandbits(64), COUNTS[kind])
        spent[kind] += time.monotonic() - start
        yield session.report


COUNTS = {"values": 100, "files": 25, "faults": 1, "server": 100}  # in one turn

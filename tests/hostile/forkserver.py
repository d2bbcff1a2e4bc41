"""Runs the command line in forks of a process that has everything imported.

Importing TensorFlow takes seconds, a fork milliseconds. This module is both ends: run as a
program it is the server, which reads one JSON request per line; `ForkServer` is the client.
The server imports and runs nothing else: a fork of a process with threads could hang.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from hostile import faults
from hostile.case import Fault

TESTS = Path(__file__).parents[1]
NOBODY = 65534  # who runs the cases if the tests run as root: a defect must not harm the machine
POLL = 0.05  # seconds
DIE_WITH_PARENT = 1  # see prctl(2)
MAX_OUTPUT = 200_000  # characters of a stream
PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Limits:
    """When a command is stopped.

    Attributes:
        seconds: until it gets SIGINT.
        grace: seconds from there until it gets SIGKILL.
        megabytes: of resident memory, until it gets SIGKILL.
        kill_after: seconds until it gets SIGKILL, as a fault; None for never.
    """

    seconds: float = 40.0
    grace: float = 30.0
    megabytes: int = 4000
    kill_after: float | None = None


@dataclass(frozen=True)
class Result:
    """How a command ended.

    Attributes:
        code: the exit code; -N if signal N ended it.
        out, err: what it printed.
        seconds: of the clock.
        waiting: seconds in which none of its threads had anything to do, until its time was over.
        megabytes: its peak of resident memory.
        stopped: "", or the limit that it reached: "time", "hangs", "memory", "kill".
        orphans: whether it left a process running.
        operations: what it did with files, in order.
    """

    code: int
    out: str
    err: str
    seconds: float
    waiting: float
    megabytes: float
    stopped: str
    orphans: bool
    operations: tuple[str, ...]


class ForkServer:
    """A client of a server process of its own.

    Args:
        app: a folder with the files of the web app.
    """

    def __init__(self, app: Path):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hostile.forkserver", str(app)],
            env=os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, argv, root: Path, fault: Fault | None = None) -> int:
        """Start a command in `root/work`; returns its process number. One at a time."""
        fault_values = None if fault is None else vars(fault)
        return self._ask(start={"argv": list(argv), "root": str(root), "fault": fault_values})

    def wait(self, limits: Limits | None = None) -> Result:
        """Wait for the started command."""
        values = self._ask(wait=vars(limits or Limits()))
        return Result(**values | {"operations": tuple(values["operations"])})

    def output(self) -> str:
        """What the started command has written to stdout until now."""
        return self._ask(output=None)

    def run(self, argv, root: Path, fault: Fault | None = None, limits: Limits | None = None):
        """Run a command; returns its `Result`."""
        self.start(argv, root, fault)
        return self.wait(limits)

    def close(self) -> None:
        """End the server, and with it the command that it runs."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the fork server died, exit code {self._process.wait()}")
        return json.loads(answer)


# The server


def serve(app: Path):
    """Answer the requests on stdin until it is closed."""
    from keras_ganvae.web import site

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import_everything()
    site.BUILT = app
    child = None
    for line in sys.stdin:
        ((what, values),) = json.loads(line).items()
        if what == "start":
            child = _Child(**values)
            answer = child.process
        elif what == "output":
            answer = child.printed(child.out)
        else:
            answer = child.wait(**values)
        print(json.dumps(answer), file=answers, flush=True)


def _import_everything():
    import keras_ganvae
    from keras_ganvae import runtime

    runtime.start()
    for module in pkgutil.walk_packages(keras_ganvae.__path__, "keras_ganvae."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()  # a collection in a fork would copy the memory of all that was imported


class _Child:
    """One command in a fork."""

    def __init__(self, argv, root, fault):
        self.out, self.err, self.record = (os.memfd_create(name) for name in ("o", "e", "r"))
        self.began = time.monotonic()
        self.process = os.fork()
        if self.process == 0:
            _become_command(
                argv,
                Path(root),
                None if fault is None else Fault(**fault),
                (self.out, self.err, self.record),
            )

    def wait(self, seconds, grace, megabytes, kill_after):
        stopped, peak, waiting = "", 0.0, 0.0
        ends = self.began + seconds
        kill_at = float("inf") if kill_after is None else self.began + kill_after
        seen = time.monotonic()
        with _descriptor_of(self.process) as descriptor:
            while not select.select([descriptor], [], [], min(POLL, kill_after or POLL))[0]:
                now, used = time.monotonic(), _megabytes(self.process)
                peak = max(peak, used)
                if not stopped and _is_waiting(self.process):
                    waiting += now - seen
                seen = now
                if now > kill_at and not stopped:
                    stopped = "kill"
                elif used > megabytes:
                    stopped = "memory"
                elif now > ends and not stopped:
                    stopped, ends = "time", now + grace
                    os.kill(self.process, signal.SIGINT)
                elif now > ends and stopped == "time":
                    stopped = "hangs"
                if stopped in ("kill", "memory", "hangs"):
                    os.kill(self.process, signal.SIGKILL)
                    break
        _, status = os.waitpid(self.process, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "out": self.printed(self.out),
            "err": self.printed(self.err),
            "seconds": time.monotonic() - self.began,
            "waiting": waiting,
            "megabytes": peak,
            "stopped": stopped,
            "orphans": _end_group(self.process),
            "operations": self.printed(self.record).splitlines(),
        }
        for stream in (self.out, self.err, self.record):
            os.close(stream)
        return answer

    def printed(self, stream):
        return os.pread(stream, MAX_OUTPUT, 0).decode(errors="backslashreplace")


def _become_command(argv, root, fault, streams):
    """In the fork: what the interpreter does around `python -m keras_ganvae`. Never returns."""
    code = 1
    try:
        os.setsid()
        _open_streams(*streams)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.geteuid() == 0:
            _become_nobody()
        _libc().prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        os.chdir(root / "work")
        os.environ.update(environment(root))
        sys.argv = ["keras-ganvae", *argv]
        from keras_ganvae.__main__ import main

        faults.install(root, fault, streams[2])
        code = main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _libc():
    return ctypes.CDLL(None)


def _become_nobody():
    """Become a user who may write little, but read all: Python may lie in root's home."""
    libc = _libc()
    keep_capabilities, version, read_search = 8, 0x20080522, 1 << 2  # see prctl(2), capset(2)
    libc.prctl(keep_capabilities, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    header = (ctypes.c_uint32 * 2)(version, 0)
    # Effective, permitted and inheritable ones, of the lower and the upper 32.
    sets = (ctypes.c_uint32 * 6)(read_search, read_search, 0, 0, 0, 0)
    if libc.capset(header, sets):
        raise OSError("capset failed")


def environment(root: Path) -> dict[str, str]:
    """The variables of a command in the folder `root`: caches in it, no network."""
    nowhere = "http://127.0.0.1:9"  # refuses at once
    return {
        "HOME": str(root / "home"),
        "XDG_CACHE_HOME": str(root / "cache"),
        "TMPDIR": str(root / "tmp"),
        "TFDS_DATA_DIR": str(root / "home" / "tfds"),
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        "no_proxy": "",
    }


def _open_streams(out, err, record):
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    sys.stdin, sys.stdout, sys.stderr = (
        open(descriptor, mode, closefd=False, encoding="utf-8", errors=errors)  # noqa: SIM115
        for descriptor, mode, errors in (
            (0, "r", "strict"),
            (1, "w", "strict"),
            (2, "w", "backslashreplace"),
        )
    )
    sys.stderr.reconfigure(line_buffering=True)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    tempfile.tempdir = None  # read TMPDIR again


@contextlib.contextmanager
def _descriptor_of(process):
    descriptor = os.pidfd_open(process)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _megabytes(process):
    try:
        resident = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):  # it just ended
        return 0.0
    return int(resident) * PAGE / 1e6


def _is_waiting(process):
    """Whether no thread of a process runs, wants to run, or reads a disk."""
    try:
        threads = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/stat")]
    except OSError:
        return False
    return not any(each.rpartition(")")[2].split()[0] in "RD" for each in threads)


def _end_group(group):
    """End the processes that a command started and left; whether there were any."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

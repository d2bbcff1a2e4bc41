"""Run `keras-ganvae train` as N workers on this machine.

    scripts/launch_local 2 --arch dcgan --out runs/two
    scripts/launch_local 2 --resume runs/two

Worker 0 prints to this terminal; each worker logs to RUN/logs/. Ctrl-C stops all workers, and
worker 0 saves a checkpoint. If a worker dies, the others stop; --resume starts all again.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from keras_ganvae.cli import main as cli
from keras_ganvae.cli.train import train_config
from keras_ganvae.distributed.placement import THREADS
from keras_ganvae.errors import UserError

GRACE_SECONDS = 60  # for the other workers to stop by themselves, after one has failed


def main() -> None:
    count, options = parse()
    workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
    with tempfile.TemporaryDirectory() as folder:
        started = [
            Worker(index, count, [*options, "--workers", workers], folder) for index in range(count)
        ]
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: [each.signal(number) for each in started])
        sys.exit(wait(started))


def parse() -> tuple[int, list[str]]:
    """The number of workers, and the options of `train` for each."""
    parser = argparse.ArgumentParser(
        prog="scripts/launch_local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Other options are those of `keras-ganvae train`.",
    )
    parser.add_argument("count", type=int, metavar="N", help="number of workers")
    args, options = parser.parse_known_args()
    if args.count < 1:
        parser.error(f"N is {args.count}; it must be at least 1")
    try:
        options += ["--strategy", "multi-worker"]
        train_args = cli.parse(["train", *options])
        if train_args.resume:
            return args.count, options
        arch = train_config(train_args).arch
    except UserError as error:
        parser.error(str(error))
    if not train_args.out:
        options += ["--out", f"runs/{arch}-{args.count}-workers-{time.strftime('%Y%m%d-%H%M%S')}"]
    return args.count, options


def free_ports(count: int) -> list[int]:
    """Ports that are free now. If another process takes one, the worker's error names it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Worker:
    """One process of the run. The output of all but worker 0 is shown only if they fail."""

    def __init__(self, index: int, count: int, options: list[str], folder: str):
        self.index = index
        self.output = os.path.join(folder, str(index))
        command = [sys.executable, "-m", "keras_ganvae", "train", *options]
        # Workers that each use all cores would wait for each other.
        threads = {THREADS: str(max(1, (os.cpu_count() or 1) // count))}
        with open(self.output, "wb") as file:
            output = {} if index == 0 else {"stdout": file, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(
                [*command, "--worker-index", str(index)],
                env=threads | os.environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # so that only this process forwards Ctrl-C
                **output,
            )

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def failure(self) -> str | None:
        """How the process failed; None if it is running or has succeeded."""
        code = self.process.poll()
        if not code:
            return None
        if code < 0:
            return f"worker {self.index} was killed by {signal.Signals(-code).name}"
        with open(self.output, errors="replace") as file:
            lines = file.read().splitlines()
        return f"worker {self.index} exited with code {code}{': ' + lines[-1] if lines else ''}"


def wait(workers: list[Worker]) -> int:
    """Wait for all workers; return the exit code of the first that failed."""
    failed = None
    deadline = None
    while any(each.process.poll() is None for each in workers):
        time.sleep(0.2)
        if failed is None and (found := [each for each in workers if each.failure()]):
            failed = found[0]
            print(f"{failed.failure()}; the others stop", file=sys.stderr)
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline and time.monotonic() > deadline:
            for each in workers:
                each.process.kill()
    for each in workers:
        if each.index and each is not failed and each.failure():
            print(each.failure(), file=sys.stderr)
    failed = failed or next((each for each in workers if each.process.returncode), None)
    if failed is None:
        return 0
    code = failed.process.returncode
    return code if code > 0 else 128 - code


if __name__ == "__main__":
    main()

"""Run `keras-ganvae train` as N workers on this machine.

    scripts/launch_local 2 --arch dcgan --out runs/two
    scripts/launch_local 2 --resume runs/two

Worker 0 speaks on this terminal, and each worker writes to RUN/logs/. Ctrl-C reaches all of
them: the state is saved. When one worker dies the others stop, and --resume goes on.
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

GRACE_SECONDS = 60  # for the others to notice, after one has ended badly


def main():
    count, options = parse()
    workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
    with tempfile.TemporaryDirectory() as folder:
        team = [
            Worker(index, count, [*options, "--workers", workers], folder) for index in range(count)
        ]
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: [each.signal(number) for each in team])
        sys.exit(wait(team))


def parse():
    """How many workers, and the options of `train` for each."""
    parser = argparse.ArgumentParser(
        prog="scripts/launch_local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Other options are those of `keras-ganvae train`.",
    )
    parser.add_argument("count", type=int, metavar="N", help="how many workers")
    args, options = parser.parse_known_args()
    if args.count < 1:
        parser.error(f"N is {args.count}; it must be at least 1")
    try:
        options += ["--strategy", "multi-worker"]
        asked = cli.parse(["train", *options])
        if asked.resume:
            return args.count, options
        arch = train_config(asked).arch
    except UserError as error:
        parser.error(str(error))
    if not asked.out:
        options += ["--out", f"runs/{arch}-{args.count}-workers-{time.strftime('%Y%m%d-%H%M%S')}"]
    return args.count, options


def free_ports(count):
    """Ports that nobody has now; somebody may take one before a worker does, which says so."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Worker:
    """One process of the run. What those but the first print is kept, and shown if they fail."""

    def __init__(self, index, count, options, folder):
        self.index = index
        self.printed = os.path.join(folder, str(index))
        command = [sys.executable, "-m", "keras_ganvae", "train", *options]
        # Each takes its share of the cores: with all of them they would wait for each other.
        threads = {THREADS: str(max(1, os.cpu_count() // count))}
        with open(self.printed, "wb") as file:
            output = {} if index == 0 else {"stdout": file, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(
                [*command, "--worker-index", str(index)],
                env=threads | os.environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C comes from here, once
                **output,
            )

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def failure(self):
        """What to say of how it ended; None if all is well or it still runs."""
        code = self.process.poll()
        if not code:
            return None
        if code < 0:
            return f"worker {self.index} was ended by {signal.Signals(-code).name}"
        with open(self.printed, errors="replace") as file:
            lines = file.read().splitlines()
        return f"worker {self.index} ended with {code}{': ' + lines[-1] if lines else ''}"


def wait(team) -> int:
    """Wait for all; the exit code is that of the first that failed."""
    failed = None
    deadline = None
    while any(each.process.poll() is None for each in team):
        time.sleep(0.2)
        if failed is None and (found := [each for each in team if each.failure()]):
            failed = found[0]
            print(f"{failed.failure()}; the others stop", file=sys.stderr)
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline and time.monotonic() > deadline:
            for each in team:
                each.signal(signal.SIGKILL)
    for each in team:
        if each.index and each is not failed and each.failure():
            print(each.failure(), file=sys.stderr)
    failed = failed or next((each for each in team if each.process.returncode), None)
    if failed is None:
        return 0
    code = failed.process.returncode
    return code if code > 0 else 128 - code


if __name__ == "__main__":
    main()

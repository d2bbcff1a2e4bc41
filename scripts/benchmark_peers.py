#!/usr/bin/env python
"""Compare the throughput of training with what could be used instead of this package.

    scripts/benchmark_peers [--only ARCH[:PRESET]] [--seconds 2] [--rounds 5] [--json FILE]

For each preset of each architecture, images per second of a training step in

- PyTorch: as it runs by default ("eager"), with a fused optimizer ("fused"), and compiled by
  torch.compile ("compile");
- Keras's `fit` with a model as a user would write it, at 1 and at 32 steps per execution;
- our loop.

All run on the processor, with all of its cores. They take turns: in each round every contender
runs for some seconds while the processes of the others wait; the result is the median of the
rounds.

All do the same work, which is checked first: the number of parameters, the multiply-adds (MACs)
of a step, and, with the same weights and noise, the outputs of both networks, the losses, and
the norms of their gradients. A difference ends the program.

PyTorch is installed into the cache folder once, 1 GB, not into .venv.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
from filelock import FileLock
from peers_process import Process, serve

from keras_ganvae import architectures, runtime
from keras_ganvae.config import PRESETS
from keras_ganvae.errors import GateFailed, InputError, UserError
from keras_ganvae.files import cache_folder, check_new_file, write_json

SCRIPTS = Path(__file__).resolve().parent
TORCH = "torch==2.13.0"
CONTENDERS = {"torch": ("eager", "fused", "compile"), "fit": ("fit 1", "fit 32")}
PEERS = tuple(name for names in CONTENDERS.values() for name in names)
TOLERANCE = 1e-4  # of outputs, losses and gradients; relative where they are above 1
# Threads that share a core with other programs wait for each other, PyTorch's above all.
QUIET = 0.75
BUSY = "{arch}:{preset}: eager PyTorch was slower than in its trial; is the machine busy?"
TRIALS, TRIAL_SECONDS = 3, 0.5
MEMORY_FORMATS = {"channels_last": "NHWC", "contiguous": "NCHW"}
# What PyTorch's threads do while they have no work: OpenMP's own choice, which is to spin for some
# milliseconds, or to sleep. Either way they are asleep when another process is timed.
WAITING = {"spin": {}, "sleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
# PyTorch computes D's logits for R1, which TensorFlow leaves out as only their gradient is used.
MAC_TOLERANCE = 1e-5
NOTES = """\
Images per second, median of {rounds} rounds of {seconds:g} s. Ratio: ours to the best peer.

Equal, checked above: parameters, MACs of a step, and with the same weights and
noise the outputs, losses and gradients' norms (largest differences; relative
where values are above 1).
Equal by construction: batch size, optimizer and its epsilon, learning rate of
each step, noise of the same distributions, dropout, EMA, logged means, uint8
images in memory, all cores.

Not equal:
- random numbers: each library has its own generators and seeds;
- order: each shuffles every epoch, but in its own order;
- padding: where TensorFlow pads unevenly, PyTorch's network is mirrored, at no
  cost;
- batch norm: PyTorch's moving variance is the unbiased one;
- Adam: PyTorch adds epsilon to the corrected deviation, Keras before that;
- determinism: ours repeats a run bit by bit (op determinism), the others need
  not;
- `fit`'s time includes what it does around an execution, such as callbacks;
  ours is the part that replaces Keras's train function only;
- PyTorch's form is the fastest of those tried with the eager step: memory
  format (NHWC is channels_last), and whether idle threads spin for some
  milliseconds before they sleep, or sleep at once (OMP_WAIT_POLICY=PASSIVE).
  All sleep while another process is timed;
- "compile" is two programs, as torch.compile does not take an optimizer's step
  and gradients in one; its MACs are those of the eager step."""


def main():
    args = parse()
    if args.serve:
        serve_keras(*args.serve)
        return 0
    try:
        run(args)
    except UserError as error:
        print(f"benchmark_peers: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="ARCH[:PRESET]", help="one architecture or preset")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--json", metavar="FILE", help="also write the results to a file")
    # For the processes that it starts: side, architecture, preset, `jit`.
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def serve_keras(side, *names):
    """Be one of the Keras processes."""
    runtime.start()
    import peers_keras

    contender = peers_keras.SIDES[side](*names)
    serve({"load": contender.load, "time": contender.time})


def run(args):
    """Measure, print and write what the command line asks for.

    Raises:
        InputError: a wrong option, or PyTorch can't be installed.
        GateFailed: the contenders don't do the same work.
    """
    presets = chosen(args.only)
    if not args.seconds > 0 or args.rounds < 1:
        raise InputError("--seconds must be above 0 and --rounds at least 1")
    if args.json:
        check_new_file(args.json)
    check_compiler()
    python = torch_python(cache_folder("benchmark-peers"))
    rows = []
    for arch, preset in presets:
        print(f"{arch}:{preset}", file=sys.stderr)
        rows.append(measure(arch, preset, python, args.seconds, args.rounds))
    print("\n\n".join([proofs_table(rows), rates_table(rows)]))
    print(NOTES.format(rounds=args.rounds, seconds=args.seconds))
    if args.json:
        write_json(args.json, rows)


def chosen(only):
    """The pairs of architecture and preset to measure.

    Args:
        only: "ARCH", "ARCH:PRESET" or None.

    Raises:
        InputError: there is none of that name.
    """
    if only is None:
        return [(arch, preset) for preset in PRESETS for arch in architectures.names()]
    arch, colon, preset = only.partition(":")
    architectures.check(arch)
    if colon and preset not in PRESETS:
        raise InputError(f"--only {only}: the presets are {' and '.join(PRESETS)}")
    return [(arch, each) for each in PRESETS if not colon or each == preset]


def check_compiler():
    """Check that there is what torch.compile compiles with.

    Raises:
        InputError: there is no C++ compiler.
    """
    if not shutil.which(os.environ.get("CXX", "g++")):
        raise InputError(
            "torch.compile needs a C++ compiler (Debian, Ubuntu: apt-get install g++), or CXX"
        )


def torch_python(folder):
    """The Python of an environment with PyTorch, made on the first call.

    Raises:
        InputError: PyTorch can't be installed.
    """
    environment, stamp = folder / "environment", folder / "installed"
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if stamp.exists() and stamp.read_text() == TORCH and python.exists():
            return python
        stamp.unlink(missing_ok=True)  # what is cut short is made again
        print(f"Installing {TORCH} into {environment}: 1 GB.", file=sys.stderr)
        try:
            venv.create(environment, clear=True, with_pip=True)
        except subprocess.CalledProcessError as error:
            raise InputError(
                "can't make an environment for PyTorch: Python's venv module is incomplete"
                " (Debian, Ubuntu: apt-get install python3-venv)"
            ) from error
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        done = subprocess.run([*install, "--no-input", TORCH, "numpy"], stdout=sys.stderr)
        if done.returncode:
            raise InputError(f"{TORCH} can't be installed, for the reason above")
        stamp.write_text(TORCH)
    return python


def measure(arch, preset, python, seconds, rounds):
    """A row of both tables.

    Raises:
        GateFailed: the contenders don't do the same work.
    """
    processes = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            row = started(processes, arch, preset, python, folder)
            row["differences"] = differences(Path(folder))
            turns = [
                (name, process)
                for side, process in processes.items()
                for name in CONTENDERS.get(side, (side,))
            ]
            row["rounds"] = in_turn(turns, seconds, rounds)
        finally:
            for process in processes.values():
                process.close()
    row |= summary(row["rounds"])
    if row["images_per_second"]["eager"] < QUIET * row["trial"]:
        print(BUSY.format(**row), file=sys.stderr)
    return row


def started(processes, arch, preset, python, folder):
    """Start the sides one after the other, and check that they do the same work.

    Args:
        processes: gets the processes by side.
        folder: for the files that they exchange.

    Returns:
        The row's first values.
    """

    def keras(side, jit="off"):
        command = [sys.executable, __file__, "--serve", side, arch, preset, jit]
        processes[side if jit == "off" else f"{side} XLA"] = process = Process(command)
        return process.ask("load", folder=folder)

    ours = keras("ours")
    check_equal(ours, keras("fit"), "fit")
    if ours["auto_picks_xla"]:
        check_equal(ours, keras("ours", "on"), "XLA")
    form = start_torch(processes, python, folder, ours)
    model = json.loads(Path(folder, "model.json").read_text())
    return {
        "arch": arch,
        "preset": preset,
        "batch": model["settings"]["batch_size"],
        "parameters": ours["parameters"],
        "mega_multiply_adds": ours["macs"] / 1e6,
        "steps_per_execution": ours["steps"],
    } | form


def start_torch(processes, python, folder, ours):
    """Start PyTorch in the form whose eager step is the fastest.

    Args:
        processes: gets the process, as "torch".
        ours: what our side says of the model.

    Returns:
        The form and its throughput, for the row.
    """
    turns = []
    for waiting, variables in WAITING.items():
        processes[waiting] = Process([str(python), str(SCRIPTS / "peers_torch.py")], variables)
        reply = processes[waiting].ask("load", folder=folder)
        check_equal(ours, reply, "PyTorch")
        turns += [(waiting, memory_format) for memory_format in reply["formats"]]
    rates = {turn: [] for turn in turns}
    for _ in range(TRIALS):
        for waiting, memory_format in turns:
            request = {"contender": memory_format, "seconds": TRIAL_SECONDS}
            rates[waiting, memory_format].append(processes[waiting].ask("time", **request)["rate"])
    medians = {turn: statistics.median(each) for turn, each in rates.items()}
    waiting, memory_format = max(medians, key=medians.get)
    chosen = processes.pop(waiting)
    for other in WAITING.keys() - {waiting}:
        processes.pop(other).close()
    processes["torch"] = chosen
    chosen.ask("choose", memory_format=memory_format)
    return {
        "memory_format": memory_format,
        "idle_threads": waiting,
        "trial": medians[waiting, memory_format],
        "trials": {f"{one}, {other}": rate for (one, other), rate in medians.items()},
    }


def check_equal(ours, other, name):
    """Compare what two sides say of their model.

    Raises:
        GateFailed: they differ in parameters or in MACs.
    """
    if ours["parameters"] != other["parameters"]:
        raise GateFailed(f"{ours['parameters']} parameters, {other['parameters']} in {name}")
    if abs(other["macs"] / ours["macs"] - 1) > MAC_TOLERANCE:
        raise GateFailed(f"{ours['macs']:.0f} MACs per image, {other['macs']:.0f} in {name}")


def differences(folder):
    """The largest differences between keras.npz and torch.npz: outputs, losses, gradients.

    Raises:
        GateFailed: one is above TOLERANCE.
    """
    with np.load(folder / "keras.npz") as keras, np.load(folder / "torch.npz") as torch:
        found = {}
        for name, value in torch.items():
            what, wanted = name.partition(", ")[0], keras[name.partition(", ")[0]]
            if value.shape != wanted.shape:
                raise GateFailed(f"{what}: {wanted.shape}, {value.shape} in PyTorch")
            scale = max(1.0, float(np.abs(wanted).max()))
            difference = float(np.abs(value - wanted).max()) / scale
            if not difference <= TOLERANCE:  # NaN too
                raise GateFailed(f"{name}: PyTorch's differs by {difference:.2g}")
            kind = what.split()[0 if what[-1].isdigit() else 1]
            found[kind] = max(found.get(kind, 0.0), difference)
    return found


def in_turn(turns, seconds, rounds):
    """Images per second in each round, by contender.

    Args:
        turns: pairs of a contender and its process.
    """
    found = {name: [] for name, _ in turns}
    for _ in range(rounds):
        for name, process in turns:
            found[name].append(process.ask("time", contender=name, seconds=seconds)["rate"])
    return found


def summary(rounds):
    """The medians, the best peer, and the ratio of ours to it; XLA counts as ours if it ran."""
    rates = {name: statistics.median(each) for name, each in rounds.items()}
    best = max(PEERS, key=rates.get)
    ours = rates.get("ours XLA", rates["ours"])
    return {"images_per_second": rates, "best_peer": best, "ratio": ours / rates[best]}


def proofs_table(rows):
    """What was checked, a line for each preset."""
    head = "arch  preset   batch parameters M MACs outputs  losses gradients  form"
    body = [
        f"{row['arch']:5} {row['preset']:8} {row['batch']:5} {row['parameters']:10,}"
        f" {row['mega_multiply_adds']:6.2f} {row['differences']['output']:7.1e}"
        f" {row['differences']['loss']:7.1e} {row['differences']['gradient']:9.1e}"
        f"  {MEMORY_FORMATS[row['memory_format']]}, {row['idle_threads']}"
        for row in rows
    ]
    return "\n".join([head, *body])


def rates_table(rows):
    """Images per second, a line for each preset; one more where XLA compiled ours, too."""
    head = f"arch  preset  {''.join(f'{name:>8}' for name in PEERS)}    ours  best     ratio"
    body = []
    for row in rows:
        rates = row["images_per_second"]
        peers = "".join(f"{rates[name]:8,.0f}" for name in PEERS)
        ours = f"{rates.get('ours XLA', rates['ours']):8,.0f}"
        body.append(
            f"{row['arch']:5} {row['preset']:8}{peers}{ours}  {row['best_peer']:7}"
            f" {row['ratio']:6.2f}"
        )
        if "ours XLA" in rates:
            body.append(f"{'':5} ours with XLA, as `jit=auto` picks; {rates['ours']:,.0f} without")
    return "\n".join([head, *body])


if __name__ == "__main__":
    sys.exit(main())

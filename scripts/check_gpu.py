"""Check training on this machine's GPU, and write one page of results to send back.

    scripts/check_gpu [--out gpu-check.md] [--json FILE] [--seconds 60] [--only ARCH ...]

Every measurement and every run is a process of its own, so that one that fails stops no other,
and each has the GPU's memory to itself. On a machine without a GPU the same checks run on the
CPU, and the page says what they leave open. Exit code: 0 no check failed, 1 one did, 2 bad
input, 130 interrupted.
"""

import argparse
import collections
import dataclasses
import functools
import importlib.metadata
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import benchmark_training
from fingerprint import arrays, newest_state

from keras_ganvae import architectures, runtime
from keras_ganvae.cli.messages import explain
from keras_ganvae.cli.parser import Parser
from keras_ganvae.config import PRECISIONS, TrainConfig, check_range
from keras_ganvae.errors import InputError, UserError, printable
from keras_ganvae.files import check_new_file, sha256_of, write_json, write_text
from keras_ganvae.runs import checkpoints

WIDTH = 80  # columns of the page
MOST_TEXT = 230  # characters of a verdict: three lines
MOST_REASON = 160  # of a failure

# Sides of the matrix product: the largest that takes a fraction of a second.
GPU_SIDE, CPU_SIDE = 8192, benchmark_training.SIDE
IMAGES = 20_000  # of a timed run: enough for an execution to last a quarter second

# Runs of the command line: a few steps of each architecture's batch.
EPOCHS = 2
SHORT = ("--dataset", "synthetic", "--limit", "512", "--epochs", f"{EPOCHS}", "--seed", "7")
ONE = ("--strategy", "single")  # `auto` would take several GPUs
TWO = ("--strategy", "mirrored", "--replicas", "2")
# So that there is a checkpoint after each step, and each is a chance to stop.
STOPPABLE = ("--steps-per-execution", "1", "--checkpoint-minutes", "0.0001")
OTHER_STEPS = "3"  # per execution, after the resume
TOO_FAST = "the run was faster than the signal"
# 43 images in batches of 8: the last batch has 3, which two replicas share unequally.
SHARED = ("--dataset", "synthetic", "--limit", "43", "--batch-size", "8", "--epochs", "2")
SHARED += ("--latent-dim", "5", "--schedule", "constant")
# TF32 rounds to 10 bits: two ways to add would differ by more than a wrong one does.
WITHOUT_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
MOST_APART = 1e-4  # of weights; Adam magnifies the rounding of small gradients

# Memory that executions after the second may take in addition. TensorFlow's allocator of GPU
# memory counts exactly; the C library's keeps what it likes.
GPU_GROWTH, CPU_GROWTH = 1 << 20, 64 << 20  # bytes
MUCH_SLOWER = 0.9  # a ratio of throughputs, beyond the noise of the timing


class CheckFailed(Exception):
    """What a check found wrong, in one line."""


class NotChecked(Exception):
    """Why something can't be checked here."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of one check: "ok", "FAILED" or "not checked", and what to say about it."""

    status: str
    text: str

    def __str__(self) -> str:
        return f"{self.status}: {self.text}" if self.text else self.status


def main(argv=None) -> int:
    """The exit code."""
    try:
        args = parse(argv)
        if args.child:
            print(json.dumps(child(**json.loads(args.child))))
            return 0
        return check(args)
    except UserError as error:
        message, code = explain(error, ("--seconds",))
    except OSError as error:
        message, code = str(error), 2
    except KeyboardInterrupt:
        message, code = "interrupted; nothing was written", 130
    print(f"check_gpu: {printable(message)}", file=sys.stderr)
    return code


def parse(argv):
    names = architectures.names()
    parser = Parser(
        prog="scripts/check_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="gpu-check.md", metavar="FILE", help="the page")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="X",
        help="of training for each architecture; a quarter of it for each variant (default 60)",
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="architectures")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # for the processes that it starts
    args = parser.parse_args(argv)
    check_range("seconds", args.seconds, above=0)
    for path in filter(None, (args.out, args.json)):
        check_new_file(path)
    if args.json and Path(args.json).resolve() == Path(args.out).resolve():
        raise InputError("--out and --json name the same file")
    return args


def check(args) -> int:
    """Run all checks and write the page; 1 if a check failed."""
    with tempfile.TemporaryDirectory(prefix="check-gpu-") as folder:
        session = Session(tuple(args.only), args.seconds, Path(folder))
        verdicts = {}
        for name, run_check in CHECKS.items():
            say(name)
            verdicts[name] = outcome(run_check, session)
    if args.json:
        write_json(args.json, figures(session, verdicts))
    write_text(args.out, page(session, verdicts))
    for name, found in verdicts.items():
        print(f"{name}: {found}")
    print(f"written to {args.out}")
    return 1 if any(found.status == "FAILED" for found in verdicts.values()) else 0


class Session:
    """What the checks share.

    Args:
        archs: architectures to check.
        seconds: of training for each.
        folder: for runs; exists.

    Attributes:
        machine: see `machine_facts`; empty until they are known.
        known: results that several checks need, or the `CheckFailed` that they ended with.
        rows: results of child processes, by task and then architecture and variant.
    """

    def __init__(self, archs: tuple[str, ...], seconds: float, folder: Path):
        self.archs = archs
        self.seconds = seconds
        self.folder = folder
        self.machine: dict = {}
        self.known: dict[tuple, Any] = {}
        self.rows: dict[str, dict[str, dict]] = {}
        self.timeout = 900 + 4 * seconds  # of a process: compiling may take minutes

    @property
    def gpus(self) -> int:
        return len(self.machine.get("devices", ()))

    def child(self, task: str, **arguments) -> dict:
        """The result of a function of `TASKS` in a process of its own.

        Raises:
            CheckFailed: the process failed.
        """
        command = [__file__, "--child", json.dumps({"task": task, **arguments})]
        return json.loads(run(command, self.timeout).splitlines()[-1])

    def preset(self, arch: str) -> dict:
        """See `preset_row`."""
        row = self.child("preset", arch=arch, seconds=self.seconds)
        self.keep("presets", arch, row)
        return row

    def trained(self, arch: str, variant: str = "float32", **settings) -> dict:
        """See `training_row`; without XLA unless the settings say otherwise."""
        settings = {"strategy": "single", "jit": "off"} | settings

        def make():
            row = self.child("training", arch=arch, seconds=self.seconds / 4, **settings)
            self.keep("training", f"{arch} {variant}", row)
            return row

        return self.once((arch, variant), make)

    def keep(self, task: str, name: str, row: dict) -> None:
        """Keep a result for the page."""
        self.rows.setdefault(task, {})[name] = row

    def once(self, key: tuple, make: Callable[[], Any]) -> Any:
        """The result of the first call for a key; a failure fails again, at once."""
        if key not in self.known:
            try:
                self.known[key] = make()
            except CheckFailed as error:
                self.known[key] = error
        if isinstance(self.known[key], CheckFailed):
            raise self.known[key]
        return self.known[key]

    def run_folder(self, arch: str, name: str) -> Path:
        return self.folder / f"{arch}-{name}"

    def train(self, *options: str, environment: dict[str, str] | None = None) -> None:
        """Run `keras-ganvae train`.

        Raises:
            CheckFailed: it failed.
        """
        run(["-m", "keras_ganvae", "train", *options], self.timeout, environment)

    def chosen_jit(self, arch: str) -> str:
        """See `jit_choice`."""

        def make():
            choice = self.child("jit", arch=arch)
            self.keep("jit", arch, choice)
            return choice["jit"]

        return self.once((arch, "jit"), make)

    def first_run(self, arch: str) -> tuple[Path, str]:
        """A short run compiled as `--jit auto` chooses for a long one, and that choice."""

        def make():
            out, jit = self.run_folder(arch, "first"), self.chosen_jit(arch)
            self.train("--arch", arch, *SHORT, *ONE, "--jit", jit, "--out", str(out))
            return out, jit

        return self.once((arch, "first run"), make)


def run(arguments, timeout, environment=None) -> str:
    """What a Python process prints.

    Raises:
        CheckFailed: it failed, or did not end in time; with the last line of its stderr.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"no end after {timeout:.0f} seconds") from error
    if done.returncode:
        raise CheckFailed(failure(done.returncode, done.stderr))
    return done.stdout


def failure(code, stderr) -> str:
    """The last line of stderr, or how the process ended if it said nothing."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    if not lines:
        return ending
    last = shortened(lines[-1], MOST_REASON)
    return f"{ending}, {last}" if code < 0 else last


# The checks. Each takes the session and returns its verdict, or raises.


def outcome(run_check: Callable[[Any], Verdict | str], argument: Any) -> Verdict:
    """The verdict of a check, whatever it raises; a text that it returns is "ok"."""
    try:
        found = run_check(argument)
        return found if isinstance(found, Verdict) else Verdict("ok", found)
    except NotChecked as error:
        return Verdict("not checked", str(error))
    except CheckFailed as error:
        return Verdict("FAILED", str(error))
    except Exception as error:  # a mistake in this script; the other checks must go on
        reason = shortened(f"{type(error).__name__}: {error}", MOST_REASON)
        return Verdict("FAILED", reason)


def for_each(session, left_open: str, check_one: Callable[[str], str]) -> Verdict:
    """One verdict for all architectures: "FAILED" if one is, and "ok" if one is.

    Args:
        left_open: what a CPU can't tell.
        check_one: takes an architecture and returns what to say about it, or raises.
    """
    said: dict[str, dict[str, list[str]]] = {"FAILED": {}, "ok": {}, "not checked": {}}
    for arch in session.archs:
        say(f"  {arch}")
        found = outcome(check_one, arch)
        said[found.status].setdefault(found.text, []).append(arch)
    status = next(each for each, texts in said.items() if texts)
    text = grouped(said[status])
    if status == "ok" and said["not checked"]:
        text += f"; not checked: {grouped(said['not checked'])}"
    if status == "ok" and not session.gpus:
        text += f"; not checked: {left_open} (no GPU)"
    return Verdict(status, text)


def grouped(said: dict[str, list[str]]) -> str:
    """ "vae, gan: why; cvae: another reason"."""
    texts = (f"{', '.join(archs)}: {text}" for text, archs in said.items())
    return shortened("; ".join(texts), MOST_TEXT)


def shortened(text: str, most: int) -> str:
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def say(text: str) -> None:
    """Show the progress."""
    print(text, file=sys.stderr, flush=True)


def check_machine(session) -> Verdict:
    session.machine = session.child("machine")
    facts = session.machine
    if not facts["devices"]:
        raise NotChecked(facts["why_no_gpu"] or "TensorFlow finds no GPU")
    return Verdict("ok", f"{described(facts['devices'])}; driver {facts['driver']}")


def described(gpus) -> str:
    """GPUs of TensorFlow's details, such as "2 x NVIDIA A100 (compute capability 8.0)"."""
    names = collections.Counter(
        f"{each.get('device_name', 'unknown')}"
        f" (compute capability {'.'.join(map(str, each.get('compute_capability', '?')))})"
        for each in gpus
    )
    return ", ".join(f"{count} x {name}" for name, count in names.items())


def check_throughput(session) -> Verdict:
    def check_one(arch):
        row = session.preset(arch)
        ratio = row["images_per_second"] / row["images_per_second_by_step"]
        return f"{row['images_per_second']:,.0f} images/s, {ratio:.1f} x one step per call"

    return for_each(session, "a GPU's throughput", check_one)


def check_memory(session) -> Verdict:
    def check_one(arch):
        row = session.trained(arch)
        if session.gpus and not row["memory_growth"]:
            raise CheckFailed("memory growth is off: TensorFlow takes the whole GPU")
        more = row["memory_last"] - row["memory_second"]
        if more > (GPU_GROWTH if session.gpus else CPU_GROWTH):
            raise CheckFailed(
                f"{megabytes(more)} MB more after {row['executions']} executions than after two"
            )
        return f"peak {megabytes(row['peak_memory'])} MB, {megabytes(more)} MB more at the end"

    return for_each(session, "a GPU's memory and its growth", check_one)


def check_determinism(session) -> Verdict:
    def check_one(arch):
        first, jit = session.first_run(arch)
        second = session.run_folder(arch, "second")
        session.train("--arch", arch, *SHORT, *ONE, "--jit", jit, "--out", str(second))
        check_equal(first, second, jit)
        return "two processes write the same bytes"

    return for_each(session, "a GPU's kernels", check_one)


def check_resume(session) -> Verdict:
    def check_one(arch):
        whole, jit = session.first_run(arch)
        out = session.run_folder(arch, "stopped")
        options = ("--arch", arch, *SHORT, *ONE, *STOPPABLE, "--jit", jit, "--out", str(out))
        stop_in_the_middle(options, out, session.timeout)
        epoch, step = map(int, newest_state(out).name.split("-"))
        if epoch >= EPOCHS:
            raise NotChecked(TOO_FAST)
        session.train("--resume", str(out), "--steps-per-execution", OTHER_STEPS)
        check_equal(whole, out, jit)
        return f"stopped after step {step} of epoch {epoch + 1}, the same bytes"

    return for_each(session, "a GPU's kernels", check_one)


def stop_in_the_middle(options, out, timeout) -> None:
    """Start `keras-ganvae train`, and send SIGINT when it has written a checkpoint.

    Raises:
        CheckFailed: it did not end with exit code 130.
    """
    end = time.monotonic() + timeout
    command = [sys.executable, "-m", "keras_ganvae", "train", *options]
    log = out.with_name(f"{out.name}.log")
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file
        )
    try:
        while process.poll() is None and not checkpoints.folders(out / "checkpoint"):
            if time.monotonic() > end:
                raise CheckFailed(f"no checkpoint after {timeout:.0f} seconds")
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)  # does nothing if it has ended
        code = process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"no end {timeout:.0f} seconds after SIGINT") from error
    finally:
        process.kill()
        process.wait()
    if code == 0:
        raise NotChecked(TOO_FAST)
    if code != 130:
        said = failure(code, log.read_text(errors="replace"))
        raise CheckFailed(f"the run to stop ended with {code}, not 130: {said}")


def check_equal(one: Path, other: Path, jit: str) -> None:
    """Compare the training state and the model of two finished runs.

    Raises:
        CheckFailed: bytes differ.
    """
    digests = [
        {
            "weights, optimizers and seeds": arrays(newest_state(each) / "variables.npz"),
            "model.keras": sha256_of(each / "model.keras"),
        }
        for each in (one, other)
    ]
    differ = [name for name in digests[0] if digests[0][name] != digests[1][name]]
    if differ:
        raise CheckFailed(f"not the same bytes (jit {jit}): {', '.join(differ)}")


def check_mixed_precision(session) -> Verdict:
    def check_one(arch):
        reference = session.trained(arch)["images_per_second"]
        found = []
        for precision in PRECISIONS[1:]:
            row = session.trained(arch, precision, precision=precision)
            if not row["finite"]:
                raise CheckFailed(f"{precision}: the loss or a weight is NaN or infinite")
            found.append(f"{precision} {row['images_per_second'] / reference:.2f} x")
        return ", ".join(found)

    return for_each(session, "a GPU's units for these types", check_one)


def check_xla(session) -> Verdict:
    def check_one(arch):
        off, on = session.trained(arch), session.trained(arch, "XLA", jit="on")
        if not on["finite"]:
            raise CheckFailed("the loss or a weight is NaN or infinite with XLA")
        ratio = on["images_per_second"] / off["images_per_second"]
        jit = session.chosen_jit(arch)
        slower = {"on": ratio < MUCH_SLOWER, "off": ratio > 1 / MUCH_SLOWER}.get(jit)
        return f"auto is {jit}{', the slower' if slower else ''}, on {ratio:.2f} x off"

    return for_each(session, "a GPU's code", check_one)


def check_two_gpus(session) -> Verdict:
    if session.gpus < 2:
        raise NotChecked("one device")

    def check_one(arch):
        apart = distance_of_two(session, arch)
        if not apart <= MOST_APART:
            raise CheckFailed(f"weights differ by {apart:.2g} from those of one device")
        two = session.trained(arch, "two GPUs", strategy="mirrored", replicas=2)
        ratio = two["images_per_second"] / session.trained(arch)["images_per_second"]
        return f"{ratio:.2f} x the throughput of one, weights within {apart:.1g}"

    return for_each(session, "", check_one)


def distance_of_two(session, arch) -> float:
    """The largest difference of a weight between a run on one device and one on two."""
    # Without dropout, as each replica drops different units.
    extra = ("--no-dropout",) if architectures.kind_of(arch) == "adversarial" else ()
    runs = {"one": ONE, "two": TWO}
    for name, strategy in runs.items():
        out = str(session.run_folder(arch, name))
        options = ("--arch", arch, *SHARED, *extra, *strategy, "--jit", "off", "--out", out)
        session.train(*options, environment=WITHOUT_TF32)
    folders = [str(session.run_folder(arch, name)) for name in runs]
    return session.child("distance", folders=folders)["distance"]


CHECKS = {
    "machine": check_machine,
    "throughput": check_throughput,
    "memory": check_memory,
    "determinism": check_determinism,
    "resume": check_resume,
    "mixed precision": check_mixed_precision,
    "XLA": check_xla,
    "two GPUs": check_two_gpus,
}


# What child processes do.


def child(task, **arguments) -> dict:
    work = TASKS[task]
    runtime.start()
    return work(**arguments)


def machine_facts() -> dict:
    """`runs.machine.here()`, and the GPUs' names, versions of CUDA and cuDNN, and the driver."""
    import tensorflow as tf

    from keras_ganvae.distributed.placement import why_no_gpu
    from keras_ganvae.runs import machine

    build = tf.sysconfig.get_build_info()
    devices = tf.config.list_physical_devices("GPU")
    return machine.here() | {
        "system": platform.platform(),
        "devices": [tf.config.experimental.get_device_details(gpu) for gpu in devices],
        "why_no_gpu": why_no_gpu(),
        "driver": driver(),
        "built_for": {name: build.get(f"{name}_version", "none") for name in ("cuda", "cudnn")},
        "installed": cuda_packages(),
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def driver() -> str:
    """The version of NVIDIA's driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown (no nvidia-smi)"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).split("\n")
    return printable(lines[0]) or "unknown"


def cuda_packages() -> list[str]:
    """The installed packages of CUDA's runtime, cuDNN and NCCL, with versions."""
    prefixes = ("nvidia-cuda-runtime", "nvidia-cudnn", "nvidia-nccl")
    return sorted(
        f"{each.name} {each.version}"
        for each in importlib.metadata.distributions()
        if each.name and each.name.startswith(prefixes)
    )


def preset_row(arch, seconds) -> dict:
    """A row of `benchmark_training`'s first table, with a product of this device's size."""
    import tensorflow as tf

    from keras_ganvae.distributed.placement import place

    place(TrainConfig(arch=arch, strategy="single"))  # lets the GPU's memory grow
    side = GPU_SIDE if tf.config.get_visible_devices("GPU") else CPU_SIDE
    before = product_gflops(side, seconds)
    row = benchmark_training.measure(arch, "default", seconds)
    product = max(before, product_gflops(side, seconds))
    share = row["gflops"] / product
    return row | {"product_gflops": product, "product_side": side, "share_of_product": share}


def product_gflops(side, seconds) -> float:
    """GFLOP/s of a float32 matrix product, timed for a second at most.

    Unlike `benchmark_training`'s, the product stays on the GPU: to copy it takes as long.
    """
    import tensorflow as tf

    matrix = tf.random.stateless_normal((side, side), seed=(0, 0))
    corner = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
    (typical,) = benchmark_training.typical_seconds((lambda: float(corner()),), min(1.0, seconds))
    return 2 * side**3 / typical / 1e9


def training_row(arch, seconds, **settings) -> dict:
    """Train for some seconds with the loop of `fit`.

    Args:
        settings: of `TrainConfig`.

    Returns:
        `images_per_second`, the median of the executions; `steps_per_execution`; `executions`,
        their number; memory in bytes, see `memory`: `memory_second` and `memory_last`, after
        the second and the last execution, and `peak_memory`; `memory_growth`, whether
        TensorFlow takes a GPU's memory as needed; `finite`, whether all losses and weights
        are.
    """
    import numpy as np
    import tensorflow as tf

    setup = timed_setup(TrainConfig(arch=arch, dataset="synthetic", limit=1000, **settings))
    model, blocks = installed(setup)
    logs, held = [], []

    def execute():
        found = model.train_function(blocks)
        logs.append({name: float(value) for name, value in found.items()})  # waits for the steps
        held.append(memory())

    (typical,) = benchmark_training.typical_seconds((execute,), seconds)
    gpus = tf.config.get_visible_devices("GPU")
    images = model.steps_per_execution * setup.config.batch_size
    return {
        "images_per_second": images / typical,
        "steps_per_execution": model.steps_per_execution,
        "executions": len(held),
        "memory_second": held[1][0],
        "memory_last": held[-1][0],
        "peak_memory": held[-1][1],
        "memory_growth": all(map(tf.config.experimental.get_memory_growth, gpus)),
        "finite": all(map(math.isfinite, logs[-1].values()))
        and all(bool(np.isfinite(weight).all()) for weight in model.get_weights()),
    }


def jit_choice(arch) -> dict:
    """What `--jit auto` chooses for a run that is long enough to measure, and why."""
    from keras_ganvae.training import compilation
    from keras_ganvae.training.setup import build_model

    config = TrainConfig(arch=arch, dataset="synthetic", limit=1000, strategy="single")
    setup = timed_setup(dataclasses.replace(config, epochs=compilation.LEAST_STEPS))
    model = build_model(setup.config, setup.dataset, setup.placement)
    return compilation.choose(setup, model)._asdict()


def timed_setup(config):
    """`prepare` with `IMAGES` images, in whole batches: the median is of equal executions."""
    import numpy as np

    from keras_ganvae.data import Split
    from keras_ganvae.training.setup import prepare

    setup = prepare(config)
    images = setup.dataset.train.images
    count = IMAGES // setup.config.batch_size * setup.config.batch_size
    train = Split(np.resize(images, (count, *images.shape[1:])))
    return dataclasses.replace(setup, dataset=dataclasses.replace(setup.dataset, train=train))


def installed(setup):
    """A model with the loop of `fit`, and an iterator over its blocks."""
    from keras_ganvae.data.position import Position
    from keras_ganvae.training import loop
    from keras_ganvae.training.setup import build_model, feeds

    model = build_model(setup.config, setup.dataset, setup.placement)
    training, validation = feeds(setup)
    xla = setup.config.jit == "on"
    loop.install(model, training, validation, "auto", setup.placement, xla)
    make = functools.partial(
        training.training_blocks, model.steps_per_execution, setup.config.seed, Position()
    )
    return model, iter(setup.placement.distributed(make))


def memory() -> tuple[int, int]:
    """Bytes in use now and at their peak: of the first GPU, else of this process."""
    import psutil
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        info = tf.config.experimental.get_memory_info("GPU:0")
        return info["current"], info["peak"]
    return psutil.Process().memory_info().rss, runtime.peak_memory()


def distance(folders) -> dict:
    """The largest difference of a weight between the models of two runs."""
    import numpy as np

    from keras_ganvae.runs.run import Run

    one, other = (Run.open(folder).model().get_weights() for folder in folders)
    pairs = zip(one, other, strict=True)
    return {"distance": max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)}


TASKS = {
    "machine": machine_facts,
    "preset": preset_row,
    "training": training_row,
    "jit": jit_choice,
    "distance": distance,
}


# The page.


def figures(session, verdicts) -> dict:
    """What --json writes."""
    found = {name: dataclasses.asdict(each) for name, each in verdicts.items()}
    return {"verdicts": found, "seconds": session.seconds, "machine": session.machine} | {
        task: session.rows.get(task, {}) for task in ("presets", "training", "jit")
    }


def page(session, verdicts) -> str:
    """Verdicts, tables and the machine, in Markdown."""
    sections = [
        ["# GPU check", "", *(line for each in verdicts.items() for line in bullet(*each))],
        throughput_section(session),
        memory_section(session),
        variants_section(session),
        machine_section(session.machine),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def bullet(name, text) -> list[str]:
    """A list item of the page, as lines."""
    return textwrap.wrap(f"- {name}: {printable(text)}", WIDTH, subsequent_indent="  ")


def table(title, head, rows) -> list[str]:
    """A Markdown table with a heading; nothing without rows. The first column is of text."""
    if not rows:
        return []
    cells = [head, *rows]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(head))]
    lines = [
        "| "
        + " | ".join(
            f"{cell:{'>' if i else '<'}{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths))
    return [f"## {title}", "", lines[0], f"|{rule}|", *lines[1:]]


def throughput_section(session) -> list[str]:
    rows = session.rows.get("presets", {})
    found = table(
        "Throughput of the default presets",
        ("arch", "batch", "K", "by step", "loop", "XLA", "GFLOP/s", "of product"),
        [
            (
                *(arch, f"{row['batch']}", f"{row['steps_per_execution']}"),
                f"{row['images_per_second_by_step']:,.0f}",
                *(f"{row['loop_ratio']:.2f}", f"{row['xla_ratio']:.2f}"),
                *(f"{row['gflops']:,.1f}", f"{row['share_of_product']:.1%}"),
            )
            for arch, row in rows.items()
        ],
    )
    if not found:
        return []
    fastest = max(rows.values(), key=lambda row: row["product_gflops"])
    side = fastest["product_side"]
    note = (
        "By step: images/s at one step per call. Loop, XLA: times as many at K steps per call,"
        " as `train` runs them, without and with XLA. GFLOP/s of the faster. Product: float32,"
        f" {side} x {side}, {fastest['product_gflops']:,.0f} GFLOP/s."
    )
    return [*found, "", *textwrap.wrap(note, WIDTH)]


def memory_section(session) -> list[str]:
    rows = session.rows.get("training", {})
    return table(
        f"Memory of {'the GPU' if session.gpus else 'the process'}, MB (float32, no XLA)",
        ("arch", "peak", "2nd execution", "last", "executions", "growth on"),
        [
            (
                arch,
                *(megabytes(row[name]) for name in ("peak_memory", "memory_second", "memory_last")),
                f"{row['executions']}",
                ("yes" if row["memory_growth"] else "no") if session.gpus else "-",
            )
            for arch in session.archs
            if (row := rows.get(f"{arch} float32"))
        ],
    )


def variants_section(session) -> list[str]:
    rows = session.rows.get("training", {})
    variants = (*PRECISIONS[1:], "XLA", "two GPUs")

    def cells(arch, reference):
        yield f"{reference['images_per_second']:,.0f}"
        for variant in variants:
            row = rows.get(f"{arch} {variant}")
            yield (
                f"{row['images_per_second'] / reference['images_per_second']:.2f}" if row else "-"
            )
        yield session.rows.get("jit", {}).get(arch, {}).get("jit", "-")

    return table(
        "Variants: throughput relative to float32 without XLA",
        ("arch", "images/s", *variants, "--jit auto"),
        [
            (arch, *cells(arch, reference))
            for arch in session.archs
            if (reference := rows.get(f"{arch} float32"))
        ],
    )


def machine_section(facts) -> list[str]:
    if not facts:
        return []
    machine = facts["machine"]
    built = ", ".join(f"{name} {version}" for name, version in facts["built_for"].items())
    lines = {
        "GPUs": described(facts["devices"]) or "none",
        "driver": facts["driver"],
        "TensorFlow built for": built,
        "installed": ", ".join(facts["installed"]) or "no CUDA packages",
        "TF32": "on" if facts["tf32"] else "off",
        "processor": f"{machine['processor']}, {machine['threads']} threads",
        "settings": machine["settings"] or "none",
        "system": facts["system"],
        "versions": ", ".join(f"{name} {each}" for name, each in facts["versions"].items()),
    }
    return ["## Machine", "", *(line for each in lines.items() for line in bullet(*each))]


def megabytes(size) -> str:
    return f"{size / 1e6:,.1f}"


if __name__ == "__main__":
    sys.exit(main())

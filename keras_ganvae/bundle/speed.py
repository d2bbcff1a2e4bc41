"""Load time, latency and memory of one .tflite file, measured in a separate process.

    python -m keras_ganvae.bundle.speed FILE THREADS

prints the result of `measure` as JSON. Like an app, the process loads the interpreter but not
TensorFlow, so that its memory beyond the interpreter's is the file's.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_ganvae import runtime
from keras_ganvae.errors import InputError
from keras_ganvae.tflite import run as interpreter

LOADS = 10
WARM_UP = 50
RUNS = 1000
MAX_SECONDS = 10  # for the timed runs: a slow file gets fewer than `RUNS`


def measure_in_subprocess(path: str | Path, threads: int) -> dict[str, float]:
    """The result of `measure` from a new process.

    Raises:
        InputError: the file can't be run.
    """
    command = [sys.executable, "-m", __name__, str(path), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"can't measure {path}: {reason[-1]}")
    return json.loads(done.stdout)


def measure(
    path: str | Path, threads: int, *, loads: int = LOADS, runs: int = RUNS
) -> dict[str, float]:
    """Measure the signature `decode` with one image per call.

    Args:
        threads: of the interpreter.
        loads: how often the file is loaded.
        runs: how many calls are timed, at most.

    Returns:
        threads; load_ms: median time to load the file and decode the first image; p50_ms,
        p90_ms, p99_ms: percentiles of the time to decode another image; runs: number of
        timed calls; memory_mb: peak resident memory beyond the interpreter's, 10^6 bytes.

    Raises:
        InputError: the file can't be run or has no signature `decode`.
    """
    import ai_edge_litert.interpreter  # noqa: F401  every app has it: not the file's memory

    before = runtime.peak_memory()
    load_times = [_milliseconds(lambda: _decode(_loaded(path, threads))) for _ in range(loads)]
    model = _loaded(path, threads)
    for _ in range(WARM_UP):
        _decode(model)
    times: list[float] = []
    while len(times) < runs and sum(times) < 1000 * MAX_SECONDS:
        times.append(_milliseconds(lambda: _decode(model)))
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    return {
        "threads": threads,
        "load_ms": float(np.median(load_times)),
        "p50_ms": float(p50),
        "p90_ms": float(p90),
        "p99_ms": float(p99),
        "runs": len(times),
        "memory_mb": (runtime.peak_memory() - before) / 1e6,
    }


def _loaded(path, threads):
    model = interpreter.open_model(path, threads)
    if "decode" not in model.signatures:
        raise InputError(f"{path} has no signature decode")
    return model


def _decode(model):
    shape = model.signatures["decode"].inputs["latent"].shape
    model.run("decode", latent=np.zeros(shape, np.float32))


def _milliseconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    try:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    except InputError as error:
        sys.exit(str(error))

"""What one .tflite file costs to load and to run, in a process of its own.

    python -m keras_ganvae.bundle.speed FILE THREADS

prints `measure` as JSON. The process has the interpreter and numpy, no TensorFlow, as an
app has; so the memory it takes beyond those two is the file's.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.tflite import run as interpreter

WARM_UP = 50
RUNS = 1000
LOADS = 10
MOST_SECONDS = 10  # of runs: a slow file gets fewer than `RUNS`
PERCENTILES = (50, 90, 99)


def apart(path, threads) -> dict:
    """`measure` in a new process.

    Raises:
        InputError: the file can't be run.
    """
    command = [sys.executable, "-m", __name__, str(path), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"can't measure {path}: {reason[-1]}")
    return json.loads(done.stdout)


def measure(path, threads) -> dict:
    """Times and memory of `decode`, one image at a time.

    Returns:
        load_ms: to open the file, its checks included, and draw the first image, the median
        of `LOADS`; p50_ms, p90_ms, p99_ms: to draw one more; memory_mb: the most that was
        resident above the bare interpreter's, 10^6 bytes; runs: how many were timed.

    Raises:
        InputError: the file can't be run, or has no signature `decode`.
    """
    import ai_edge_litert.interpreter  # noqa: F401  part of what every app has

    before = _peak()
    loads = [_timed(lambda: _draw(interpreter.open_model(path, threads))) for _ in range(LOADS)]
    model = interpreter.open_model(path, threads)
    _timed(lambda: _draw(model, WARM_UP))
    times = []
    while len(times) < RUNS and sum(times) < MOST_SECONDS * 1000:
        times.append(_timed(lambda: _draw(model)))
    p50, p90, p99 = np.percentile(times, PERCENTILES)
    return {
        "threads": threads,
        "load_ms": float(np.median(loads)),
        "p50_ms": float(p50),
        "p90_ms": float(p90),
        "p99_ms": float(p99),
        "runs": len(times),
        "memory_mb": (_peak() - before) / 1e6,
    }


def _draw(model, count=1):
    if "decode" not in model.signatures:
        raise InputError(f"{model.path} has no signature decode")
    shape = model.signatures["decode"].inputs["latent"].shape
    z = np.zeros(shape, np.float32)
    for _ in range(count):
        model.run("decode", latent=z)


def _timed(work):
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def _peak():
    """The most resident memory so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux's ru_maxrss would begin with the memory of the process that started this one.
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    try:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    except InputError as error:
        sys.exit(str(error))

"""The process around the work: TensorFlow kept quiet, seeds, precision, versions."""

import contextlib
import importlib
import importlib.metadata
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# What decides a run's numbers; written into every run.
PACKAGES = ("keras_ganvae", "tensorflow", "keras", "numpy", "tensorflow-datasets")

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def start(debug=False):
    """Import TensorFlow without its start-up chatter.

    The chatter comes from C++ on file descriptor 2, before any log level is read. It is
    shown after all if the import fails, or with `debug`.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the train_steps are TensorFlow's
    if debug or "tensorflow" in sys.modules:
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # 3: its optimizer calls passes that it gives up on errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as chatter:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices()  # where CUDA has its say
        except BaseException:
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def prepare(seed: int, precision: str, xla: bool = False):
    """Seed everything that draws, and set the arithmetic of the layers made from here on.

    With op determinism the same seed on the same machine gives the same weights; on a CPU
    it costs nothing that can be measured. Keras can't compile with XLA under it, and it
    stays on for the life of the process.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if not xla:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(POLICIES[precision])


@contextlib.contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Build layers in a precision: "float32", "bfloat16" or "float16"."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def peak_memory() -> int:
    """The peak resident memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss starts at the memory of the parent process.
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource  # POSIX only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def versions() -> dict:
    """Versions of Python and of the packages that decide a run's numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def progress_on_stderr():
    """Keras prints its progress bar to stdout, which is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield

"""Set up TensorFlow and Keras: quiet, with our configuration, random seeds and precision."""

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

from keras_ganvae.errors import InputError, first_line

# Packages that affect a run's results; their versions are recorded with it.
PACKAGES = ("keras_ganvae", "tensorflow", "keras", "numpy", "tensorflow-datasets")

# Measured on two cores. With less, C++ code aborts the process.
MIN_ADDRESS_SPACE = 1.8e9

# TensorFlow's environment variable for the number of threads that run one operation.
THREADS = "TF_NUM_INTRAOP_THREADS"

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def start(debug: bool = False) -> None:
    """Import TensorFlow and Keras, silence their start-up messages, and configure Keras.

    C++ code writes messages to file descriptor 2 before it reads any log level. If the import
    fails, the exception has them as a note.

    Args:
        debug: whether to show all messages.

    Raises:
        InputError: Keras rejects its configuration file or an environment variable, or this
            process is limited to too little memory.
    """
    _check_address_space()
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the training steps use tf.GradientTape
    if debug or "tensorflow" in sys.modules:
        _configure_keras()
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # 3 hides errors too: TensorFlow logs skipped graph optimizations as errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as messages:
        try:
            with redirected(2, messages.fileno()):
                _configure_keras()
                tensorflow = importlib.import_module("tensorflow")
                tensorflow.config.list_physical_devices()  # CUDA writes its messages now
        except Exception as error:
            messages.seek(0)
            error.add_note(messages.read().decode(errors="replace"))
            raise


def _check_address_space():
    try:
        import resource  # POSIX only
    except ImportError:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= limit < MIN_ADDRESS_SPACE:
        raise InputError(
            f"TensorFlow needs {MIN_ADDRESS_SPACE / 1e9:g} GB of address space, but this process is"
            f" limited to {limit / 1e9:.1f} GB (ulimit -v)"
        )


def _configure_keras():
    """Undo what keras.json and KERAS_* set: results must not depend on them."""
    try:
        import keras  # imports TensorFlow, which would hide that Keras rejects its settings
    except (ValueError, TypeError, AttributeError) as error:
        folder = os.environ.get("KERAS_HOME") or "~/.keras"
        raise InputError(
            f"Keras can't start: {first_line(error)}; check {folder}/keras.json and the"
            " environment variables KERAS_*"
        ) from error
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


@contextlib.contextmanager
def redirected(descriptor: int, target: int) -> Iterator[None]:
    """Redirect stdout (1) or stderr (2), including what C++ code writes, to another descriptor.

    Does nothing if the stream is closed.
    """
    stream = sys.stdout if descriptor == 1 else sys.stderr
    try:
        kept = os.dup(descriptor)
    except OSError:
        yield
        return
    try:
        if stream is not None:
            stream.flush()
        os.dup2(target, descriptor)
        try:
            yield
        finally:
            if stream is not None:
                stream.flush()
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


def write_stderr(message: str) -> None:
    """Write to stderr in a signal handler, where a failure must not end what it interrupts."""
    with contextlib.suppress(OSError):
        os.write(2, message.encode())


def prepare(seed: int, precision: str) -> None:
    """Set the random seeds, op determinism, and the dtype policy of new layers.

    With op determinism, the same seed gives the same weights on the same machine, as
    `runs/machine.py` describes it. On a CPU it costs no measurable time. It can't be turned off
    again in this process.

    Args:
        seed: random seed of Python, NumPy and TensorFlow.
        precision: a key of `POLICIES`.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(POLICIES[precision])


@contextlib.contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Build new layers in a precision: "float32", "bfloat16" or "float16"."""
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


def versions() -> dict[str, str]:
    """The versions of Python and of the installed `PACKAGES`."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[None]:
    """Redirect stdout, where Keras prints its progress bar, to stderr: stdout is for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield

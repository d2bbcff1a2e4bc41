"""Where a run trains: on one device, on several of this machine, or on several machines."""

import contextlib
import ctypes
import importlib.metadata
import logging
import os
from dataclasses import dataclass

from keras_ganvae.data.pipeline import Replicas
from keras_ganvae.distributed import cluster as clusters
from keras_ganvae.distributed.memory import keep_freed_memory
from keras_ganvae.errors import InputError, first_line

log = logging.getLogger("keras_ganvae")

THREADS = "TF_NUM_INTRAOP_THREADS"  # TensorFlow's own name for how many run one operation


@dataclass(frozen=True)
class Placement:
    """A `tf.distribute.Strategy`, None for one device, and the cluster if there is one."""

    strategy: object = None
    cluster: clusters.Cluster | None = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.cluster is None or self.cluster.is_chief

    @property
    def replicas(self) -> Replicas:
        """The replicas in this process, among all."""
        if self.strategy is None:
            return Replicas()
        total = self.strategy.num_replicas_in_sync
        workers = len(self.cluster.workers) if self.cluster else 1
        local = total // workers
        return Replicas(total, local * self.cluster.index if self.cluster else 0, local)

    def scope(self):
        """Where variables must be made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def distributed(self, make):
        """The data of `make(replicas)`, handed to the replicas of this process."""
        if self.strategy is None:
            return make(Replicas())
        keep_freed_memory()
        return self.strategy.distribute_datasets_from_function(lambda _: make(self.replicas))

    def described(self) -> str:
        if self.strategy is None:
            return "one device"
        replicas = self.replicas
        if self.cluster is None:
            return f"mirrored on {replicas.total} devices"
        return (
            f"worker {self.cluster.index} of {len(self.cluster.workers)},"
            f" {replicas.local} of {replicas.total} replicas here"
        )


ONE_DEVICE = Placement()


def place(config, cluster=None) -> Placement:
    """Choose devices and make the strategy that a config names.

    Must come before TensorFlow runs its first operation in this process: devices can't be
    divided, nor workers connected, after it.

    Args:
        config: of which `strategy`, `replicas`, `device` and `batch_size` count.
        cluster: `clusters.Cluster` for "multi-worker".

    Raises:
        InputError: the devices aren't there, the batch can't be divided, or the workers' list
            is missing.
    """
    gpus = _visible_gpus(config.device)
    strategy = config.strategy
    if strategy == "auto":
        strategy = "mirrored" if len(gpus) > 1 else "single"
    if cluster is not None and strategy != "multi-worker":
        raise InputError("a list of workers is for --strategy multi-worker")
    if config.replicas is not None and strategy != "mirrored":
        raise InputError("--replicas is for --strategy mirrored")
    if strategy == "single":
        return ONE_DEVICE
    if strategy == "multi-worker" and cluster is None:
        cluster = clusters.from_environment(os.environ.get(clusters.VARIABLE))
    local = _divide(config, gpus, strategy)
    total = local * (len(cluster.workers) if cluster else 1)
    if config.batch_size % total:
        raise InputError(
            f"batch_size {config.batch_size} can't be divided among {total} replicas; make it a"
            f" multiple of {total}"
        )
    placement = _mirrored(gpus, local) if strategy == "mirrored" else _across(cluster)
    log.info("strategy: %s", placement.described())
    return placement


def _visible_gpus(device):
    """The GPUs that `device` names; TensorFlow then sees no other. Memory is taken as needed."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    wanted = found if device in ("auto", "gpu") else _named(device, found)
    if device != "auto" and device != "cpu" and not wanted:
        raise InputError(f"--device {device}: {why_no_gpu() or 'TensorFlow finds no GPU'}")
    if device == "auto" and not found and why_no_gpu():
        log.warning("no GPU: %s", why_no_gpu())
    if found:
        _configure(lambda: tf.config.set_visible_devices(wanted, "GPU"))
    for gpu in wanted:
        _configure(lambda gpu=gpu: tf.config.experimental.set_memory_growth(gpu, True))
    return wanted


def _named(device, found):
    if device == "cpu":
        return []
    numbers = [part.strip().removeprefix("gpu:") for part in device.split(",")]
    for number in numbers:
        if not number.isdigit():
            raise InputError(f"--device is auto, cpu, gpu, or gpu:0,gpu:1,..., not '{device}'")
        if int(number) >= len(found):
            raise InputError(
                f"there is no gpu:{number}; TensorFlow finds {len(found)} GPUs"
                + (f": {why_no_gpu()}" if not found and why_no_gpu() else "")
            )
    return [found[int(number)] for number in dict.fromkeys(numbers)]


def why_no_gpu() -> str | None:
    """What keeps an installed CUDA from finding a GPU; None if CUDA is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("nvidia-cuda-runtime-cu12")
        if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
            return "CUDA_VISIBLE_DEVICES hides all of them"
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return "CUDA's libraries are installed, but NVIDIA's driver (libcuda.so.1) is not"
        return "CUDA's libraries and NVIDIA's driver are installed, but find no GPU"
    return None


def _divide(config, gpus, strategy) -> int:
    """How many replicas this process is to have; a CPU is divided into that many devices."""
    import tensorflow as tf

    if gpus or strategy == "multi-worker":
        if config.replicas is not None and config.replicas > len(gpus):
            raise InputError(f"--replicas {config.replicas}: there are {len(gpus)} GPUs")
        return config.replicas or max(1, len(gpus))
    if config.replicas is None:
        raise InputError(
            "there is no GPU to mirror the model on; --replicas N tries it on N parts of the CPU"
        )
    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * config.replicas
    if tf.config.get_logical_device_configuration(cpu) != parts:
        _configure(lambda: tf.config.set_logical_device_configuration(cpu, parts))
        _divide_threads(config.replicas)
    return config.replicas


def _divide_threads(parts):
    """Leave an operation its replica's share of the cores: all run theirs at the same time."""
    import tensorflow as tf

    if THREADS not in os.environ:
        threads = max(1, os.cpu_count() // parts)
        _configure(lambda: tf.config.threading.set_intra_op_parallelism_threads(threads))


def _configure(change):
    """Change TensorFlow's devices, which it allows at the start alone."""
    try:
        change()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"devices can't be chosen any more in this process: {first_line(error)};"
            " start a new one"
        ) from error


def _mirrored(gpus, replicas):
    import tensorflow as tf

    kind = "GPU" if gpus else "CPU"
    devices = [f"{kind}:{i}" for i in range(replicas)]
    return Placement(tf.distribute.MirroredStrategy(devices))


def _across(cluster):
    import tensorflow as tf

    clusters.check_port(cluster)
    cluster.export()
    log.info("worker %d of %d: %s", cluster.index, len(cluster.workers), ", ".join(cluster.workers))
    with clusters.waiting(cluster, log):
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Placement(strategy, cluster)

"""Where a run trains: on one device, on several of this machine, or on several machines."""

import contextlib
import ctypes
import functools
import importlib.metadata
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_ganvae.config import TrainConfig
from keras_ganvae.data.pipeline import Replicas
from keras_ganvae.distributed import cluster as clusters
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.errors import InputError, first_line
from keras_ganvae.runtime import THREADS

log = logging.getLogger("keras_ganvae")

# mallopt's parameters in glibc's <malloc.h>, and the largest block that glibc keeps by default
# in a process that often frees such blocks (mallopt(3), "dynamic mmap threshold").
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT_BLOCK = 32 << 20


@dataclass(frozen=True)
class Placement:
    """The devices of a run.

    Args:
        strategy: a `tf.distribute.Strategy`; None for one device.
        cluster: the workers of a multi-worker run, else None.
    """

    strategy: Any = None
    cluster: Cluster | None = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.cluster is None or self.cluster.is_chief

    @property
    def replicas(self) -> Replicas:
        """The replicas of this process."""
        if self.strategy is None:
            return Replicas()
        total = self.strategy.num_replicas_in_sync
        if self.cluster is None:
            return Replicas(total, 0, total)
        local = total // len(self.cluster.workers)
        return Replicas(total, local * self.cluster.index, local)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which variables must be created."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def distributed(self, make_dataset: Callable[[Replicas], Any]) -> Any:
        """The dataset `make_dataset(replicas)`, distributed to the replicas of this process."""
        if self.strategy is None:
            return make_dataset(Replicas())
        keep_freed_memory()
        return self.strategy.distribute_datasets_from_function(
            lambda _: make_dataset(self.replicas)
        )

    def described(self) -> str:
        """For example "mirrored on 2 devices"."""
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


def place(config: TrainConfig, cluster: Cluster | None = None) -> Placement:
    """Choose devices and create the strategy that a config names.

    Call it before TensorFlow's first operation in this process: afterwards it can neither
    divide the CPU nor connect workers.

    Args:
        config: uses `strategy`, `replicas`, `device` and `batch_size`.
        cluster: the workers of "multi-worker"; None reads TF_CONFIG.

    Raises:
        InputError: a device does not exist, the batch can't be divided evenly, or the workers
            are not known.
    """
    gpus = _visible_gpus(config.device)
    strategy = config.strategy
    if strategy == "auto":
        strategy = "mirrored" if len(gpus) > 1 else "single"
    if cluster is not None and strategy != "multi-worker":
        raise InputError("`workers` needs `strategy=multi-worker`")
    if config.replicas is not None and strategy != "mirrored":
        raise InputError("`replicas` needs `strategy=mirrored`")
    if strategy == "single":
        return ONE_DEVICE
    if strategy == "mirrored":
        replicas = local = _local_replicas(config, gpus)
    else:
        cluster = cluster or Cluster.from_tf_config(os.environ.get(clusters.TF_CONFIG))
        local = max(1, len(gpus))
        replicas = local * len(cluster.workers)
    if config.batch_size % replicas:
        raise InputError(
            f"`batch_size` {config.batch_size} can't be divided among {replicas} replicas; make it"
            f" a multiple of {replicas}"
        )
    placement = _mirrored(gpus, local) if cluster is None else _multi_worker(cluster)
    log.info("strategy: %s", placement.described())
    return placement


def _visible_gpus(device):
    """The GPUs that `device` names. Hides the others, and lets memory grow as needed."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    chosen = gpus if device in ("auto", "gpu") else _named_gpus(device, gpus)
    if device not in ("auto", "cpu") and not chosen:
        raise InputError(f"`device={device}`: {why_no_gpu() or 'TensorFlow finds no GPU'}")
    if device == "auto" and not gpus and why_no_gpu():
        log.warning("no GPU: %s", why_no_gpu())
    if gpus:
        _configure(lambda: tf.config.set_visible_devices(chosen, "GPU"))
    for gpu in chosen:
        _configure(lambda gpu=gpu: tf.config.experimental.set_memory_growth(gpu, True))
    return chosen


def _named_gpus(device, gpus):
    if device == "cpu":
        return []
    numbers = [part.strip().removeprefix("gpu:") for part in device.split(",")]
    for number in numbers:
        if not number.isdigit():
            raise InputError(f"`device` must be auto, cpu, gpu, or gpu:0,gpu:1,..., not '{device}'")
        if int(number) >= len(gpus):
            raise InputError(
                f"there is no gpu:{number}; TensorFlow finds {len(gpus)} GPUs"
                + (f": {why_no_gpu()}" if not gpus and why_no_gpu() else "")
            )
    return [gpus[int(number)] for number in dict.fromkeys(numbers)]


def why_no_gpu() -> str | None:
    """Why an installed CUDA finds no GPU; None if CUDA is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("nvidia-cuda-runtime-cu12")
        if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
            return "CUDA_VISIBLE_DEVICES hides all GPUs"
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return "the CUDA libraries are installed, but NVIDIA's driver (libcuda.so.1) is not"
        return "the CUDA libraries and NVIDIA's driver are installed, but find no GPU"
    return None


def _local_replicas(config, gpus):
    """Number of replicas to mirror on. Without GPUs, divides the CPU into that many devices."""
    import tensorflow as tf

    if gpus:
        if config.replicas is not None and config.replicas > len(gpus):
            raise InputError(f"`replicas` is {config.replicas}, but there are {len(gpus)} GPUs")
        return config.replicas or len(gpus)
    if config.replicas is None:
        raise InputError(
            "there is no GPU to mirror the model on; to try it on N parts of the CPU, set"
            " `replicas` to N"
        )
    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * config.replicas
    if tf.config.get_logical_device_configuration(cpu) != parts:
        _configure(lambda: tf.config.set_logical_device_configuration(cpu, parts))
        _divide_threads(config.replicas)
    return config.replicas


def _divide_threads(parts):
    """Limit an operation to its replica's cores, as all replicas run at the same time."""
    import tensorflow as tf

    if THREADS not in os.environ:
        threads = max(1, (os.cpu_count() or 1) // parts)
        _configure(lambda: tf.config.threading.set_intra_op_parallelism_threads(threads))


def _configure(change):
    """Change TensorFlow's devices, which it allows before its first operation only."""
    try:
        change()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"this process can't change its devices any more: {first_line(error)};"
            " start a new process"
        ) from error


def _mirrored(gpus, replicas):
    import tensorflow as tf

    kind = "GPU" if gpus else "CPU"
    devices = [f"{kind}:{i}" for i in range(replicas)]
    return Placement(tf.distribute.MirroredStrategy(devices))


def _multi_worker(cluster):
    import tensorflow as tf

    clusters.check_port(cluster)
    cluster.export()
    log.info("worker %d of %d: %s", cluster.index, len(cluster.workers), ", ".join(cluster.workers))
    with clusters.start_timeout(cluster):
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Placement(strategy, cluster)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc's malloc keep freed memory for the next step; elsewhere, do nothing.

    The first `GeneratorDataset` in a process, which a strategy needs to feed devices, makes
    malloc return freed memory to the system from 128 KB on (TensorFlow 2.21 logs
    "M_TRIM_THRESHOLD=128 kb was set"), and the next step pays for zeroed pages. Undoing that
    made the steps of a VAE and a GAN on two replicas 10 % faster. Call it after devices are
    chosen.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    import tensorflow as tf

    # TensorFlow changes malloc only once, for this dataset.
    list(tf.data.Dataset.from_generator(lambda: [0], output_signature=tf.TensorSpec((), tf.int32)))
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BLOCK)
    mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_KEPT_BLOCK)

"""Devices of a run, as far as they can be tested without GPUs; and malloc's settings."""

import importlib.metadata
import platform
import subprocess
import sys
import types

import pytest

from keras_ganvae.data.pipeline import Replicas
from keras_ganvae.distributed import placement
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.distributed.placement import ONE_DEVICE, Placement


def _strategy(replicas):
    return types.SimpleNamespace(num_replicas_in_sync=replicas)


def test_one_device_is_the_chief_and_the_only_replica():
    assert ONE_DEVICE.is_chief and ONE_DEVICE.replicas == Replicas(1, 0, 1)
    assert ONE_DEVICE.distributed(lambda replicas: replicas) == Replicas()
    assert ONE_DEVICE.described() == "one device"


@pytest.mark.parametrize(
    ("replicas", "workers", "index", "expected"),
    [(2, 0, 0, Replicas(2, 0, 2)), (2, 2, 1, Replicas(2, 1, 1)), (12, 3, 2, Replicas(12, 8, 4))],
)
def test_each_process_feeds_its_own_replicas(replicas, workers, index, expected):
    addresses = tuple(f"a:{port}" for port in range(1, workers + 1))
    placed = Placement(_strategy(replicas), Cluster(addresses, index) if workers else None)
    assert placed.replicas == expected
    assert placed.is_chief == (index == 0)


@pytest.fixture
def cuda_installed(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "12")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_without_cuda_a_missing_gpu_has_no_reason(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert placement.why_no_gpu() is None


def test_with_cuda_the_missing_driver_is_named(cuda_installed, monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(placement.ctypes, "CDLL", missing)
    assert "NVIDIA's driver (libcuda.so.1) is not" in placement.why_no_gpu()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_hidden_by_the_environment_are_the_reason(cuda_installed, monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert "CUDA_VISIBLE_DEVICES hides" in placement.why_no_gpu()


PAGES = 4096  # of 4 KB, in a block that is allocated and freed
FAULTS = """
import ctypes, resource
from keras_ganvae import runtime
runtime.start()
import tensorflow as tf
from keras_ganvae.distributed.placement import keep_freed_memory

if {kept}:
    keep_freed_memory()
list(tf.data.Dataset.from_generator(lambda: [0], output_signature=tf.TensorSpec((), tf.int32)))
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def use():
    block = libc.malloc({size})
    libc.memset(block, 1, {size})
    libc.free(block)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(kept):
    program = FAULTS.format(kept=kept, size=4096 * PAGES)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_malloc_keeps_freed_memory_which_tensorflow_would_return():
    assert _page_faults(kept=True) < PAGES / 4
    # If this fails, TensorFlow no longer changes malloc, and `keep_freed_memory` can be deleted.
    assert _page_faults(kept=False) > 5 * PAGES

"""Which devices a run takes, as far as that can be told without them."""

import importlib.metadata
import types

import pytest

from keras_ganvae.data.pipeline import Replicas
from keras_ganvae.distributed import placement
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.distributed.placement import ONE_DEVICE, Placement


def _strategy(replicas):
    return types.SimpleNamespace(num_replicas_in_sync=replicas)


def test_one_device_is_its_own_chief_and_only_replica():
    assert ONE_DEVICE.is_chief and ONE_DEVICE.replicas == Replicas(1, 0, 1)
    assert ONE_DEVICE.distributed(lambda replicas: replicas) == Replicas()


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


def test_without_cuda_a_missing_gpu_needs_no_reason(monkeypatch):
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
def test_gpus_hidden_by_the_environment_are_said_to_be(cuda_installed, monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert "CUDA_VISIBLE_DEVICES hides" in placement.why_no_gpu()

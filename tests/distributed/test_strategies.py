"""Two replicas, and two worker processes, train as one device does on the same batches."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae import architectures

TRAINER = Path(__file__).with_name("equality.py")
ROUNDING = 1e-6  # float32, sums in a different order

pytestmark = pytest.mark.slow  # four processes trace every step


@pytest.fixture(scope="module")
def trained(tmp_path_factory, free_addresses):
    """The results of each strategy by name; "worker 1" is the second of two processes."""
    folder = tmp_path_factory.mktemp("strategies")

    def start(*arguments):
        command = [sys.executable, TRAINER, folder, *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    addresses = free_addresses(2)
    waves = (
        [("single",), ("mirrored",)],
        [("multi-worker", addresses, "0"), ("multi-worker", addresses, "1")],
    )
    for wave in waves:
        for process in [start(*arguments) for arguments in wave]:
            output, _ = process.communicate(timeout=400)
            assert process.returncode == 0, output[-3000:]
    files = {"single": "single-0", "mirrored": "mirrored-0"}
    files |= {"multi-worker": "multi-worker-0", "worker 1": "multi-worker-1"}
    return {name: dict(np.load(folder / f"{file}.npz")) for name, file in files.items()}


def _of(found, arch):
    return {name: value for name, value in found.items() if name.startswith(f"{arch} ")}


@pytest.mark.parametrize("arch", architectures.names())
@pytest.mark.parametrize("strategy", ["mirrored", "multi-worker"])
def test_replicas_train_as_one_device_does(trained, strategy, arch):
    one, several = _of(trained["single"], arch), _of(trained[strategy], arch)
    assert one.keys() == several.keys()
    gradient = f"{arch} gradient"
    error = np.linalg.norm(several.pop(gradient) - one[gradient])
    assert error <= ROUNDING * np.linalg.norm(one.pop(gradient))
    for name, value in one.items():
        # Adam divides by the size of the gradient, which magnifies rounding where that is small.
        tolerance = {"rtol": 0, "atol": 1e-4} if " weight " in name else {"rtol": 1e-5}
        np.testing.assert_allclose(several[name], value, **tolerance, err_msg=name)


@pytest.mark.parametrize("arch", ["cvae", "dcgan"])
@pytest.mark.parametrize("strategy", ["mirrored", "multi-worker"])
def test_a_replica_may_have_no_image_of_the_last_batch(trained, strategy, arch):
    """oneDNN's convolutions fail on an empty batch, unless they are patched."""
    one, several = (_of(trained[each], f"{arch}, 1 left:") for each in ("single", strategy))
    assert one.keys() == several.keys() and len(one) > 10
    for name, value in one.items():
        scale = np.abs(value).max(initial=1e-3)
        np.testing.assert_allclose(several[name], value, atol=1e-5 * scale, err_msg=name)


def test_workers_end_with_the_same_bytes(trained):
    for name, value in trained["multi-worker"].items():
        assert value.tobytes() == trained["worker 1"][name].tobytes(), name


def test_each_replica_drops_different_units(trained):
    seeds = trained["mirrored"]["dropout seeds"]
    assert seeds.ndim == 2 and seeds.shape[1] == 2 and len(np.unique(seeds)) == seeds.size


def test_upstream_still_reduces_scalars_over_their_first_axis(trained):
    """If this fails, keras-team/keras#20585 is fixed: see `ReplicatedModel`."""
    for name in ("multi-worker", "worker 1"):
        assert "Invalid reduction dimension 0" in str(trained[name]["scalar logs"])

"""Two replicas, and two worker processes, at one device's batch: the same training."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae import architectures

TRAINER = Path(__file__).with_name("equality.py")
ROUNDING = 1e-6  # of float32, over sums in another order

pytestmark = pytest.mark.slow  # four processes, each of which traces all the steps


@pytest.fixture(scope="session")
def free_addresses():
    """`free_addresses(n)`: host:port,... of this machine that nobody listens at."""

    def find(count):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)

    return find


@pytest.fixture(scope="module")
def trained(tmp_path_factory, free_addresses):
    """What each strategy found, by its name; "worker 1" is the second process of two."""
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
        # Adam divides by the gradient's own size, so rounding grows where that is small.
        tolerance = {"rtol": 0, "atol": 1e-4} if " weight " in name else {"rtol": 1e-5}
        np.testing.assert_allclose(several[name], value, **tolerance, err_msg=name)


def test_workers_end_with_the_same_bytes(trained):
    for name, value in trained["multi-worker"].items():
        assert value.tobytes() == trained["worker 1"][name].tobytes(), name


def test_upstream_still_reduces_scalars_over_an_axis():
    """When this fails, keras-team/keras#20585 is mended: `GenerativeModel._logging` can go."""
    code = """
import os, json
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": {"worker": ["127.0.0.1:%d"]}, "task": {"type": "worker", "index": 0}})
import keras, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
try:
    model.fit(tf.data.Dataset.from_tensors((tf.ones((4, 1)), tf.ones((4, 1)))), verbose=0)
except Exception as error:
    print(error)
"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-c", code % port], capture_output=True, text=True, timeout=200
    )
    assert "reduction" in done.stdout, done.stdout + done.stderr[-2000:]

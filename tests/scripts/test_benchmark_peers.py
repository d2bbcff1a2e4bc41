"""The comparison with other libraries: what it refuses, takes turns at, and prints."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ganvae import architectures
from keras_ganvae.config import TrainConfig
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import cache_folder

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def peers(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(SCRIPTS)
    import benchmark_peers

    return benchmark_peers


@pytest.fixture
def peers_keras(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import peers_keras

    return peers_keras


@pytest.fixture
def process(monkeypatch, tmp_path):
    """`process(text)`: a running `Process` of a Python program."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from peers_process import Process

    started = []

    def start(text):
        program = tmp_path / "child.py"
        program.write_text(text)
        environment = {"PYTHONPATH": str(SCRIPTS)}
        started.append(Process([sys.executable, str(program)], environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


def row(peers, **rates):
    rounds = {name: [1000.0] for name in peers.PEERS} | {"ours": [3000.0]} | rates
    return peers.summary(rounds) | {
        "arch": "dcgan",
        "preset": "default",
        "batch": 128,
        "parameters": 1_408_657,
        "mega_multiply_adds": 78.87,
        "differences": {"output": 1e-7, "loss": 2e-7, "gradient": 3e-7},
        "memory_format": "channels_last",
        "idle_threads": "sleep",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "dcgam"], "unknown architecture 'dcgam'; did you mean 'dcgan'?"),
        (["--only", "vae:papr"], "--only vae:papr: the presets are default and paper"),
        (["--only", "vae:"], "--only vae:: the presets are"),
        (["--seconds", "0"], "--seconds must be above 0"),
        (["--seconds", "nan"], "--seconds must be above 0"),
        (["--rounds", "0"], "--rounds at least 1"),
        (["--json", "."], "is not a regular file"),
    ],
)
def test_a_wrong_option_is_one_line_and_code_2(arguments, message):
    command = [sys.executable, SCRIPTS / "benchmark_peers.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not done.stdout


def test_which_presets_are_measured(peers):
    assert len(peers.chosen(None)) == 2 * len(architectures.names())
    assert peers.chosen("vae") == [("vae", "default"), ("vae", "paper")]
    assert peers.chosen("vae:paper") == [("vae", "paper")]


def test_no_compiler(peers, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="needs a C\\+\\+ compiler"):
        peers.check_compiler()


def test_pytorch_is_installed_once(peers, monkeypatch, tmp_path):
    calls, code = [], 1

    def create(folder, **kwargs):
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "python").touch()

    def install(command, **kwargs):
        calls.append(command)
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(peers.venv, "create", create)
    monkeypatch.setattr(peers.subprocess, "run", install)
    monkeypatch.setattr(peers.sys, "platform", "linux")
    with pytest.raises(InputError, match=f"{peers.TORCH} can't be installed"):
        peers.torch_python(tmp_path)
    code = 0
    python = peers.torch_python(tmp_path)
    assert python == tmp_path / "environment" / "bin" / "python"
    assert peers.torch_python(tmp_path) == python
    assert len(calls) == 2 and all(peers.TORCH in call for call in calls)


def test_an_incomplete_venv_module(peers, monkeypatch, tmp_path):
    def create(folder, **kwargs):
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(peers.venv, "create", create)
    with pytest.raises(InputError, match="apt-get install python3-venv"):
        peers.torch_python(tmp_path)


def test_a_disturbed_run_says_so(peers, monkeypatch, capsys):
    processes = {"torch": SimpleNamespace(close=lambda: None)}

    def started(found, *_):
        found |= processes
        return {"arch": "vae", "preset": "paper", "trial": 1000.0}

    monkeypatch.setattr(peers, "started", started)
    monkeypatch.setattr(peers, "differences", lambda folder: {})
    for rate, warned in ((800.0, False), (700.0, True)):
        rounds = {name: [rate] for name in (*peers.PEERS, "ours")}
        monkeypatch.setattr(peers, "in_turn", lambda *_, rounds=rounds: rounds)
        assert peers.measure("vae", "paper", "python", 1.0, 1)["ratio"] == 1.0
        assert ("vae:paper: eager PyTorch was slower" in capsys.readouterr().err) == warned


def test_other_work_is_refused(peers):
    ours = {"parameters": 10, "macs": 1e6}
    peers.check_equal(ours, {"parameters": 10, "macs": 1e6 + 1}, "PyTorch")
    with pytest.raises(GateFailed, match="10 parameters, 11 in PyTorch"):
        peers.check_equal(ours, {"parameters": 11, "macs": 1e6}, "PyTorch")
    for macs in (1e6 - 100, 1e6 + 100):
        with pytest.raises(GateFailed, match="1000000 MACs per image, 1000100|999900"):
            peers.check_equal(ours, {"parameters": 10, "macs": macs}, "PyTorch")


def test_differences_are_the_largest_of_their_kind(peers, tmp_path):
    wanted = {"first output": np.ones((2, 3)), "loss 0": 500.0, "gradient 0": 2.0}
    found = {
        "first output, contiguous": np.ones((2, 3)) + 1e-6,
        "first output, channels_last": np.ones((2, 3)) - 2e-6,
        "loss 0, contiguous": 500.005,
        "gradient 0, contiguous": 2.0,
    }
    np.savez(tmp_path / "keras.npz", **wanted)
    np.savez(tmp_path / "torch.npz", **found)
    expected = {"output": 2e-6, "loss": 1e-5, "gradient": 0.0}
    assert peers.differences(tmp_path) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((2, 3)) + 2e-4, "differs by 0.0002"),
        (np.full((2, 3), np.nan), "differs by nan"),
        (np.ones((3, 2)), r"\(2, 3\), \(3, 2\) in PyTorch"),
    ],
)
def test_another_output_is_refused(peers, tmp_path, value, message):
    np.savez(tmp_path / "keras.npz", **{"first output": np.ones((2, 3))})
    np.savez(tmp_path / "torch.npz", **{"first output, contiguous": value})
    with pytest.raises(GateFailed, match=message):
        peers.differences(tmp_path)


def test_contenders_take_turns(peers):
    asked = []

    class Fake:
        def ask(self, do, contender, seconds):
            asked.append((do, contender, seconds))
            return {"rate": len(asked)}

    one, other = Fake(), Fake()
    found = peers.in_turn([("a", one), ("b", other), ("c", other)], 2.0, 2)
    assert asked == 2 * [("time", name, 2.0) for name in "abc"]
    assert found == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}


def test_the_ratio_is_to_the_best_peer(peers):
    found = row(peers, fused=[1.0, 2000.0, 9000.0])
    assert (found["best_peer"], found["ratio"]) == ("fused", 1.5)
    assert "   3,000  fused     1.50" in peers.rates_table([found])


def test_xla_counts_as_ours_where_it_is_picked(peers):
    found = row(peers, **{"ours XLA": [4000.0]})
    assert found["ratio"] == 4.0
    assert "`jit=auto` picks; 3,000 without" in peers.rates_table([found])


def test_the_output_fits_80_columns(peers):
    rows = [row(peers, compile=[123_456.0], **{"ours XLA": [4000.0]})]
    notes = peers.NOTES.format(rounds=5, seconds=2.0)
    for text in (peers.proofs_table(rows), peers.rates_table(rows), notes):
        assert max(map(len, text.splitlines())) <= 80


def test_a_process_answers_in_turn(process):
    child = process(
        "import os\n"
        "from peers_process import serve\n"
        "def double(x):\n"
        "    print('noise')\n"
        "    os.write(1, b'more noise')\n"
        "    return {'twice': 2 * x}\n"
        "serve({'double': double})\n"
    )
    assert [child.ask("double", x=x) for x in (1, 2)] == [{"twice": 2}, {"twice": 4}]


def test_a_process_that_ends_ends_the_program(process):
    child = process("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="child.py ended with exit code 3"):
        child.ask("double", x=1)


def test_a_rate_counts_all_that_was_done(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import peers_process

    now = 0.0

    def run():
        nonlocal now
        now += 0.75
        return 30

    clock = SimpleNamespace(sleep=lambda seconds: None, perf_counter=lambda: now)
    monkeypatch.setattr(peers_process, "time", clock)
    assert peers_process.rate(run, 2.0) == pytest.approx(40)


def made(peers_keras, arch, preset, **settings):
    """A compiled model and its config."""
    from keras_ganvae.training.optimizers import compile_model

    config = architectures.resolve(TrainConfig(arch=arch, preset=preset, jit="off", **settings))
    model = architectures.build(config, peers_keras.IMAGE_SHAPE)
    compile_model(model, config, peers_keras.STEPS_PER_EPOCH)
    return model, config


@pytest.mark.parametrize("arch", ["vae", "dcgan"])
def test_the_plain_model_does_the_same_work(peers, peers_keras, arch):
    model, config = made(peers_keras, arch, "default")
    plain = peers_keras.plain_model(config, 1)
    peers.check_equal(peers_keras.described(model), peers_keras.described(plain), "fit")


def test_the_plain_model_learns_as_ours(peers_keras):
    """One step without randomness: SGD, a threshold, and posteriors without variance."""
    model, config = made(peers_keras, "vae", "paper", optimizer="sgd")
    plain = peers_keras.plain_model(config, 1)
    for mine, other in zip(model.networks, plain.networks, strict=True):
        other.set_weights(mine.get_weights())
    for each in (model, plain):
        kernel, bias = each.networks[0].layers[-1].weights
        kernel.assign(kernel * 0)
        bias.assign([0.0] * 3 + [-80.0] * 3)
    images = peers_keras.random_images(config.batch_size)[: config.batch_size] / np.float32(255)
    logs = [
        {name: float(value) for name, value in each.train_step(images).items()}
        for each in (model, plain)
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    for mine, other in zip(model.networks, plain.networks, strict=True):
        for one, two in zip(mine.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


def test_writing_a_model_keeps_its_weights(peers_keras, tmp_path):
    model, config = made(peers_keras, "gan", "default")
    before = [each for network in model.networks for each in network.get_weights()]
    peers_keras.write_model(tmp_path, model, config)
    after = [each for network in model.networks for each in network.get_weights()]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    document = json.loads((tmp_path / "model.json").read_text())
    counted = sum(layer["weights"] for network in document["networks"] for layer in network)
    assert counted == len(before)


# R1, sub-pixel upsampling, batch norm; a mirrored network without padding.
@pytest.mark.slow
@pytest.mark.parametrize(("arch", "preset"), [("dcgan", "default"), ("cvae", "paper")])
def test_pytorch_computes_the_same(peers, peers_keras, tmp_path, arch, preset):
    folder = cache_folder("benchmark-peers")
    if not (folder / "installed").exists():
        pytest.skip("PyTorch is not installed: scripts/benchmark_peers does it")
    model, config = made(peers_keras, arch, preset)
    peers_keras.write_model(tmp_path, model, config)
    python = peers.torch_python(folder)
    child = peers.Process([str(python), str(SCRIPTS / "peers_torch.py")])
    try:
        reply = child.ask("load", folder=str(tmp_path))
        speed = child.ask("time", contender=reply["formats"][0], seconds=0.01)
    finally:
        child.close()
    peers.check_equal(peers_keras.described(model), reply, "PyTorch")
    assert set(peers.differences(tmp_path)) == {"output", "loss", "gradient"}
    assert speed["rate"] > 0

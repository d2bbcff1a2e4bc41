"""Models are the same after saving: from their configs, and from files in another process."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.config import PRESETS
from keras_ganvae.models import AdversarialNetwork, DepthToSpace, VariationalAutoencoder
from keras_ganvae.runs.run import Run

ROOT = Path(__file__).parents[2]
CASES = [(arch, preset) for arch in architectures.names() for preset in PRESETS]

# In a fresh process: with Keras's loader in its default safe mode, which only needs the models to
# be registered, and through the run folder.
READ = """
import sys
from pathlib import Path
import numpy as np
import keras
import keras_ganvae.models
for path in map(Path, sys.argv[1:]):
    found = {}
    again = keras.saving.load_model(path / "model.keras")
    model = keras_ganvae.load_run(path).model()
    z = np.load(path / "z.npy")
    found["run"], found["keras"] = np.asarray(model.decode(z)), np.asarray(again.decode(z))
    for o, optimizer in enumerate(model.optimizers):
        assert optimizer.built
        for v, variable in enumerate(optimizer.variables):
            found[f"optimizer {o} {v:03d}"] = np.asarray(variable)
    np.savez(path / "found.npz", **found)
"""


def _pixels(digits):
    return digits[:8].astype(np.float32) / 255


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_model_can_be_rebuilt_from_its_config(make_model, case):
    model = make_model(*case)
    config = model.get_config()
    assert json.loads(json.dumps(config)), "plain values"
    copy = type(model).from_config(json.loads(json.dumps(config)))
    assert json.dumps(copy.get_config()) == json.dumps(model.get_config())
    copy.set_weights(model.get_weights())
    z = np.random.default_rng(0).standard_normal((3, model.latent_dim), dtype=np.float32)
    np.testing.assert_array_equal(copy.decode(z), model.decode(z))


def test_settings_are_in_the_config(make_model):
    variational = make_model("vae", beta=2.5, binarize="none", seed=9).get_config()
    assert (variational["beta"], variational["binarization"]) == (2.5, "none")
    adversarial = make_model("gan", generator_loss="saturating", average_decay=0.5).get_config()
    assert (adversarial["generator_loss"], adversarial["average_decay"]) == ("saturating", 0.5)


def test_depth_to_space():
    pixels = np.arange(2 * 3 * 8, dtype=np.float32).reshape(1, 2, 3, 8)
    layer = DepthToSpace()
    result = np.asarray(layer(pixels))
    assert result.shape == (1, 4, 6, 2) == layer.compute_output_shape((1, 2, 3, 8))
    assert layer.compute_output_shape((None, None, 3, 8)) == (None, None, 6, 2)
    assert sorted(result.ravel()) == list(range(48)), "every value once"
    # The four neighbours come from the four quarters of one pixel's channels.
    np.testing.assert_array_equal(result[0, :2, :2, 0], [[0, 2], [4, 6]])
    assert layer.from_config(layer.get_config()).name == layer.name


@pytest.mark.parametrize(
    ("arch", "model_class", "keys"),
    [
        (
            "gan",
            AdversarialNetwork,
            "average_decay discriminator generator generator_loss gradient_penalty name seed",
        ),
        ("vae", VariationalAutoencoder, "beta binarization contrast decoder encoder name seed"),
    ],
)
def test_names_in_saved_files_never_change(make_model, arch, model_class, keys):
    """model.keras has them; older files must load."""
    name = f"keras_ganvae>{model_class.__name__}"
    assert keras.saving.get_registered_object(name) is model_class
    assert keras.saving.get_registered_object("keras_ganvae>DepthToSpace") is DepthToSpace
    assert sorted(make_model(arch).get_config()) == keys.split()


def test_the_british_spelling_of_older_files_loads(make_model):
    config = make_model("vae", binarize="threshold").get_config()
    config["binarisation"] = config.pop("binarization")
    assert VariationalAutoencoder.from_config(config).binarization == "threshold"


@pytest.fixture(scope="module")
def reopened(make_model, digits, tmp_path_factory):
    """{arch: (model, its folder, what a fresh process read)}, after a few training steps."""
    models, paths = {}, {}
    for arch in architectures.names():
        model = make_model(arch, latent_dim=4)
        for _ in range(2):
            model.train_step(_pixels(digits))
        path = tmp_path_factory.mktemp("saved") / arch
        path.mkdir()
        config = architectures.resolve(TrainConfig(arch=arch, latent_dim=4))
        record = {
            "arch": arch,
            "config": config.to_dict(),
            "dataset": {"name": "", "fingerprint": "", "image_shape": [28, 28, 1]}
            | dict.fromkeys(("train", "validation", "test"), 1),
            "command": "",
        }
        Run(path, config, record).save_model(model)
        z = np.random.default_rng(1).standard_normal((5, 4), dtype=np.float32)
        np.save(path / "z.npy", z)
        models[arch], paths[arch] = model, path
    command = [sys.executable, "-c", READ, *map(str, paths.values())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "UserWarning" not in done.stderr
    return {arch: (models[arch], paths[arch], np.load(paths[arch] / "found.npz")) for arch in paths}


@pytest.mark.parametrize("arch", architectures.names())
def test_a_fresh_process_decodes_to_the_same_bits(reopened, arch):
    model, path, found = reopened[arch]
    expected = np.asarray(model.decode(np.load(path / "z.npy")))
    assert expected.std() > 0
    assert found["run"].tobytes() == found["keras"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("arch", architectures.names())
def test_a_fresh_process_restores_every_optimizers_state(reopened, arch):
    model, _, found = reopened[arch]
    expected = [
        (f"optimizer {o} {v:03d}", np.asarray(variable))
        for o, optimizer in enumerate(model.optimizers)
        for v, variable in enumerate(optimizer.variables)
    ]
    assert [name for name, _ in expected] == sorted(n for n in found if n.startswith("opt"))
    assert len(expected) > 2 * len(model.trainable_variables), "two moments for each weight"
    for name, value in expected:
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("arch", architectures.names())
def test_a_loaded_model_can_be_trained_further(run_of, digits, arch):
    model = run_of(arch).model()
    before = model.get_weights()
    logs = model.train_step(_pixels(digits))
    assert all(np.isfinite(float(value)) for value in logs.values())
    after = model.get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_configs_have_no_lambdas(run_of):
    for arch in architectures.names():
        config = json.dumps(run_of(arch).model().get_config())
        assert "__lambda__" not in config and "Lambda" not in config

import pytest

import keras_ganvae
from keras_ganvae import TrainConfig
from keras_ganvae.data.position import Position
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.runs import checkpoints
from keras_ganvae.training import setup, train

SETTINGS = {
    "dataset": "synthetic",
    "limit": 64,
    "epochs": 3,
    "batch_size": 16,
    "steps_per_execution": 1,  # else the message names a few steps
}
STEPS = 4
BINARIZED = {"vae": {"binarize": "none"}}  # a NaN rounds to 0


@pytest.fixture
def poisoned(monkeypatch):
    """`poisoned(step, value)`: from this step on (from 0, over all epochs) pixels are `value`."""
    import tensorflow as tf

    build = train.build_model

    def poison(step, value):
        def poisoned_model(*args):
            model = build(*args)
            train_step = model.train_step
            model.train_step = lambda images: train_step(
                tf.where(model.optimizer.iterations >= step, tf.cast(value, tf.float32), images)
            )
            return model

        monkeypatch.setattr(train, "build_model", poisoned_model)

    return poison


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("arch", ["gan", "vae"])
def test_a_nan_or_infinite_loss_stops_the_run(poisoned, tmp_path, arch, value):
    """The error names epoch and step; the checkpoint of the first epoch stays."""
    poisoned(STEPS + 2, value)
    config = TrainConfig(arch=arch, **SETTINGS, **BINARIZED.get(arch, {}))
    with pytest.raises(GateFailed, match="epoch 2, step 3") as failure:
        keras_ganvae.train(config, tmp_path / "run")
    assert failure.value.exit_code == 1
    run = keras_ganvae.load_run(tmp_path / "run")
    assert [row["epoch"] for row in run.history()] == [1]
    _, position, _ = checkpoints.newest(run.checkpoints, run.record["dataset"]["fingerprint"])
    assert position == Position(1, 0)
    assert not run.model_file.exists()


def test_a_diverging_run_stops_in_its_first_epoch(tmp_path):
    config = TrainConfig(
        arch="vae", optimizer="sgd", learning_rate=1e30, schedule="constant", **SETTINGS
    )
    with pytest.raises(GateFailed, match=r"epoch 1, step [12]\b.*`learning_rate`"):
        keras_ganvae.train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "model.keras").exists()
    assert not list((tmp_path / "run" / "figures").glob("samples-*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 65}, "`batch_size` 65 is larger than the 64 training images"),
        ({"dataset": "syntetic"}, "did you mean synthetic"),
        ({"arch": "vea"}, "unknown architecture 'vea'; did you mean 'vae'"),
        ({"dropout": True}, "`dropout` is a setting of GANs"),
        ({"arch": "cvae", "image_size": 30}, "multiples of 4, not 30x30"),
    ],
)
def test_bad_settings_and_data_write_nothing(tmp_path, settings, message):
    config = TrainConfig(**{"arch": "vae"} | SETTINGS | settings)
    with pytest.raises(InputError, match=message):
        keras_ganvae.train(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_run_is_replaced_only_with_overwrite(tmp_path, run_of):
    import shutil

    path = shutil.copytree(run_of("vae").path, tmp_path / "run")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    config = TrainConfig(arch="vae", **SETTINGS | {"epochs": 1})
    with pytest.raises(InputError, match="already holds a run"):
        keras_ganvae.train(config, path)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    run = keras_ganvae.train(config, path, overwrite=True)
    assert [row["epoch"] for row in run.history()] == [1]
    assert not (run.figures / "samples-00002.png").exists()


@pytest.mark.parametrize("arch", ["cvae", "dcgan"])
def test_a_colour_folder_trains(tmp_path, arch):
    import numpy as np
    from PIL import Image

    pixels = np.random.RandomState(0).randint(0, 256, (24, 40, 36, 3)).astype(np.uint8)
    for i, image in enumerate(pixels):
        (tmp_path / "pictures" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png")
    config = TrainConfig(
        arch=arch,
        dataset=f"folder:{tmp_path / 'pictures'}",
        image_size=32,
        epochs=1,
        batch_size=8,
        latent_dim=4,
    )
    run = keras_ganvae.train(config, tmp_path / "run")
    assert run.record["dataset"]["image_shape"] == [32, 32, 3]
    z = run.prior().sample(3, 0)
    assert run.model().decode(z).shape == (3, 32, 32, 3)


def test_mnist_trains(tmp_path):
    from keras_ganvae.data.sources import tfds as tfds_source

    if not any(each.name == "mnist" for each in tfds_source.prepared()):
        pytest.skip("MNIST is not on disk: set TFDS_DATA_DIR to a folder with mnist/3.0.1")
    config = TrainConfig(arch="vae", dataset="mnist", limit=128, epochs=2, batch_size=32)
    run = keras_ganvae.train(config, tmp_path / "run")
    assert run.record["dataset"]["name"] == "mnist"
    first, last = (row["loss"] for row in run.history())
    assert last < first


@pytest.mark.parametrize(
    ("available", "remedy"),
    [
        (100_000, "reduce `image_size`, or `validation_size` to 15 at most$"),
        (6271, "`image_size`$"),
    ],
)
def test_a_validation_batch_beyond_the_memory_is_refused_before_the_run(
    tmp_path, monkeypatch, available, remedy
):
    """Its 40 images of 784 pixels are input and output of a layer."""
    monkeypatch.setattr(setup, "available_memory", lambda: available)
    config = TrainConfig(arch="vae", preset="paper", validation_size=40, **SETTINGS)
    message = rf"validation on 40 images of 28x28 .* than 251 kB of memory, .*: .*{remedy}"
    with pytest.raises(InputError, match=message):
        keras_ganvae.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("precision", "instructions", "gpus", "warned"),
    [
        ("bfloat16", "avx avx2 fma", "", True),
        ("bfloat16", "avx avx2 avx512_bf16 fma", "", False),
        ("bfloat16", "avx avx2 fma", "a GPU", False),
        ("bfloat16", "", "", False),  # unknown
        ("float32", "avx avx2 fma", "", False),
    ],
)
def test_emulated_bfloat16_is_a_warning(monkeypatch, caplog, precision, instructions, gpus, warned):
    found = {"machine": {"instructions": instructions, "gpus": gpus}}
    monkeypatch.setattr(setup.machine, "here", lambda: found)
    setup.prepare(TrainConfig(arch="vae", precision=precision, **SETTINGS))
    assert ("no bfloat16 instructions" in caplog.text) == warned

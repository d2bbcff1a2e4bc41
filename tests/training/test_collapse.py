"""Training that goes wrong is reported; healthy training is not."""

import logging

import numpy as np
import pytest

from keras_ganvae import TrainConfig
from keras_ganvae.errors import GateFailed
from keras_ganvae.runs.run import Run
from keras_ganvae.training import collapse
from keras_ganvae.training.train import train

SMALL = {"dataset": "synthetic", "limit": 256, "batch_size": 64, "epochs": 4}


class Healthy:
    """A fake model whose samples and posterior means vary as the data does."""

    generator_loss_name = "non_saturating"
    latent_dim, networks = 2, ()

    def __init__(self, images):
        self.images = images

    def generator(self, latents, training):
        return self.images[: len(latents)].astype(np.float32) / 255

    def binarize(self, images, seed):
        return images

    def encode(self, images):
        rows = np.asarray(images).mean(axis=(2, 3))[:, 10:12] * 10
        return rows, np.zeros_like(rows)


class Collapsed(Healthy):
    """Decodes every z to the same image and encodes every image to the same point."""

    def encode(self, images):
        mean, log_var = super().encode(images)
        return np.zeros_like(mean), log_var

    def generator(self, latents, training):
        return np.repeat(self.images[:1], len(latents), axis=0).astype(np.float32) / 255


@pytest.fixture(scope="module")
def images():
    from keras_ganvae import data

    return data.load("synthetic", limit=600).train.images


def watched(images, model, logs, epochs=4, **options):
    each = collapse.CollapseWatch(images, **options)
    each.set_model(model)
    for epoch in range(epochs):
        each.on_epoch_begin(epoch)
        each.on_epoch_end(epoch, logs)
    return each


def accuracies(real, fake):
    return {"real_accuracy": real, "fake_accuracy": fake, "accuracy": (real + fake) / 2}


def test_a_healthy_gan_gives_no_warning(images):
    assert watched(images, Healthy(images), accuracies(0.6, 0.7)).state["warned"] == []


def test_mode_collapse_is_reported_once(images, caplog):
    with caplog.at_level(logging.WARNING, "keras_ganvae"):
        each = watched(images, Collapsed(images), accuracies(0.6, 0.7))
    assert each.state["warned"] == ["mode collapse"]
    assert caplog.text.count("mode collapse") == 1


def test_a_pinned_discriminator_is_reported_after_three_epochs(images):
    logs = accuracies(0.99, 0.995)
    assert watched(images, Healthy(images), logs, epochs=2).state["warned"] == []
    three = watched(images, Healthy(images), logs, epochs=3)
    assert three.state["warned"] == ["discriminator pinned"]


def test_a_resumed_run_continues_the_count(images):
    logs = accuracies(0.99, 0.995)
    state = watched(images, Healthy(images), logs, epochs=2).state
    resumed = watched(images, Healthy(images), logs, epochs=1, state=state)
    assert resumed.state["warned"] == ["discriminator pinned"]


@pytest.mark.parametrize(
    ("model", "kl", "warned"),
    [
        (Healthy, 20.0, []),
        (Healthy, 0.1, ["posterior collapse"]),
        (Collapsed, 20.0, ["posterior collapse"]),  # nats, but none of them about the image
    ],
)
def test_posterior_collapse_shows_in_the_kl_or_the_active_dimensions(model, kl, warned, images):
    assert watched(images, model(images), {"kl": kl}).state["warned"] == warned


def test_the_first_epochs_give_no_posterior_collapse(images):
    assert watched(images, Collapsed(images), {"kl": 0.1}, epochs=2).state["warned"] == []


def test_one_validation_image_gives_no_mode_collapse(images):
    each = watched(images[:1], Collapsed(images), accuracies(0.6, 0.7))
    assert each.state["warned"] == []


def test_stop_stops_the_run_before_the_next_epoch(images):
    each = watched(images, Healthy(images), {"kl": 0.1}, epochs=3, stop=True)
    with pytest.raises(GateFailed, match="stopped: posterior collapse"):
        each.on_epoch_begin(3)


def test_a_beta_of_100_collapses_the_posterior_and_stops(tmp_path):
    config = TrainConfig(arch="vae", beta=100.0, on_collapse="stop", **SMALL | {"epochs": 30})
    with pytest.raises(GateFailed, match="posterior collapse"):
        train(config, tmp_path / "run")
    # The epoch with the warning is in the history and in a checkpoint.
    assert len(Run.open(tmp_path / "run").history()) < 30
    assert any((tmp_path / "run" / "checkpoint").iterdir())


def test_a_saturating_loss_against_a_strong_discriminator_vanishes(make_model, images):
    model = make_model("gan", generator_loss="saturating", dropout=False)
    z = np.random.default_rng(0).standard_normal((64, model.latent_dim)).astype("float32")
    assert collapse.gradient_ratio(model, z) > collapse.VANISHED_GRADIENT  # D is untrained
    teach_discriminator(model, images[:256])
    assert collapse.gradient_ratio(model, z) < collapse.VANISHED_GRADIENT


def teach_discriminator(model, images):
    """Train only D until it is confident."""
    model.optimizer.learning_rate = 0.0
    model.discriminator_optimizer.learning_rate = 0.002
    batch = images.astype(np.float32) / 255
    for _ in range(60):
        model.train_step(batch)


def test_the_papers_gan_without_dropout_is_reported(tmp_path, caplog):
    # Section 4.2: its generator collapses to one blurred image.
    config = TrainConfig(
        arch="gan",
        preset="paper",
        dropout=False,
        on_collapse="stop",
        **SMALL | {"epochs": 30, "batch_size": 32},
    )
    with pytest.raises(GateFailed, match="mode collapse: the samples vary"):
        train(config, tmp_path / "run")
    assert "warning, epoch" in caplog.text


def test_the_default_gan_gives_no_warning(tmp_path, caplog):
    train(TrainConfig(arch="gan", **SMALL | {"batch_size": 32}), tmp_path / "run")
    assert "warning, epoch" not in caplog.text

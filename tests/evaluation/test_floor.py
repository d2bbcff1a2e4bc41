import logging

import numpy as np
import pytest

from keras_ganvae import data
from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.evaluation.protocol import Settings


@pytest.fixture(scope="module")
def dataset():
    return data.load("synthetic", limit=200)


@pytest.fixture(scope="module")
def real(dataset):
    return RealImages.of(dataset, Settings(samples=150, features="digits"))


def test_too_few_images_for_the_features(dataset):
    with pytest.raises(InputError, match="100 samples are too few .* at least 129 are needed"):
        RealImages.of(dataset, Settings(samples=100, features="digits"))
    with pytest.raises(InputError, match="`neighbours` is 150; .* less than the 150 samples"):
        RealImages.of(dataset, Settings(samples=150, neighbours=150, features="digits"))


@pytest.mark.parametrize(("features", "least"), [("classifier", 129), ("inception", 2049)])
def test_sizes_are_checked_before_features_are_loaded(
    tmp_path, monkeypatch, caplog, features, least
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with (
        caplog.at_level(logging.INFO, "keras_ganvae"),
        pytest.raises(InputError, match=f"at least {least} are needed"),
    ):
        RealImages.of(data.load("synthetic", limit=100), Settings(features=features))
    assert "training" not in caplog.text and not list(tmp_path.iterdir())


def test_the_floor_is_that_of_held_out_images(real, dataset):
    assert len(real.train_sample) == 150
    training = {image.tobytes() for image in dataset.train.images}
    assert all(image.tobytes() in training for image in real.train_sample)
    # Training images are at distance 0 of themselves, test images are not.
    assert real.compare(real.train_sample)["nearest_training"].value == 0
    assert real.floor["nearest_training"].value > 1
    assert real.floor["recall"].value > 0.5 and real.floor["modes"].value == 10


def test_noise_is_far_above_the_floor(real):
    noise = np.random.default_rng(0).integers(0, 256, (150, 28, 28, 1), dtype=np.uint8)
    metrics = real.compare(noise)
    assert metrics["frechet"].value > 2 * real.floor["frechet"].value
    assert metrics["precision"].value < real.floor["precision"].value
    assert metrics["isolated_pixels"].value > 10 * real.floor["isolated_pixels"].value

"""The classifier: any small image shape, reproducible weights, no global side effects."""

import dataclasses
import random

import keras
import numpy as np
import pytest

from keras_ganvae import data, runtime
from keras_ganvae.data import Split
from keras_ganvae.errors import InputError
from keras_ganvae.metrics import classifier


@pytest.fixture(scope="module")
def dataset():
    return data.load("synthetic", limit=200)


@pytest.fixture(scope="module")
def trained(dataset):
    """Trained without test images, which must not matter."""
    runtime.prepare(0, "float32")
    return classifier.train_classifier(dataclasses.replace(dataset, test=None), seed=3)


def predict(model, images):
    return [np.asarray(values) for values in model(images.astype(np.float32) / 255)]


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 40, 3), (9, 13, 1), (28, 28, 1), (64, 64, 3)])
def test_any_small_image_fits_in_a_megabyte(shape):
    model = classifier.build(shape, classes=7)
    features, logits = predict(model, np.zeros((2, *shape)))
    assert features.shape == (2, 128) and logits.shape == (2, 7)
    assert 4 * model.count_params() < 1e6


def test_seeds_differ():
    kernels = [classifier.build((8, 8, 1), 2, seed).get_weights()[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()


def test_logits_are_linear_in_the_features(trained, dataset):
    features, logits = predict(trained, dataset.test.images[:5])
    kernel, bias = trained.get_layer("logits").get_weights()
    assert (features >= 0).all() and (features > 0).any()
    np.testing.assert_allclose(features @ kernel + bias, logits, rtol=1e-5, atol=1e-5)


def test_two_hundred_images_suffice_for_most_digits(trained, dataset):
    assert classifier.count_errors(trained, dataset.test) < 60  # guessing leaves 180 wrong


def test_errors_are_counted(trained, dataset):
    _, logits = predict(trained, dataset.test.images)
    guessed = logits.argmax(axis=-1)
    assert classifier.count_errors(trained, Split(dataset.test.images, guessed)) == 0
    guessed[[3, 70]] = (guessed[[3, 70]] + 1) % 10
    assert classifier.count_errors(trained, Split(dataset.test.images, guessed)) == 2


def test_the_epoch_with_the_lowest_validation_loss_is_kept(dataset):
    """With wrong validation labels the loss rises with every epoch, so the first is kept."""
    validation = dataset.validation
    wrong = Split(validation.images, (validation.labels + 1) % 10)
    last, first = (
        classifier.train_classifier(dataclasses.replace(dataset, validation=each), 0, epochs=8)
        for each in (validation, wrong)
    )
    errors_of_last, errors_of_first = (
        classifier.count_errors(model, dataset.train) for model in (last, first)
    )
    assert errors_of_last + 40 < errors_of_first


def test_training_is_reproducible_and_has_no_global_side_effects(dataset, capfd):
    def weights(seed):
        model = classifier.train_classifier(dataset, seed, epochs=1)
        return np.concatenate([weight.ravel() for weight in model.get_weights()])

    def drawn():
        return random.random(), np.random.random(), float(keras.random.uniform(()))

    runtime.prepare(5, "float32")
    expected = drawn()
    runtime.prepare(5, "bfloat16")
    try:
        first = weights(0)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert drawn() == expected
    finally:
        runtime.prepare(5, "float32")
    np.testing.assert_array_equal(weights(0), first)
    assert capfd.readouterr().out == ""


def test_missing_labels_raise(dataset):
    bare = Split(dataset.train.images)
    for lack in ({"train": bare}, {"validation": bare}, {"train": bare, "classes": None}):
        with pytest.raises(InputError, match="synthetic has no labels.*`features=inception`"):
            classifier.train_classifier(dataclasses.replace(dataset, **lack))


def test_one_class_raises(dataset):
    alike = Split(dataset.train.images, np.zeros(200, np.int64))
    with pytest.raises(InputError, match="all of one class"):
        classifier.train_classifier(dataclasses.replace(dataset, train=alike))

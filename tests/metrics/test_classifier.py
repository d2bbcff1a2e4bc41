"""The classifier: any small image, the same weights for a seed, nothing global touched."""

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
    """Without its test images: they have no say."""
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


def test_features_are_what_the_logits_are_made_of(trained, dataset):
    features, logits = predict(trained, dataset.test.images[:5])
    kernel, bias = trained.get_layer("logits").get_weights()
    assert (features >= 0).all() and (features > 0).any()
    np.testing.assert_allclose(features @ kernel + bias, logits, rtol=1e-5, atol=1e-5)


def test_two_hundred_images_teach_it_most_digits(trained, dataset):
    assert classifier.errors(trained, dataset.test) < 60  # guessing leaves 180 wrong


def test_errors_are_counted(trained, dataset):
    _, logits = predict(trained, dataset.test.images)
    guessed = logits.argmax(axis=-1)
    assert classifier.errors(trained, Split(dataset.test.images, guessed)) == 0
    guessed[[3, 70]] = (guessed[[3, 70]] + 1) % 10
    assert classifier.errors(trained, Split(dataset.test.images, guessed)) == 2


def test_the_best_epoch_on_the_validation_images_is_kept(dataset, monkeypatch):
    """With a rate that ruins it, the last epoch is not the best."""
    seen = []
    told = lambda _, epoch, logs: seen.append(logs["val_loss"])  # noqa: E731
    monkeypatch.setattr(classifier._Told, "on_epoch_end", told)
    monkeypatch.setattr(classifier, "LEARNING_RATE", 0.3)
    model = classifier.train_classifier(dataset, seed=0, epochs=3)
    _, logits = predict(model, dataset.validation.images)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = float(loss(dataset.validation.labels, logits))
    assert len(seen) == 3 and min(seen) < seen[-1]
    np.testing.assert_allclose(found, min(seen), rtol=1e-4)


def test_a_seed_gives_the_same_weights_and_leaves_the_process_alone(dataset, capfd):
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


def test_labels_are_needed(dataset):
    bare = Split(dataset.train.images)
    for lack in ({"train": bare}, {"validation": bare}, {"train": bare, "classes": None}):
        with pytest.raises(InputError, match="synthetic has no labels.*--features inception"):
            classifier.train_classifier(dataclasses.replace(dataset, **lack))


def test_one_class_teaches_nothing(dataset):
    alike = Split(dataset.train.images, np.zeros(200, np.int64))
    with pytest.raises(InputError, match="all of one class"):
        classifier.train_classifier(dataclasses.replace(dataset, train=alike))

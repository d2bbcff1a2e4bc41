"""Features: chosen by the data set, cached, the same for the same images."""

import dataclasses
import hashlib
import json
import logging

import keras
import numpy as np
import pytest

from keras_ganvae import data
from keras_ganvae.data import Split
from keras_ganvae.errors import InputError
from keras_ganvae.metrics import classifier, features, inception


@pytest.fixture(scope="module")
def dataset():
    return data.load("synthetic", limit=200)


@pytest.fixture(scope="module")
def shipped(dataset):
    return features.load(dataset, "digits")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for the classifiers, whose training is fast on `tiny`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "keras-ganvae" / "classifiers"


@pytest.fixture(scope="module")
def tiny(dataset):
    return with_shape(dataset, 8, 8, 1)


def with_shape(dataset, *shape):
    """The data set with 20 black images of another shape in each split."""
    splits = {
        name: Split(np.zeros((20, *shape), np.uint8), np.arange(20) % 10)
        for name in ("train", "validation", "test")
    }
    return dataclasses.replace(dataset, **splits)


def test_the_shipped_classifier_is_as_good_as_its_record_says(shipped):
    record = json.loads(features.DIGITS_FILE.with_suffix(".json").read_text())
    weights = features.DIGITS_FILE.read_bytes()
    assert shipped.hash == record["sha256"] == hashlib.sha256(weights).hexdigest()
    assert len(weights) < 1e6
    assert record["test_accuracy"] == 1 - record["test_errors"] / record["test_images"] >= 0.992
    assert f"{record['test_errors']} of 10,000" in shipped.note
    assert (shipped.name, shipped.dimensions, shipped.classes) == ("digits", 128, 10)


def test_the_shipped_classifier_recognizes_synthetic_digits(shipped, dataset):
    _, probabilities = shipped.extract(dataset.test.images)
    right = (probabilities.argmax(axis=1) == dataset.test.labels).mean()
    assert right > 0.8  # synthetic digits, after training on MNIST's
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_the_batch_size_does_not_matter(shipped, dataset):
    images = dataset.test.images[:70]
    small = dataclasses.replace(shipped, batch=32)
    for whole, parts in zip(shipped.extract(images), small.extract(images), strict=True):
        assert whole.dtype == parts.dtype == np.float32 and len(parts) == 70
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_features_are_those_of_the_shipped_model(shipped, dataset):
    model = keras.saving.load_model(features.DIGITS_FILE)
    images = dataset.test.images[:7]
    found, logits = (np.asarray(values) for values in model(images.astype(np.float32) / 255))
    certain = np.exp(logits - logits.max(axis=1, keepdims=True))
    extracted, probabilities = shipped.extract(images)
    np.testing.assert_allclose(extracted, found, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        probabilities, certain / certain.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6
    )


def test_one_graph_serves_any_number_of_images(dataset):
    chosen = features.load(dataset, "digits")
    for count in (1, 3, 250, 251):
        images = np.resize(dataset.test.images, (count, 28, 28, 1))
        assert len(chosen.extract(images)[0]) == count
    assert chosen.extract(dataset.test.images[:0])[0].shape == (0, 128)
    assert chosen.network.experimental_get_tracing_count() == 1


def test_uint8_and_float_give_the_same_features(shipped, dataset):
    images = dataset.test.images[:40]
    expected, _ = shipped.extract(images)
    for pixels in (images, images.astype(np.float32) / 255):
        np.testing.assert_array_equal(shipped.extract(pixels)[0], expected)


@pytest.mark.parametrize("value", [-0.1, 1.1, 255.0, np.nan, np.inf])
def test_pixels_out_of_range(shipped, value):
    images = np.zeros((2, 28, 28, 1), np.float32)
    images[1, 5, 5] = value
    with pytest.raises(ValueError, match=r"pixels must be in \[0, 1\]"):
        shipped.extract(images)


def test_integers_must_be_uint8(shipped):
    with pytest.raises(ValueError, match="uint8 or float, not int64"):
        shipped.extract(np.zeros((2, 28, 28, 1), np.int64))


@pytest.mark.parametrize("shape", [(2, 28, 28, 3), (2, 14, 14, 1), (28, 28, 1)])
def test_images_of_another_shape(shipped, shape):
    with pytest.raises(InputError, match="digits features need 28x28x1 images, not"):
        shipped.extract(np.zeros(shape, np.uint8))


def test_features_do_not_depend_on_the_dtype_policy(shipped, dataset):
    images = dataset.test.images[:40]
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found, _ = features.load(dataset, "digits").extract(images)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(found, shipped.extract(images)[0])


@pytest.mark.parametrize("requested", [None, "auto"])
def test_mnist_gets_the_shipped_digits(dataset, requested):
    assert features.resolve(dataclasses.replace(dataset, name="mnist"), requested) == "digits"


def test_resized_mnist_gets_a_classifier(dataset):
    mnist = dataclasses.replace(with_shape(dataset, 14, 14, 1), name="mnist")
    assert features.resolve(mnist) == "classifier"


def test_a_classifier_is_trained_once(dataset, cache, caplog):
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        first = features.load(dataset)
        again = features.load(dataset, "classifier")
    path = cache / f"{dataset.fingerprint}.keras"
    assert list(cache.iterdir()) == [path]
    assert caplog.text.count(f"cached as {path}") == 1
    assert caplog.text.count(f"cached classifier {path}") == 1
    wrong = (
        again.extract(dataset.validation.images)[1].argmax(1) != dataset.validation.labels
    ).sum()
    assert f"{wrong} of 200 validation images wrong" in again.note and wrong < 60
    assert first == again and first.name == "classifier" and first.classes == 10
    assert first.hash == hashlib.sha256(path.read_bytes()).hexdigest()
    images = dataset.test.images
    for once, twice in zip(first.extract(images), again.extract(images), strict=True):
        np.testing.assert_array_equal(once, twice)


def test_colour_and_any_number_of_classes(dataset, cache):
    colourful = dataclasses.replace(with_shape(dataset, 12, 9, 3), classes=tuple("abcdefghijkl"))
    chosen = features.load(colourful)
    found, probabilities = chosen.extract(colourful.test.images)
    assert found.shape == (20, 128) and probabilities.shape == (20, 12)


@pytest.mark.parametrize("content", ["empty", "not a model", "truncated"])
def test_a_damaged_cache_is_retrained(tiny, cache, caplog, content):
    path = cache / f"{tiny.fingerprint}.keras"
    cache.mkdir(parents=True)
    truncated = features.DIGITS_FILE.read_bytes()[:100_000]
    path.write_bytes({"empty": b"", "not a model": b"not a model", "truncated": truncated}[content])
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        features.load(tiny)
        (warning,) = [each.message for each in caplog.records if each.levelname == "WARNING"]
        assert str(path) in warning and "retraining" in warning and "\n" not in warning
        features.load(tiny)
    assert caplog.text.count("training a classifier on") == 1


def test_a_cached_classifier_of_another_version_is_retrained(tiny, cache, caplog):
    cache.mkdir(parents=True)
    other = classifier.build(tiny.image_shape, classes=3)
    other.save(cache / f"{tiny.fingerprint}.keras")
    assert features.load(tiny).classes == 10
    assert "written by another version" in caplog.text


def test_an_unwritable_cache_is_reported_before_training(tiny, cache, caplog):
    cache.parent.write_text("a file in the way")
    with (
        caplog.at_level(logging.INFO, "keras_ganvae"),
        pytest.raises(InputError, match="can't write to .*set XDG_CACHE_HOME"),
    ):
        features.load(tiny)
    assert "training" not in caplog.text


def test_missing_labels_raise(dataset):
    bare = {name: Split(getattr(dataset, name).images) for name in ("train", "validation", "test")}
    with pytest.raises(InputError, match="has no labels.*`features=inception`"):
        features.load(dataclasses.replace(dataset, classes=None, **bare))


def test_the_shipped_digits_need_the_shape_of_mnist(dataset):
    with pytest.raises(InputError, match="28x28x1 images, not 32x32x3; use `features="):
        features.load(with_shape(dataset, 32, 32, 3), "digits")


@pytest.mark.parametrize(
    ("name", "hint"), [("digit", "did you mean 'digits'"), ("xyz", "known: auto, digits")]
)
def test_unknown_names_raise(dataset, name, hint):
    with pytest.raises(InputError, match=f"unknown `features` '{name}'; {hint}"):
        features.load(dataset, name)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty home of Keras; no proxy stands between the tests and this machine's servers."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


@pytest.mark.parametrize("content", [None, b"half a file"])
def test_inception_without_a_network(dataset, keras_home, monkeypatch, free_addresses, content):
    monkeypatch.setattr(inception, "URL", f"http://{free_addresses(1)}/{inception.NAME}")
    if content:
        (keras_home / "models").mkdir()
        (keras_home / "models" / inception.NAME).write_bytes(content)
    with pytest.raises(InputError, match="127.0.0.1:[0-9]+ is unreachable") as failure:
        features.load(dataset, "inception")
    assert "\n" not in str(failure.value)


def test_a_corrupt_download_of_inception(dataset, keras_home, monkeypatch, serve, capfd):
    (keras_home / "server").mkdir()
    (keras_home / "server" / inception.NAME).write_bytes(b"of another checksum")
    monkeypatch.setattr(inception, "URL", f"{serve(keras_home / 'server')}{inception.NAME}")
    with pytest.raises(
        InputError, match="cannot download .*if the images have labels, use `features=classifier`"
    ) as failure:
        features.load(dataset, "inception")
    assert "\n" not in str(failure.value) and capfd.readouterr().out == ""


@pytest.mark.slow
def test_inception_repeats_grey_and_resizes(tmp_path):
    """With random weights: the preprocessing is under test."""
    keras.utils.set_random_seed(0)
    file = tmp_path / "random.weights.h5"
    shape = (inception.SIDE, inception.SIDE, 3)
    model = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=shape, pooling="avg"
    )
    model.save_weights(file)
    network = inception.load(file, (28, 28, 1))
    level = np.array([0, 51, 255], np.uint8)[:, None, None, None]
    found, probabilities = network(np.ones((3, 28, 28, 1), np.float32) * level / 255)
    assert found.shape == (3, inception.DIMENSIONS) and probabilities is None
    # A constant image stays constant when resized; preprocess_input takes 0 to 255.
    expected = model(
        keras.applications.inception_v3.preprocess_input(np.ones((3, *shape), np.float32) * level)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)

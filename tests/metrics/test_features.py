"""Features: chosen by the data, cached whole, the same for the same images."""

import dataclasses
import hashlib
import json
import logging

import keras
import numpy as np
import pytest

from keras_ganvae import data
from keras_ganvae.data import Split, network
from keras_ganvae.errors import InputError
from keras_ganvae.metrics import classifier, features, inception


@pytest.fixture(scope="module")
def dataset():
    return data.load("synthetic", limit=200)


@pytest.fixture(scope="module")
def shipped(dataset):
    return features.choose(dataset, "digits")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and what is trained for it: networks left as they are built."""
    calls = []

    def train(dataset):
        calls.append(dataset.name)
        return classifier.build(dataset.image_shape, len(dataset.classes))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(classifier, "train_classifier", train)
    return tmp_path / "keras_ganvae" / "classifiers", calls


def with_shape(dataset, *shape):
    """The data set with black images of another shape."""
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


def test_the_shipped_classifier_reads_digits_it_never_saw(shipped, dataset):
    _, probabilities = shipped.extract(dataset.test.images)
    right = (probabilities.argmax(axis=1) == dataset.test.labels).mean()
    assert right > 0.8  # synthetic digits, after training on MNIST's
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_batches_don_t_matter(shipped, dataset, monkeypatch):
    images = dataset.test.images[:70]
    small = dataclasses.replace(shipped, batch=32)
    for whole, parts in zip(shipped.extract(images), small.extract(images), strict=True):
        assert whole.dtype == parts.dtype == np.float32 and len(parts) == 70
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_the_network_itself_is_what_is_extracted(shipped, dataset):
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
    chosen = features.choose(dataset, "digits")
    for count in (1, 3, 250, 251):
        images = np.resize(dataset.test.images, (count, 28, 28, 1))
        assert len(chosen.extract(images)[0]) == count
    assert chosen.extract(dataset.test.images[:0])[0].shape == (0, 128)
    assert chosen.network.experimental_get_tracing_count() == 1


def test_bytes_and_floats_give_the_same(shipped, dataset):
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


def test_whole_numbers_must_be_bytes(shipped):
    with pytest.raises(ValueError, match="uint8 or floats, not int64"):
        shipped.extract(np.zeros((2, 28, 28, 1), np.int64))


@pytest.mark.parametrize("shape", [(2, 28, 28, 3), (2, 14, 14, 1), (28, 28, 1)])
def test_images_of_another_shape(shipped, shape):
    with pytest.raises(InputError, match="digits features are of 28x28x1 images, not"):
        shipped.extract(np.zeros(shape, np.uint8))


def test_the_precision_of_a_loaded_run_has_no_say(shipped, dataset):
    images = dataset.test.images[:40]
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found, _ = features.choose(dataset, "digits").extract(images)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(found, shipped.extract(images)[0])


@pytest.mark.parametrize("requested", [None, "auto"])
def test_mnist_itself_gets_the_shipped_digits(dataset, requested):
    mnist = dataclasses.replace(dataset, name="mnist")
    assert features.choose(mnist, requested).name == "digits"


def test_small_mnist_gets_its_own(dataset, cache):
    mnist = dataclasses.replace(with_shape(dataset, 14, 14, 1), name="mnist")
    chosen = features.choose(mnist)
    assert chosen.name == "classifier" and chosen.image_shape == (14, 14, 1)


def test_a_classifier_is_trained_once(dataset, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with caplog.at_level(logging.INFO, "keras_ganvae"):
        first = features.choose(dataset)
        again = features.choose(dataset, "classifier")
    path = tmp_path / "keras_ganvae" / "classifiers" / f"{dataset.fingerprint}.keras"
    assert list(path.parent.iterdir()) == [path]
    assert caplog.text.count(f"kept as {path}") == 1
    assert caplog.text.count(f"trained before, {path}") == 1
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
    chosen = features.choose(colourful)
    found, probabilities = chosen.extract(colourful.test.images)
    assert found.shape == (20, 128) and probabilities.shape == (20, 12)


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_damaged_cache_is_made_anew(dataset, cache, caplog, content):
    folder, calls = cache
    path = folder / f"{dataset.fingerprint}.keras"
    folder.mkdir(parents=True)
    if content is None:
        path.write_bytes(features.DIGITS_FILE.read_bytes()[:100_000])
    else:
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "keras_ganvae"):
        features.choose(dataset)
    (line,) = [text for logger, _, text in caplog.record_tuples if logger == "keras_ganvae"]
    assert str(path) in line and "trained again" in line and "\n" not in line
    features.choose(dataset)
    assert calls == ["synthetic"]


def test_a_cached_classifier_of_another_recipe_is_made_anew(dataset, cache, caplog):
    folder, calls = cache
    folder.mkdir(parents=True)
    other = classifier.build(dataset.image_shape, classes=3)
    other.save(folder / f"{dataset.fingerprint}.keras")
    assert features.choose(dataset).classes == 10
    assert calls == ["synthetic"] and "made by another version" in caplog.text


def test_a_cache_that_can_t_be_written_is_told_before_training(dataset, cache):
    folder, calls = cache
    folder.parent.parent.joinpath("keras_ganvae").write_text("a file in the way")
    with pytest.raises(InputError, match="can't write to .*set XDG_CACHE_HOME"):
        features.choose(dataset)
    assert not calls


def test_without_labels(dataset, cache):
    bare = {name: Split(getattr(dataset, name).images) for name in ("train", "validation", "test")}
    with pytest.raises(InputError, match="has no labels.*--features inception"):
        features.choose(dataclasses.replace(dataset, classes=None, **bare))


def test_digits_must_be_of_mnist_s_shape(dataset):
    with pytest.raises(InputError, match="28x28x1 images, not 32x32x3; use --features"):
        features.choose(with_shape(dataset, 32, 32, 3), "digits")


@pytest.mark.parametrize(
    ("name", "hint"), [("digit", "did you mean 'digits'"), ("xyz", "known: auto, digits")]
)
def test_unknown_names(dataset, name, hint):
    with pytest.raises(InputError, match=f"unknown features '{name}'; {hint}"):
        features.choose(dataset, name)


@pytest.mark.parametrize("content", [None, b"half a file"])
def test_inception_without_a_network(dataset, tmp_path, monkeypatch, content):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(network, "reachable", lambda *_: False)
    if content:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / inception.NAME).write_bytes(content)
    with pytest.raises(InputError, match="storage.googleapis.com can't be reached") as failure:
        features.choose(dataset, "inception")
    assert "\n" not in str(failure.value)


def test_inception_s_download_fails(dataset, tmp_path, monkeypatch, capfd):
    """The host answers, and then does not keep its word."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(network, "reachable", lambda *_: True)
    monkeypatch.setattr(inception, "ADDRESS", (tmp_path / "nothing").as_uri())
    with pytest.raises(
        InputError, match="can't be downloaded.*if the images have labels"
    ) as failure:
        features.choose(dataset, "inception")
    assert "\n" not in str(failure.value) and capfd.readouterr().out == ""


@pytest.mark.slow
def test_inception_repeats_grey_and_resizes(dataset, tmp_path, monkeypatch):
    """With random weights: it is the way of an image into the network that is checked."""
    keras.utils.set_random_seed(0)
    file = tmp_path / "random.weights.h5"
    shape = (inception.SIDE, inception.SIDE, 3)
    model = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=shape, pooling="avg"
    )
    model.save_weights(file)
    monkeypatch.setattr(inception, "weights_file", lambda: file)
    chosen = features.choose(dataset, "inception")
    assert (chosen.name, chosen.dimensions, chosen.classes) == ("inception", 2048, None)
    assert chosen.hash == hashlib.sha256(file.read_bytes()).hexdigest()
    level = np.array([0, 51, 255], np.uint8)
    images = np.ones((3, 28, 28, 1), np.uint8) * level[:, None, None, None]
    found, probabilities = chosen.extract(images)
    assert found.shape == (3, 2048) and probabilities is None
    # A plain image stays plain whatever its size; preprocess_input wants 0 to 255.
    plain = np.ones((3, *shape), np.float32) * level[:, None, None, None]
    ready = keras.applications.inception_v3.preprocess_input(plain)
    np.testing.assert_allclose(found, model(ready), rtol=1e-3, atol=1e-5)

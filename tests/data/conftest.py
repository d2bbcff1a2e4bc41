"""Small generated data sets."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def pixels():
    """`pixels(n, h, w, c)`: uint8 images that are all different."""
    return lambda *shape: np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


@pytest.fixture
def no_network(monkeypatch):
    """No host is reachable; the list holds the requested URLs."""
    from keras_ganvae.data import network

    urls = []
    monkeypatch.setattr(network, "reachable", lambda url, *_: urls.append(url))
    return urls


@pytest.fixture
def prepare(tmp_path):
    """`prepare(name, splits, ...)` writes a TFDS data set and returns the data folder."""

    def prepare(name, splits, shape=(32, 32, 3), classes=("cat", "dog"), key="image", config=None):
        import tensorflow as tf
        import tensorflow_datasets as tfds

        features = {key: tfds.features.Image(shape=shape)}
        features |= {"label": tfds.features.ClassLabel(names=list(classes))} if classes else {}

        def examples(images):
            for number, image in enumerate(images):
                yield {key: image} | ({"label": number % len(classes)} if classes else {})

        signature = {key: tf.TensorSpec(shape, tf.uint8)}
        signature |= {"label": tf.TensorSpec((), tf.int64)} if classes else {}
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            config=config,
            features=tfds.features.FeaturesDict(features),
            split_datasets={
                split: tf.data.Dataset.from_generator(
                    lambda images=images: examples(images), output_signature=signature
                )
                for split, images in splits.items()
            },
            data_dir=tmp_path / "tfds",
        )
        return tmp_path / "tfds"

    return prepare

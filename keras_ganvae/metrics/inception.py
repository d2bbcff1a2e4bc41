"""InceptionV3 as Keras trained it on ImageNet: features for images that have no labels.

Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision". These are
not the weights of published FIDs (Heusel et al. 2017), whose numbers don't compare.
"""

import contextlib
import hashlib
import os
import socket
from pathlib import Path

import keras
import tensorflow as tf

from keras_ganvae import runtime
from keras_ganvae.data import network
from keras_ganvae.errors import InputError
from keras_ganvae.metrics.classifier import float32_policy

DIMENSIONS = 2048  # of the last pooling
SIDE = 299  # pixels, of the images that it was trained on

NAME = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
ADDRESS = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{NAME}"
MD5 = "bcbd6486424b2319ff4ef7d526e38f63"  # Keras's own record of the file
STALLED_SECONDS = 20  # without a byte, after which a download is given up


def weights_file() -> Path:
    """The weights where Keras keeps them, downloaded (88 MB) if they aren't there.

    Raises:
        InputError: they can't be downloaded; known within seconds.
    """
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path = home / "models" / NAME
    if path.is_file() and _hash(path, "md5") == MD5:
        return path
    if not network.reachable(ADDRESS):
        raise _unavailable(f"{ADDRESS.split('/')[2]} can't be reached", path)
    try:
        with _impatient(), runtime.progress_on_stderr():
            found = keras.utils.get_file(
                NAME, ADDRESS, cache_dir=home, cache_subdir="models", file_hash=MD5
            )
    except Exception as error:  # several HTTP layers, the disk, and a hash that is wrong
        raise _unavailable(" ".join(str(error).split())[:200], path) from error
    return Path(found)


def load(weights: Path, image_shape):
    """The network for images of one shape.

    Args:
        weights: as `weights_file` returns them.
        image_shape: (H, W, C), C 1 or 3.

    Returns:
        A function from float32 images (B, H, W, C) in [0, 1] to (features (B, 2048), None);
        it has no classes of the data. Grey images are repeated in three channels, and all
        are resized to 299 x 299, bilinearly.
    """
    with float32_policy():
        model = keras.applications.InceptionV3(
            include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3), pooling="avg"
        )

    def run(images):
        if image_shape[-1] == 1:
            images = tf.image.grayscale_to_rgb(images)
        images = tf.image.resize(images, (SIDE, SIDE), antialias=True)
        return model(2 * images - 1, training=False), None

    return run


def digest(weights: Path) -> str:
    """SHA-256 of the weights file, in hexadecimal."""
    return _hash(weights, "sha256")


def _hash(path, kind) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


@contextlib.contextmanager
def _impatient():
    """A connection that stalls raises; Keras would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unavailable(reason, path) -> InputError:
    return InputError(
        f"the weights of InceptionV3 can't be downloaded ({reason}); connect to the network, put"
        f" {NAME} into {path.parent}, or, if the images have labels, compare by --features"
        " classifier"
    )

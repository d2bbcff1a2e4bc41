"""InceptionV3 with Keras's ImageNet weights: features for images without labels.

Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision". Published
FIDs use other weights (Heusel et al. 2017) and are not comparable.
"""

import contextlib
import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_ganvae import runtime
from keras_ganvae.data import network
from keras_ganvae.errors import InputError
from keras_ganvae.files import readable

DIMENSIONS = 2048  # of the last pooling layer
SIDE = 299  # input size in pixels

NAME = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{NAME}"
MD5 = "bcbd6486424b2319ff4ef7d526e38f63"  # as published by Keras
STALL_SECONDS = 20  # without a byte received, after which a download fails


def weights_file() -> Path:
    """The weights in Keras's own cache, downloaded (88 MB) if they are missing.

    Raises:
        InputError: the download failed; an unreachable host is reported within seconds.
    """
    keras_home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path = keras_home / "models" / NAME
    if path.is_file() and _md5(path) == MD5:
        return path
    if not network.reachable(URL):
        raise _unavailable(f"{URL.split('/')[2]} is unreachable", path)
    try:
        with _socket_timeout(STALL_SECONDS), runtime.progress_on_stderr():
            downloaded = keras.utils.get_file(
                NAME, URL, cache_dir=keras_home, cache_subdir="models", file_hash=MD5
            )
    except Exception as error:  # from several HTTP layers, the disk, and a wrong checksum
        raise _unavailable(" ".join(str(error).split())[:200], path) from error
    return Path(downloaded)


def load(weights: Path, image_shape: tuple[int, int, int]) -> Callable[[Any], tuple[Any, None]]:
    """Build the network for images of one shape.

    Grey images are repeated to three channels, and all images are resized bilinearly to
    299 x 299.

    Args:
        weights: the file that `weights_file` returns.
        image_shape: (H, W, C), C 1 or 3.

    Returns:
        A function from float32 images (B, H, W, C) in [0, 1] to features (B, 2048) and None,
        in the place of class probabilities.
    """
    with runtime.dtype_policy("float32"):
        model = keras.applications.InceptionV3(
            include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3), pooling="avg"
        )

    @tf.function(jit_compile=False)
    def network_features(images):
        if image_shape[-1] == 1:
            images = tf.image.grayscale_to_rgb(images)
        images = tf.image.resize(images, (SIDE, SIDE), antialias=True)
        return model(2 * images - 1, training=False), None

    return network_features


def _md5(path):
    with open(readable(path), "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


@contextlib.contextmanager
def _socket_timeout(seconds):
    """Make stalled connections raise; Keras would wait forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unavailable(reason, path):
    return InputError(
        f"cannot download the weights of InceptionV3 ({reason}); connect to the network, put"
        f" {NAME} into {path.parent}, or, if the images have labels, use `features=classifier`"
    )

"""Warnings when training goes wrong: mode collapse, posterior collapse, vanishing gradients.

Checked after every epoch; each threshold has its reason beside it.
"""

import logging
from typing import Any

import keras
import numpy as np

from keras_ganvae.data.lazy_images import Images
from keras_ganvae.errors import GateFailed
from keras_ganvae.models import latents
from keras_ganvae.plots.images import to_uint8

log = logging.getLogger("keras_ganvae")

SAMPLES = 256  # enough for the ratios below to vary by a few per cent only

# A discriminator that classifies 98 % of the images of both kinds correctly for three epochs
# has won: the paper's settle between 0.5 and 0.7 (Fig. 2). Early in training it may lead for
# an epoch or two.
PINNED_ACCURACY = 0.98
PINNED_EPOCHS = 3

# Per image, the gradient of equation (6) is that of (1) times D(G(z)) / (1 - D(G(z))). Below
# a hundredth of it Adam's steps are mostly noise (section 4.2).
VANISHED_GRADIENT = 0.01

# Diversity of the samples relative to the data: 1 if samples vary as much as the data, 0 if
# all are the same image. On MNIST: 0.3 in the first hundred steps of a healthy GAN, 0.97 to
# 0.99 when trained; 0.01 to 0.03 in the paper's GAN without dropout.
COLLAPSED_DIVERSITY = 0.2
# In the first epochs every model draws pale blurs.
GRACE_EPOCHS = 2

# The class alone, of ten equally likely ones, is log 10 = 2.3 nats; a posterior with less
# than half a nat carries no information for the decoder.
COLLAPSED_KL = 0.5


class CollapseWatch(keras.callbacks.Callback):
    """Warns in the log and in TensorBoard, and stops the run if asked to.

    Args:
        images: uint8 images of the validation split, (N, H, W, C).
        stop: stop the run after the first epoch with a warning.
        state: of this callback, from a checkpoint.

    Raises:
        GateFailed: a warning was given and `stop` is set.
    """

    key = "watch"

    def __init__(self, images: Images, stop: bool = False, state: dict | None = None):
        super().__init__()
        self.images = images[:SAMPLES]
        self.diversity = _diversity(images[: 10 * SAMPLES])
        self.stop = stop
        self.state = state or {"pinned_epochs": 0, "warned": []}
        self.latest: dict[str, str] = {}  # this epoch's warnings by kind, for TensorBoard

    def on_epoch_begin(self, epoch, logs=None):
        # Not at the end of the last epoch: its checkpoint had to be saved first.
        self.stop_if_wanted()

    def stop_if_wanted(self) -> None:
        """Raise GateFailed if `stop` is set and the last epoch had a warning."""
        if self.stop and self.latest:
            raise GateFailed(f"stopped: {'; '.join(self.latest.values())}")

    def on_epoch_end(self, epoch, logs=None):
        self.latest = dict(self._checks(epoch, logs))
        for kind, message in self.latest.items():
            # Once per kind: a run that stays collapsed would flood the log.
            if kind not in self.state["warned"]:
                self.state["warned"].append(kind)
                log.warning("warning, epoch %d: %s", epoch + 1, message)

    def _checks(self, epoch, logs):
        if "kl" in logs:
            if epoch >= GRACE_EPOCHS and self._posterior_collapsed(logs["kl"]):
                yield "posterior collapse", posterior_message(logs["kl"])
            return
        self._count_pinned(logs)
        if self.state["pinned_epochs"] >= PINNED_EPOCHS:
            yield "discriminator pinned", pinned_message(logs["accuracy"])
        z = self._noise()
        ratio = gradient_ratio(self.model, z)
        if ratio < VANISHED_GRADIENT:
            yield "vanishing gradient", vanished_message(ratio)
        if epoch >= GRACE_EPOCHS and self.diversity > 0:
            # Of G itself: its EMA draws pale blurs for a thousand steps.
            samples = to_uint8(self.model.generator(z, training=False))
            share = _diversity(samples) / self.diversity
            if share < COLLAPSED_DIVERSITY:
                yield "mode collapse", mode_message(share)

    def _posterior_collapsed(self, kl):
        if kl < COLLAPSED_KL:
            return True
        mean, _ = latents.encode(self.model, self.images, seed=0)
        return not latents.active_dimensions(mean)

    def _count_pinned(self, logs):
        pinned = min(logs["real_accuracy"], logs["fake_accuracy"]) >= PINNED_ACCURACY
        self.state["pinned_epochs"] = self.state["pinned_epochs"] + 1 if pinned else 0

    def _noise(self):
        shape = (SAMPLES, self.model.latent_dim)
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def gradient_ratio(model: Any, z: np.ndarray) -> float:
    """The norm of G's gradient under the model's loss, relative to equation (1).

    1 by definition for the non-saturating loss; near 0 where the saturating loss vanishes.
    """
    if model.generator_loss_name == "non_saturating":
        return 1.0
    norms = model.generator_gradient_norms(z)
    # Both are zero where tanh has saturated or float16 underflows.
    non_saturating = norms["non_saturating"]
    return norms[model.generator_loss_name] / non_saturating if non_saturating else 0.0


def pinned_message(accuracy: float) -> str:
    return (
        f"the discriminator classifies {accuracy:.1%} of the images correctly, so the generator"
        " gets no useful gradient (section 4.2); `dropout` in the discriminator or a smaller"
        " `learning_rate` may help"
    )


def vanished_message(ratio: float) -> str:
    return (
        f"the generator's gradient has vanished: {ratio:.2%} of what the non-saturating loss"
        " would give (section 4.2); use `generator_loss=non_saturating`"
    )


def mode_message(share: float) -> str:
    return (
        f"mode collapse: the samples vary {share:.0%} as much as the data; `dropout` in the"
        " discriminator remedied it in the paper (section 4.2)"
    )


def posterior_message(kl: float) -> str:
    return (
        f"posterior collapse: the latents carry {kl:.2f} nats, so the decoder ignores them;"
        " a smaller `beta` may help"
    )


def _diversity(images):
    """The variance over the images relative to their mean square, both summed over pixels.

    Relative, so that pale images do not count as identical ones. In [0, 1]; 0 if all images
    are the same.
    """
    pixels = images.astype(np.float32) / 255
    energy = np.square(pixels).mean(axis=0).sum()
    return float(pixels.var(axis=0).sum() / energy) if energy else 0.0

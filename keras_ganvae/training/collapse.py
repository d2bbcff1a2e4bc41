"""Warnings, in plain words, when training goes wrong, once an epoch.

Thresholds and their reasons stand beside each check.
"""

import logging

import keras
import numpy as np

from keras_ganvae.errors import GateFailed
from keras_ganvae.models import latents
from keras_ganvae.plots.images import to_uint8

log = logging.getLogger("keras_ganvae")

SAMPLES = 256  # the ratios below are then steady to a few per cent

# A discriminator that is right about 98 of 100 images of either kind for three epochs
# running has won: the paper's settle between 0.5 and 0.7 (Fig. 2), and a new one may
# lead for an epoch or two.
PINNED_ACCURACY = 0.98
PINNED_EPOCHS = 3

# The gradient of equation (6) is that of (1) times D(G(z)) / (1 - D(G(z))), image by
# image. Below a hundredth of it Adam's steps are made of noise (section 4.2).
VANISHED_GRADIENT = 0.01

# Diversity of the samples over that of the data: 1 for samples as varied as the data, 0
# for one image drawn again and again. Seen on MNIST: 0.3 in the first hundred steps of a
# healthy GAN, 0.97 to 0.99 when trained; 0.01 to 0.03 in the paper's without dropout.
COLLAPSED_DIVERSITY = 0.2
# The first epochs draw pale blurs whatever becomes of the run.
GRACE_EPOCHS = 2

# An image of ten equally likely classes carries log 10 = 2.3 nats by its class alone; a
# posterior that holds less than half a nat tells the decoder nothing.
COLLAPSED_KL = 0.5


class CollapseWatch(keras.callbacks.Callback):
    """Warns in the log and in TensorBoard, and with `stop` ends the run.

    Args:
        images: uint8 images of the validation split, (N, H, W, C).
        stop: end the run after the first epoch with a warning.
        memory: from a saved state.

    Raises:
        GateFailed: a warning was given and `stop` is set.
    """

    key = "watch"

    def __init__(self, images, stop=False, memory=None):
        super().__init__()
        self.images = images[:SAMPLES]
        self.diversity = _diversity(images[: 10 * SAMPLES])
        self.stop = stop
        self.memory = memory or {"pinned_epochs": 0, "warned": []}
        self.latest = {}  # what was found this epoch, by kind, for TensorBoard

    def on_epoch_begin(self, epoch, logs=None):
        # Here and not at the epoch's end: its state is saved by now, and can be resumed.
        self.stop_if_wanted()

    def stop_if_wanted(self):
        """Raise GateFailed if the last epoch gave a warning and the run is to stop at one."""
        if self.stop and self.latest:
            raise GateFailed(f"stopped: {'; '.join(self.latest.values())}")

    def on_epoch_end(self, epoch, logs=None):
        self.latest = dict(self._checks(epoch, logs))
        for kind, message in self.latest.items():
            # Said once: a run that stays wrong would drown its own log.
            if kind not in self.memory["warned"]:
                self.memory["warned"].append(kind)
                log.warning("warning, epoch %d: %s", epoch + 1, message)

    def _checks(self, epoch, logs):
        if "kl" in logs:
            if epoch >= GRACE_EPOCHS and self._posterior_collapsed(logs["kl"]):
                yield "posterior collapse", posterior_message(logs["kl"])
            return
        self._count_pinned(logs)
        if self.memory["pinned_epochs"] >= PINNED_EPOCHS:
            yield "discriminator pinned", pinned_message(logs["accuracy"])
        z = self._noise()
        ratio = gradient_ratio(self.model, z)
        if ratio < VANISHED_GRADIENT:
            yield "vanishing gradient", vanished_message(ratio)
        if epoch >= GRACE_EPOCHS and self.diversity > 0:
            # Of G itself: its moving average draws pale blurs for a thousand steps.
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
        self.memory["pinned_epochs"] = self.memory["pinned_epochs"] + 1 if pinned else 0

    def _noise(self):
        shape = (SAMPLES, self.model.latent_dim)
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def gradient_ratio(model, z) -> float:
    """Norm of G's gradient under the model's own loss over that under equation (1).

    1 for the non-saturating loss by definition, whose gradient this can't judge; near 0
    where the saturating one vanishes.
    """
    if model.generator_loss_name == "non_saturating":
        return 1.0
    norms = model.generator_gradient_norms(z)
    # Both are zero where tanh itself has saturated, or float16 has underflown.
    non_saturating = norms["non_saturating"]
    return norms[model.generator_loss_name] / non_saturating if non_saturating else 0.0


def pinned_message(accuracy):
    return (
        f"the discriminator tells {accuracy:.1%} of the images right, so the generator has"
        " nothing to go by (section 4.2); dropout in the discriminator or a lower learning"
        " rate may help"
    )


def vanished_message(ratio):
    return (
        f"the generator's gradient has vanished: {ratio:.2%} of what the non-saturating loss"
        " would give (section 4.2); use --generator-loss non_saturating"
    )


def mode_message(share):
    return (
        f"mode collapse: the samples vary {share:.0%} as much as the data; dropout in the"
        " discriminator remedied it in the paper (section 4.2)"
    )


def posterior_message(kl):
    return (
        f"posterior collapse: the latents carry {kl:.2f} nats, so the decoder ignores them;"
        " a smaller --beta may help"
    )


def _diversity(images) -> float:
    """Variance over the images as a share of their mean square, both summed over pixels.

    A share, so that pale images, which every model draws at first, are not taken for
    images that are all alike. In [0, 1]; 0 for one image repeated.
    """
    pixels = images.astype(np.float32) / 255
    energy = np.square(pixels).mean(axis=0).sum()
    return float(pixels.var(axis=0).sum() / energy) if energy else 0.0

"""The variational autoencoder: an encoder q(z|x) and a decoder p(x|z)."""

import functools
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae import equations
from keras_ganvae.distributed.batch import ReplicaBatch
from keras_ganvae.equations import Tensor
from keras_ganvae.models.base import GenerativeModel


@keras.saving.register_keras_serializable("keras_ganvae")
class VariationalAutoencoder(GenerativeModel):
    """A VAE that minimizes equation (3), whose two terms are equations (4) and (5).

    Args:
        encoder: pixels (B, H, W, C) -> (B, 2 J), mean and log-variance of q(z|x) concatenated.
        decoder: z (B, J) -> logits (B, H, W, C) of p(x|z).
        beta: weight of the KL term; 1 as in the paper.
        binarization: how pixels are binarized before the model sees them: "stochastic" (a
            Bernoulli sample in each step), "threshold" (rounded, as in the paper) or "none"
            (equation (4) is then a cross-entropy, not a likelihood).
        contrast: factor on the logits of decoded images; 1 decodes to the means of p(x|z).
            The loss does not use it. `training/contrast.py` fits it.
        seed: random seed of the noise that training and validation draw.
    """

    kind = "variational"
    network_names = ("encoder", "decoder")
    optimizer_names = ("optimizer",)
    logged_names = ("loss", "reconstruction", "kl")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        beta: float = 1.0,
        binarization: str = "stochastic",
        contrast: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.beta = beta
        self.binarization = binarization
        self.contrast = contrast
        self.built = True  # both networks are

    def compile(self, optimizer: keras.optimizers.Optimizer, **kwargs: Any) -> None:
        """Set the optimizer; other arguments are those of `keras.Model`."""
        super().compile(optimizer=optimizer, auto_scale_loss=False, **kwargs)
        self._build_optimizers()

    @property
    def latent_dim(self) -> int:
        return self.decoder.input_shape[-1]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.decoder.output_shape[1:]

    def encode(self, images: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Binarized pixels (B, H, W, C) -> mean and log-variance of q(z|x), (B, J) each."""
        # float32 at any precision of the networks, as the KL has an exponential.
        return ops.split(ops.cast(self.encoder(images, training=training), "float32"), 2, axis=-1)

    def logits(self, latents: Tensor, training: bool = False) -> Tensor:
        """z (B, J) -> float32 logits (B, H, W, C) of p(x|z)."""
        return ops.cast(self.decoder(latents, training=training), "float32")

    def decode(self, latents: Tensor) -> Tensor:
        """z (B, J) -> float32 images (B, H, W, C) in [0, 1]: means of p(x|z) at contrast 1."""
        return ops.sigmoid(self.contrast * self.logits(latents))

    def call(self, images, training=False):
        """Reconstruct images (B, H, W, C) in [0, 1] from the means of q(z|x)."""
        mean, _ = self.encode(images)
        return self.decode(mean)

    def binarize(self, images: Tensor, seed: keras.random.SeedGenerator | None) -> Tensor:
        """Binarize images in [0, 1] as the model's `binarization` says.

        Args:
            images: (B, H, W, C).
            seed: used by "stochastic" only.
        """
        return self._binarized(images, lambda: keras.random.uniform(ops.shape(images), seed=seed))

    def _binarized(self, images, draw_uniform):
        match self.binarization:
            case "stochastic":
                return equations.binarize(images, draw_uniform())
            case "threshold":
                return equations.binarize(images, 0.5)
            case _:
                return images

    def terms(self, x: Tensor, noise: Tensor, training: bool) -> dict[str, Tensor]:
        """The negative ELBO of equation (3) and its two terms, per image.

        Args:
            x: binarized pixels, (B, H, W, C).
            noise: epsilon ~ N(0, I), (B, J).
            training: passed to both networks.

        Returns:
            (B,) float32 by logged name, in nats: `loss` is `reconstruction` + beta `kl`.
        """
        mean, log_var = self.encode(x, training=training)  # (B, J) each
        latents = equations.reparameterize(mean, log_var, noise)  # section 2.2, (B, J)
        logits = self.logits(latents, training=training)  # (B, H, W, C)
        log_likelihood = equations.bernoulli_log_likelihood(x, logits)  # equation (4), (B,)
        kl = ops.sum(equations.gaussian_kl(mean, log_var), axis=-1)  # equation (5), (B,)
        return {
            "loss": equations.negative_elbo(log_likelihood, kl, self.beta),  # equation (3), (B,)
            "reconstruction": -log_likelihood,
            "kl": kl,
        }

    def train_step(self, data: Tensor) -> dict[str, Tensor]:
        """Update both networks once, on the mean of equation (3) over the batch.

        Args:
            data: images (B, H, W, C) in [0, 1]; see `ReplicaBatch.of`.

        Returns:
            Scalar means of the epoch so far, by logged name.
        """
        batch = ReplicaBatch.of(data)
        x, noise = self._inputs(batch, self.noise_seed)
        (weights,) = self._weights_by_optimizer()
        with tf.GradientTape() as tape:
            terms = self.terms(x, noise, training=True)
            loss = self.optimizer.scale_loss(batch.mean(terms["loss"]))
        sums = self._apply_gradients(batch, [tape.gradient(loss, weights)], terms)
        return self._log(batch, sums)

    def test_step(self, data: Tensor) -> dict[str, Tensor]:
        """Like `train_step`, without an update."""
        batch = ReplicaBatch.of(data)
        x, noise = self._inputs(batch, self.validation_noise_seed)
        terms = self.terms(x, noise, training=False)
        return self._log(batch, batch.all_reduce(self._sums(terms)))

    def _weights_by_optimizer(self):
        return [self.trainable_variables]

    def _inputs(self, batch, seed):
        """Binarized pixels (B, H, W, C) and epsilon ~ N(0, I), (B, J)."""
        uniform = functools.partial(batch.uniform, self.image_shape, seed)
        x = self._binarized(batch.images, uniform)
        return x, batch.normal((self.latent_dim,), seed)

    def get_config(self):
        return super().get_config() | {
            "beta": self.beta,
            "binarization": self.binarization,
            "contrast": self.contrast,
        }

    @classmethod
    def from_config(cls, config):
        # Files saved by 0.1.0 have the British spelling.
        if "binarisation" in config:
            config["binarization"] = config.pop("binarisation")
        return super().from_config(config)

"""The variational autoencoder: an encoder q(z|x), a decoder p(x|z), and their ELBO."""

import functools

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae import equations
from keras_ganvae.distributed.batch import Share, leave_sums_to_share
from keras_ganvae.models.base import GenerativeModel, GlobalMean


@keras.saving.register_keras_serializable("keras_ganvae")
class VariationalAutoencoder(GenerativeModel):
    """A VAE trained on equation (3), with (4) and (5) as its two terms.

    Args:
        encoder: pixels (B, H, W, C) -> (B, 2 J), the mean and the log-variance of
            q(z|x) side by side.
        decoder: z (B, J) -> logits (B, H, W, C) of p(x|z).
        beta: weight of the KL in the loss; 1 is the paper's.
        binarization: what the pixels are before both networks see them: "stochastic"
            (a fresh Bernoulli draw each time), "threshold" (rounded, the paper's) or
            "none" (then equation (4) is a cross-entropy, not a likelihood).
        seed: of the noise that training and validation draw.

    Attributes:
        contrast: factor on the logits of the images that `decode` makes, 1 for the means of
            p(x|z); the loss never sees it. `training/contrast.py` fits it.
    """

    kind = "variational"
    network_names = ("encoder", "decoder")
    optimizer_names = ("optimizer",)

    def __init__(
        self,
        encoder,
        decoder,
        *,
        beta=1.0,
        binarization="stochastic",
        contrast=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.beta = beta
        self.binarization = binarization
        self.contrast = contrast
        self.means = [GlobalMean(name) for name in ("loss", "reconstruction", "kl")]
        self.built = True  # both networks are

    def compile(self, optimizer, **kwargs):
        """Take the one optimizer, built at once so that its state can be restored."""
        super().compile(optimizer=optimizer, auto_scale_loss=False, **kwargs)
        self.optimizer.build(self.trainable_variables)
        leave_sums_to_share(self.optimizer)

    @property
    def latent_dim(self):
        return self.decoder.input_shape[-1]

    @property
    def image_shape(self):
        return self.decoder.output_shape[1:]

    def encode(self, images, training=False):
        """Pixels (B, H, W, C) as the likelihood sees them -> mean, log-variance, (B, J) each."""
        # Float32 whatever the precision of the networks: the KL has an exponential.
        return ops.split(ops.cast(self.encoder(images, training=training), "float32"), 2, axis=-1)

    def logits(self, latents, training=False):
        """z (B, J) -> float32 logits (B, H, W, C) of p(x|z)."""
        return ops.cast(self.decoder(latents, training=training), "float32")

    def decode(self, latents):
        """z (B, J) -> images (B, H, W, C) in [0, 1], the means of p(x|z) at contrast 1."""
        return ops.sigmoid(self.contrast * self.logits(latents))

    def call(self, images, training=False):
        """Reconstruction through the posterior's mean: images -> images in [0, 1]."""
        mean, _ = self.encode(images)
        return self.decode(mean)

    def binarize(self, images, seed):
        """Images in [0, 1] as the likelihood sees them, by the model's binarization."""
        return self._binarized(images, lambda: keras.random.uniform(ops.shape(images), seed=seed))

    def _binarized(self, images, draw_uniform):
        match self.binarization:
            case "stochastic":
                return equations.binarize(images, draw_uniform())
            case "threshold":
                return equations.binarize(images, 0.5)
            case _:
                return images

    def terms(self, x, noise, training):
        """The negative ELBO of equation (3) and its two parts, image by image.

        Args:
            x: pixels as the likelihood sees them, (B, H, W, C).
            noise: epsilon ~ N(0, I), (B, J).

        Returns:
            dict of (B,) under the logged names, nats per image; `loss` is
            reconstruction + beta kl.
        """
        mean, log_var = self.encode(x, training=training)
        latents = equations.reparameterize(mean, log_var, noise)
        logits = self.logits(latents, training=training)
        log_likelihood = equations.bernoulli_log_likelihood(x, logits)
        kl = ops.sum(equations.gaussian_kl(mean, log_var), axis=-1)
        return {
            "loss": equations.negative_elbo(log_likelihood, kl, self.beta),
            "reconstruction": -log_likelihood,
            "kl": kl,
        }

    def train_step(self, batch):
        share = Share(batch)
        x, noise = self._draw(share, self.noise_seed)
        with tf.GradientTape() as tape:
            terms = self.terms(x, noise, training=True)
            loss = self.optimizer.scale_loss(share.mean(terms["loss"]))
        weights = self.trainable_variables
        move = (self.optimizer, tape.gradient(loss, weights), weights)
        return self._log(self._move(share, terms, [move]), share)

    def test_step(self, batch):
        share = Share(batch)
        x, noise = self._draw(share, self.validation_noise_seed)
        terms = self.terms(x, noise, training=False)
        return self._log(share.sums(self._totals(terms)), share)

    def _draw(self, share, seed):
        uniform = functools.partial(share.uniform, self.image_shape, seed)
        x = self._binarized(share.images, uniform)
        return x, share.normal((self.latent_dim,), seed)

    def get_config(self):
        return super().get_config() | {
            "beta": self.beta,
            "binarization": self.binarization,
            "contrast": self.contrast,
        }

    @classmethod
    def from_config(cls, config):
        # Files saved by 0.1.0 before the setting had its present spelling.
        if "binarisation" in config:
            config["binarization"] = config.pop("binarisation")
        return super().from_config(config)

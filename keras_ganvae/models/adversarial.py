"""The generative adversarial network: a generator G and a discriminator D."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae import equations
from keras_ganvae.distributed.batch import ReplicaBatch
from keras_ganvae.equations import Tensor
from keras_ganvae.models.base import GenerativeModel

# R1 is computed for every nth real image: per image it costs as much as the rest of D's step.
PENALTY_EVERY = 4


@keras.saving.register_keras_serializable("keras_ganvae")
class AdversarialNetwork(GenerativeModel):
    """A GAN: G minimizes equation (1) or (6), D minimizes equation (2) plus R1.

    Both are updated in the same step, from one forward pass of G and one of D on each of the
    real and the generated batch. So D's update never touches G's batch-norm statistics, and
    G's update never D's. Losses are those of G itself; images are sampled from its EMA.

    Args:
        generator: z (B, J) -> images (B, H, W, C) in [0, 1].
        discriminator: images (B, H, W, C) in [0, 1] -> logits (B, 1).
        generator_loss: a key of `equations.GENERATOR_LOSSES`.
        gradient_penalty: gamma of R1, for images in [0, 1]; 0 turns it off. The logged
            `discriminator_loss` does not include R1.
        average_decay: decay of the EMA of G's weights; 0 turns the EMA off.
        seed: random seed of the noise that training and validation draw.
    """

    kind = "adversarial"
    network_names = ("generator", "discriminator")
    optimizer_names = ("generator_optimizer", "discriminator_optimizer")
    logged_names = (
        "generator_loss",
        "discriminator_loss",
        "real_accuracy",
        "fake_accuracy",
        "accuracy",
    )

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        generator_loss: str = "non_saturating",
        gradient_penalty: float = 0.0,
        average_decay: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.generator = generator
        self.discriminator = discriminator
        self.generator_loss_name = generator_loss
        self.gradient_penalty = gradient_penalty
        self.average_decay = average_decay
        self.averaged_generator = _frozen_copy(generator) if average_decay else None
        self.built = True  # both networks are

    @property
    def generator_optimizer(self) -> keras.optimizers.Optimizer:
        return self.optimizer  # Keras's callbacks look for this name

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        **kwargs: Any,
    ) -> None:
        """Set an optimizer for each network; other arguments are those of `keras.Model`."""
        # train_step scales each loss with its own optimizer.
        super().compile(optimizer=generator_optimizer, auto_scale_loss=False, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        self._build_optimizers()

    @property
    def latent_dim(self) -> int:
        return self.generator.input_shape[-1]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.generator.output_shape[1:]

    @property
    def sampling_generator(self) -> keras.Model:
        """The network that images are sampled from: G's EMA if there is one, else G."""
        return self.averaged_generator or self.generator

    def decode(self, latents: Tensor) -> Tensor:
        """z (B, J) -> float32 images (B, H, W, C) in [0, 1]."""
        return ops.cast(self.sampling_generator(latents, training=False), "float32")

    def call(self, latents, training=False):
        """The same as `decode`."""
        return self.decode(latents)

    def terms(self, real: Tensor, fake: Tensor, training: bool) -> dict[str, Tensor]:
        """Losses of equations (1) or (6) and (2), and D's accuracies, per image.

        Args:
            real: images of the data set, (B, H, W, C) in [0, 1].
            fake: images G(z), (B, H, W, C) in [0, 1].
            training: whether D uses dropout and batch statistics.

        Returns:
            (B,) float32 by logged name: losses in nats; accuracies 0 or 1, `accuracy` being
            the mean of the other two.
        """
        # float32 at any precision of the networks.
        real_logits = ops.cast(self.discriminator(real, training=training), "float32")  # (B, 1)
        fake_logits = ops.cast(self.discriminator(fake, training=training), "float32")  # (B, 1)
        real_accuracy = ops.cast(real_logits[:, 0] > 0, "float32")  # (B,)
        fake_accuracy = ops.cast(fake_logits[:, 0] <= 0, "float32")  # (B,)
        return {
            "generator_loss": equations.GENERATOR_LOSSES[self.generator_loss_name](fake_logits),
            "discriminator_loss": equations.discriminator_loss(real_logits, fake_logits),
            "real_accuracy": real_accuracy,
            "fake_accuracy": fake_accuracy,
            "accuracy": (real_accuracy + fake_accuracy) / 2,
        }

    def train_step(self, data: Tensor) -> dict[str, Tensor]:
        """Update G and D once, simultaneously, and G's EMA.

        Args:
            data: images (B, H, W, C) in [0, 1]; see `ReplicaBatch.of`.

        Returns:
            Scalar means of the epoch so far, by logged name.
        """
        batch = ReplicaBatch.of(data)
        latents = batch.normal((self.latent_dim,), self.noise_seed)  # z ~ N(0, I), (B, J)
        generator_weights, discriminator_weights = self._weights_by_optimizer()
        with tf.GradientTape() as generator_tape:
            fake = self.generator(latents, training=True)  # G(z), (B, H, W, C)
            # Opened after G's forward pass: D's gradient must not be taken through G.
            with tf.GradientTape() as discriminator_tape:
                terms = self.terms(batch.images, fake, training=True)
                # Equation (1) or (6).
                generator_loss = self.optimizer.scale_loss(batch.mean(terms["generator_loss"]))
                # Equation (2), plus R1.
                discriminator_loss = batch.mean(terms["discriminator_loss"])
                if self.gradient_penalty:
                    discriminator_loss += self._mean_penalty(batch)
                discriminator_loss = self.discriminator_optimizer.scale_loss(discriminator_loss)
        gradients = [
            generator_tape.gradient(generator_loss, generator_weights),
            discriminator_tape.gradient(discriminator_loss, discriminator_weights),
        ]
        sums = self._apply_gradients(batch, gradients, terms)
        self._update_ema()
        return self._log(batch, sums)

    def test_step(self, data: Tensor) -> dict[str, Tensor]:
        """Like `train_step`, without an update, dropout or batch statistics."""
        batch = ReplicaBatch.of(data)
        latents = batch.normal((self.latent_dim,), self.validation_noise_seed)
        fake = self.generator(latents, training=False)
        terms = self.terms(batch.images, fake, training=False)
        return self._log(batch, batch.all_reduce(self._sums(terms)))

    def generator_gradient_norms(self, latents: Tensor) -> dict[str, float]:
        """Norm of G's gradient under each of `equations.GENERATOR_LOSSES`, by name.

        Args:
            latents: z (B, J).
        """
        weights = self.generator.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator(latents, training=False)
            logits = ops.cast(self.discriminator(fake, training=False), "float32")
            losses = {
                name: ops.mean(loss(logits)) for name, loss in equations.GENERATOR_LOSSES.items()
            }
        return {
            name: float(tf.linalg.global_norm(tape.gradient(loss, weights)))
            for name, loss in losses.items()
        }

    def _weights_by_optimizer(self):
        return [self.generator.trainable_variables, self.discriminator.trainable_variables]

    def _mean_penalty(self, batch):
        """This replica's term of R1's mean over every `PENALTY_EVERY`th real image, a scalar.

        Without dropout and batch statistics, which would make D depend on more than the image.
        """
        real, total = batch.every(PENALTY_EVERY)
        real = ops.convert_to_tensor(real)
        with tf.GradientTape() as tape:
            tape.watch(real)
            logits = ops.sum(ops.cast(self.discriminator(real, training=False), "float32"))
        gradients = tape.gradient(logits, real)  # grad_x D(x), (B / PENALTY_EVERY, H, W, C)
        penalty = equations.gradient_penalty(gradients, self.gradient_penalty)
        return ops.sum(penalty) / ops.cast(total, "float32")

    def _update_ema(self):
        if self.averaged_generator is None:
            return
        step = ops.cast(self.optimizer.iterations, "float32")
        # A smaller decay at first, to forget the initial weights soon.
        decay = ops.minimum(self.average_decay, (1 + step) / (10 + step))
        weights = zip(self.averaged_generator.weights, self.generator.weights, strict=True)
        for average, weight in weights:
            average.assign_add((1 - decay) * (weight - average))

    def get_config(self):
        return super().get_config() | {
            "generator_loss": self.generator_loss_name,
            "gradient_penalty": self.gradient_penalty,
            "average_decay": self.average_decay,
        }


def _frozen_copy(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy

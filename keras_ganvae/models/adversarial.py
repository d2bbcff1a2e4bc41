"""The adversarial game: a generator G and a discriminator D, each with its optimizer."""

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae import equations
from keras_ganvae.distributed.batch import Share, leave_sums_to_share
from keras_ganvae.models.base import GenerativeModel, GlobalMean

PENALISED = 4


@keras.saving.register_keras_serializable("keras_ganvae")
class AdversarialNetwork(GenerativeModel):
    """A GAN trained by equations (1) or (6) and (2), both players moving at once.

    One forward pass of G and one of D on each of the two batches, real and generated,
    serve both gradients: D's move can't touch G's batch-norm statistics, nor G's move
    D's. Losses are those of G itself; images are drawn from its moving average.

    D's loss may have R1 added, a penalty on its slope at real images, of which the logged
    loss has nothing. It is taken of every `PENALISED`th image: it asks for as much work on
    each as the rest of D's move does, and needs no more of them.

    Args:
        generator: z (B, latent) -> images (B, H, W, C) in [0, 1].
        discriminator: images (B, H, W, C) in [0, 1] -> logits (B, 1).
        generator_loss: a key of `equations.GENERATOR_LOSSES`.
        gradient_penalty: gamma of `equations.gradient_penalty`, for images in [0, 1]; 0 leaves
            it out.
        average_decay: decay of the moving average of G's weights that images are drawn
            from; 0 draws from G itself.
        seed: of the noise that training and validation draw.
    """

    kind = "adversarial"
    network_names = ("generator", "discriminator")
    optimizer_names = ("generator_optimizer", "discriminator_optimizer")

    def __init__(
        self,
        generator,
        discriminator,
        *,
        generator_loss="non_saturating",
        gradient_penalty=0.0,
        average_decay=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.generator = generator
        self.discriminator = discriminator
        self.generator_loss_name = generator_loss
        self.gradient_penalty = gradient_penalty
        self.average_decay = average_decay
        self.averaged_generator = self._average_of(generator) if average_decay else None
        self.means = [
            GlobalMean(name)
            for name in (
                "generator_loss",
                "discriminator_loss",
                "real_accuracy",
                "fake_accuracy",
                "accuracy",
            )
        ]
        self.built = True  # both networks are

    @property
    def generator_optimizer(self):
        return self.optimizer  # under Keras's own name, so that its callbacks find one

    def compile(self, generator_optimizer, discriminator_optimizer, **kwargs):
        """Give each player its optimizer, built at once so that its state can be restored."""
        # Each optimizer scales its own loss (see train_step), if it scales at all.
        super().compile(optimizer=generator_optimizer, auto_scale_loss=False, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        self.optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        for optimizer in self.optimizers:
            leave_sums_to_share(optimizer)

    @property
    def latent_dim(self):
        return self.generator.input_shape[-1]

    @property
    def image_shape(self):
        return self.generator.output_shape[1:]

    @property
    def sampling_generator(self):
        """The network that images are drawn from: the moving average where there is one."""
        return self.averaged_generator or self.generator

    def decode(self, latents):
        """z (B, latent) -> images (B, H, W, C) in [0, 1]."""
        return ops.cast(self.sampling_generator(latents, training=False), "float32")

    def call(self, latents, training=False):
        return self.decode(latents)

    def terms(self, real, fake, training):
        """Both losses and D's accuracies, equations (1) or (6) and (2), image by image.

        Args:
            real, fake: images (B, H, W, C) in [0, 1], the data's and G's.

        Returns:
            dict of (B,) under their logged names: losses in nats per image, accuracies
            0 or 1 (`accuracy`, of both images of a pair: 0, 1/2 or 1).
        """
        # Losses are float32 whatever the precision of the networks.
        real_logits = ops.cast(self.discriminator(real, training=training), "float32")
        fake_logits = ops.cast(self.discriminator(fake, training=training), "float32")
        real_accuracy = ops.cast(real_logits[:, 0] > 0, "float32")
        fake_accuracy = ops.cast(fake_logits[:, 0] <= 0, "float32")
        return {
            "generator_loss": equations.GENERATOR_LOSSES[self.generator_loss_name](fake_logits),
            "discriminator_loss": equations.discriminator_loss(real_logits, fake_logits),
            "real_accuracy": real_accuracy,
            "fake_accuracy": fake_accuracy,
            "accuracy": (real_accuracy + fake_accuracy) / 2,
        }

    def train_step(self, batch):
        share = Share(batch)
        latents = share.normal((self.latent_dim,), self.noise_seed)
        g_weights = self.generator.trainable_variables
        d_weights = self.discriminator.trainable_variables
        with tf.GradientTape() as g_tape:
            fake = self.generator(latents, training=True)
            # D's tape knows nothing of G: its gradient would go through G too, for nothing,
            # with an exchange between the replicas at each batch-norm.
            with tf.GradientTape() as d_tape:
                terms = self.terms(share.images, fake, training=True)
                g_loss = self.optimizer.scale_loss(share.mean(terms["generator_loss"]))
                d_loss = share.mean(terms["discriminator_loss"])
                if self.gradient_penalty:
                    d_loss += self._penalty(share)
                d_loss = self.discriminator_optimizer.scale_loss(d_loss)
        moves = [
            (self.optimizer, g_tape.gradient(g_loss, g_weights), g_weights),
            (self.discriminator_optimizer, d_tape.gradient(d_loss, d_weights), d_weights),
        ]
        sums = self._move(share, terms, moves)
        self._update_average()
        return self._log(sums, share)

    def _penalty(self, share):
        """This replica's part of R1's mean over every `PENALISED`th image, a scalar.

        Without dropout or statistics of the batch: of D as a function of one image.
        """
        real, total = share.every(PENALISED)
        real = ops.convert_to_tensor(real)
        with tf.GradientTape() as tape:
            tape.watch(real)
            logits = ops.sum(ops.cast(self.discriminator(real, training=False), "float32"))
        penalty = equations.gradient_penalty(tape.gradient(logits, real), self.gradient_penalty)
        return ops.sum(penalty) / ops.cast(total, "float32")

    def test_step(self, batch):
        share = Share(batch)
        latents = share.normal((self.latent_dim,), self.validation_noise_seed)
        fake = self.generator(latents, training=False)
        terms = self.terms(share.images, fake, training=False)
        return self._log(share.sums(self._totals(terms)), share)

    def generator_gradient_norms(self, latents) -> dict:
        """Norm of G's gradient under each loss of `equations.GENERATOR_LOSSES`, by name.

        Args:
            latents: z (B, latent).
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

    @staticmethod
    def _average_of(generator):
        average = keras.models.clone_model(generator)
        average.set_weights(generator.get_weights())
        average.trainable = False
        return average

    def _update_average(self):
        if self.averaged_generator is None:
            return
        step = ops.cast(self.optimizer.iterations, "float32")
        # Short at first, so that the random weights of the start are soon forgotten.
        decay = ops.minimum(self.average_decay, (1 + step) / (10 + step))
        weights = zip(self.averaged_generator.weights, self.generator.weights, strict=True)
        for average, weight in weights:
            average.assign(average + (1 - decay) * (weight - average))

    def get_config(self):
        return super().get_config() | {
            "generator_loss": self.generator_loss_name,
            "gradient_penalty": self.gradient_penalty,
            "average_decay": self.average_decay,
        }

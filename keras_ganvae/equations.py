"""The paper's equations, one pure function each, in the paper's symbols; and R1.

Source, with the numbering used here: Tarun Belani, "Generative Adversarial Network and
Variational Autoencoder Analysis".

    x          an image (H, W, C)              G, D   generator, discriminator
    z          its latents (J,)                q(z|x) encoder, N(mu, diag(sigma^2))
    l          a logit, D = sigmoid(l)         p(x|z) decoder, Bernoulli(sigmoid(l)) per pixel

B is the batch size, J the number of latent dimensions. Every function is

- a loss to minimize: what the paper maximizes is negated;
- per image: the model takes the mean over the batch, which may span several replicas;
- exact at any logit: log D = -softplus(-l) and log(1 - D) = -softplus(l), where
  log(D + epsilon) is an approximation;
- deterministic: noise is an argument.
"""

from typing import Any

from keras import ops

Tensor = Any  # a backend tensor, or an array that Keras converts to one; neither has static types


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Equation (1), the non-saturating generator loss: -log D(G(z)).

    Args:
        fake_logits: D's logits for generated images, (B, 1).

    Returns:
        (B,) in [0, inf), nats per image.
    """
    return ops.squeeze(ops.softplus(-fake_logits), axis=-1)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Equation (2), the discriminator loss: -[log D(x) + log(1 - D(G(z)))].

    Args:
        real_logits: D's logits for real images, (B, 1).
        fake_logits: D's logits for generated images, (B, 1).

    Returns:
        (B,) in [0, inf), nats per pair of images; 2 log 2 at D = 1/2 everywhere.
    """
    return ops.squeeze(ops.softplus(-real_logits) + ops.softplus(fake_logits), axis=-1)


def negative_elbo(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    """Equation (3), the negative ELBO: beta KL(q(z|x) || p(z)) - E_q[log p(x|z)].

    Args:
        log_likelihood: log p(x|z) at one sample z ~ q(z|x), (B,).
        kl: KL(q(z|x) || p(z)), (B,).
        beta: weight of the KL term; at 1, as in the paper, the result bounds -log p(x) from
            above in expectation.

    Returns:
        (B,) nats per image.
    """
    return beta * kl - log_likelihood


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """Equation (4), log p(x|z): sum_i [x_i log y_i + (1 - x_i) log(1 - y_i)], y = sigmoid(l).

    Args:
        x: pixels, (B, ...) in [0, 1]; a true likelihood only where they are 0 or 1.
        logits: l, (B, ...), the shape of x.

    Returns:
        (B,) in (-inf, 0], nats per image: summed over all axes but the first.
    """
    per_pixel = x * logits - ops.softplus(logits)  # algebraically the same, with one softplus
    return ops.sum(per_pixel, axis=range(1, len(logits.shape)))


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """Equation (5), KL(q(z|x) || N(0, I)) per dimension: -(1 + log sigma^2 - mu^2 - sigma^2) / 2.

    Args:
        mean: mu of q(z|x), (B, J).
        log_var: log sigma^2 of q(z|x), (B, J).

    Returns:
        (B, J) in [0, inf), nats; the KL of an image is the sum over J.
    """
    return -0.5 * (1.0 + log_var - ops.square(mean) - ops.exp(log_var))


def saturating_generator_loss(fake_logits: Tensor) -> Tensor:
    """Equation (6), the minimax generator loss: log(1 - D(G(z))).

    Its gradient vanishes where D confidently rejects the generated images (section 4.2).

    Args:
        fake_logits: D's logits for generated images, (B, 1).

    Returns:
        (B,) in (-inf, 0], nats per image.
    """
    return -ops.squeeze(ops.softplus(fake_logits), axis=-1)


GENERATOR_LOSSES = {
    "non_saturating": generator_loss,
    "saturating": saturating_generator_loss,
}


def reparameterize(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """Section 2.2, the reparameterization trick: z = mu + sigma * epsilon.

    Args:
        mean: mu of q(z|x), (B, J).
        log_var: log sigma^2 of q(z|x), (B, J).
        noise: epsilon ~ N(0, I), (B, J).

    Returns:
        z ~ q(z|x), (B, J).
    """
    return mean + ops.exp(0.5 * log_var) * noise


def binarize(x: Tensor, uniform: Tensor) -> Tensor:
    """Section 2.2, binary pixels: 1 where x > uniform, else 0.

    Args:
        x: pixels in [0, 1], of any shape.
        uniform: U[0, 1) of the shape of x for a Bernoulli(x) sample, or the scalar 0.5 to
            round, as the paper does.

    Returns:
        0.0 or 1.0, in the shape and dtype of x.
    """
    return ops.cast(x > uniform, x.dtype)


def gradient_penalty(gradients: Tensor, gamma: float) -> Tensor:
    """R1, not in the paper: gamma / 2 |grad_x D(x)|^2, on logits.

    Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", equation (9).

    Args:
        gradients: of D's logits with respect to real images, (B, H, W, C).
        gamma: weight of the penalty in D's loss.

    Returns:
        (B,) in [0, inf), to be added to equation (2).
    """
    return 0.5 * gamma * ops.sum(ops.square(gradients), axis=(1, 2, 3))

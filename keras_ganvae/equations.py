"""The paper's equations, one pure function each, in the paper's symbols; and R1, of another.

Tarun Belani, "Generative Adversarial Network and Variational Autoencoder Analysis";
the numbers are the paper's. All probabilities come in as logits l, D = sigmoid(l):
log D = -softplus(-l) and log(1 - D) = -softplus(l) are exact at every l, where
log(D + epsilon) is not. Noise is an argument, so that no function here is random.

B is the batch, J the number of latent dimensions. Losses are what is minimised: where
the paper maximises, the sign is turned. They come image by image: the mean over the
batch is the model's, because one batch may be spread over many devices.
"""

from keras import ops


def generator_loss(fake_logits):
    """Equation (1), the non-saturating loss, before its mean: -log D(G(z)).

    Args:
        fake_logits: D's logits for generated images, (B, 1).

    Returns:
        (B,) in [0, inf), nats per image.
    """
    return ops.squeeze(ops.softplus(-fake_logits), axis=-1)


def discriminator_loss(real_logits, fake_logits):
    """Equation (2) before its mean: -[log D(x) + log(1 - D(G(z)))].

    Args:
        real_logits: D's logits for real images, (B, 1).
        fake_logits: D's logits for generated images, (B, 1).

    Returns:
        (B,) in [0, inf), nats per pair of images; 2 log 2 when D can't tell.
    """
    return ops.squeeze(ops.softplus(-real_logits) + ops.softplus(fake_logits), axis=-1)


def saturating_generator_loss(fake_logits):
    """Equation (6), which G minimises, before its mean: log(1 - D(G(z))).

    Its gradient vanishes where D is sure that the images are generated (section 4.2).

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


def gradient_penalty(gradients, gamma):
    """R1 of Mescheder et al. 2018 ("Which Training Methods for GANs do actually Converge?"),
    before its mean: gamma / 2 |grad D(x)|^2. Not in the paper.

    Args:
        gradients: of D's logits by the pixels of real images, (B, H, W, C).
        gamma: its weight in D's loss.

    Returns:
        (B,) in [0, inf), added to nats per pair of images.
    """
    return 0.5 * gamma * ops.sum(ops.square(gradients), axis=(1, 2, 3))


def negative_elbo(log_likelihood, kl, beta=1.0):
    """Equation (3), negated: beta KL(q(z|x) || p(z)) - E_q[log p(x|z)].

    Args:
        log_likelihood: log p(x|z) of one draw of z, (B,).
        kl: KL(q(z|x) || p(z)), (B,).
        beta: weight of the KL; 1 is the paper's bound on -log p(x).

    Returns:
        (B,), nats per image.
    """
    return beta * kl - log_likelihood


def bernoulli_log_likelihood(x, logits):
    """Equation (4): sum_i [x_i log y_i + (1 - x_i) log(1 - y_i)], y = sigmoid(logits).

    Args:
        x: pixels, (B, ...) in [0, 1]; a likelihood where they are 0 or 1.
        logits: (B, ...), the shape of x.

    Returns:
        (B,) in (-inf, 0], nats per image: summed over all axes but the first.
    """
    per_pixel = x * logits - ops.softplus(logits)  # the same two terms, one softplus
    return ops.sum(per_pixel, axis=range(1, len(logits.shape)))


def gaussian_kl(mean, log_var):
    """Equation (5), negated, before its sum over j: -(1 + log var - mean^2 - var) / 2.

    Args:
        mean: mu of q(z|x), (B, J).
        log_var: log sigma^2 of q(z|x), (B, J).

    Returns:
        (B, J) in [0, inf), nats; the sum over J is KL(q(z|x) || N(0, I)) per image.
    """
    return -0.5 * (1.0 + log_var - ops.square(mean) - ops.exp(log_var))


def reparameterize(mean, log_var, noise):
    """Section 2.2: z = mu + sigma epsilon, sigma = exp(log sigma^2 / 2).

    Args:
        mean, log_var: of q(z|x), (B, J).
        noise: epsilon ~ N(0, I), (B, J).

    Returns:
        z, (B, J).
    """
    return mean + ops.exp(0.5 * log_var) * noise


def binarize(x, uniform):
    """Section 2.2, pixels collapsed to 0 or 1: 1 where x > uniform.

    Args:
        x: pixels in [0, 1].
        uniform: a threshold (0.5 rounds, as the paper does), or U[0, 1) draws of the
            shape of x (a fresh Bernoulli(x) sample each time).

    Returns:
        The shape of x, 0.0 or 1.0.
    """
    return ops.cast(x > uniform, x.dtype)

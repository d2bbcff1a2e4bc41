"""Pictures of what a finished run has learnt. Each says which prior it was drawn from."""

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.models import latents
from keras_ganvae.plots import images
from keras_ganvae.plots.curves import PANEL, plot_panels
from keras_ganvae.runs.run import Run


def sample(run: Run, count: int, seed: int, out, prior=None) -> str:
    """Draw images from a run and write them.

    Args:
        count: how many.
        seed: the same source, seed and count give the same bytes.
        out: see `images.SAMPLE_FORMATS`; the npz holds `samples`, uint8 (N, H, W, C).
        prior: "normal", "mixture", or None for the run's default.

    Returns:
        One line that says what was drawn.

    Raises:
        InputError: the run, its prior or `out` can't be used.
    """
    write = images.sample_writer(out)
    model, prior = run.model(), run.prior(prior)
    z = prior.sample(count, seed)
    pixels = images.to_uint8(latents.decode(model, z))
    description = f"{count} samples of {_name(run)}, {describe(prior)}, seed {seed}"
    write(out, pixels, description)
    return description


def reconstruct(run: Run, out) -> str:
    """Test images, their reconstructions through the posterior's mean, and samples.

    The panels of the paper's Figures 3 and 4.

    Raises:
        InputError: the run is a GAN, which has no encoder, or can't be read.
    """
    if not run.is_variational:
        raise InputError(f"{run.path} holds a {run.config.arch}, which can't reconstruct")
    images.check_ending(out, ".png")
    model, prior = run.model(), run.prior()
    originals = run.dataset().test.images[:PANEL]
    mean, _ = latents.encode(model, originals, run.config.seed)
    z = prior.sample(PANEL, run.config.seed)
    panels = {
        "ground truth (test images)": originals,
        "reconstruction": images.to_uint8(latents.decode(model, mean)),
        f"samples, {describe(prior)}": images.to_uint8(latents.decode(model, z)),
    }
    plot_panels(out, panels)
    return f"{len(originals)} test images beside their reconstructions by {_name(run)}"


def interpolate(run: Run, out, *, seed=0, prior=None, count=8, steps=12) -> str:
    """Walks between pairs of draws from the prior, one a row; see `walks`."""
    images.check_ending(out, ".png")
    model, prior = run.model(), run.prior(prior)
    z = walks(prior, count, steps, seed)
    description = f"{count} walks between two draws by {_name(run)}, {describe(prior)}, seed {seed}"
    return _save_grid(model, z.reshape(-1, prior.latent_dim), steps, out, description)


def walks(prior, count, steps, seed):
    """Latents on the way between pairs of draws from a prior, float32 (count, steps, J).

    Under N(0, I) the walk follows the great circle, where the draws lie; in a mixture
    it is straight.
    """
    starts, ends = np.split(prior.sample(2 * count, seed), 2)
    between = _great_circle if prior.name == "normal" else _straight
    shares = np.linspace(0, 1, steps, dtype=np.float32)
    return np.stack([between(starts, ends, share) for share in shares], axis=1)


def traverse(run: Run, out, *, seed=0, prior=None, dimensions=10, steps=11) -> str:
    """One latent dimension at a time, the most active first, one a row; see `traversals`."""
    images.check_ending(out, ".png")
    model, prior = run.model(), run.prior(prior)
    chosen, z = traversals(model, prior, dimensions, steps, seed)
    listed = ", ".join(str(j) for j in chosen)
    description = f"dimensions {listed} of {_name(run)}, {describe(prior)}, seed {seed}"
    return _save_grid(model, z.reshape(-1, prior.latent_dim), steps, out, description)


def traversals(model, prior, dimensions, steps, seed):
    """Latents that differ in one dimension: (dimensions, latents (dimensions, steps, J)).

    The most active dimensions come first. Each goes from its 1st to its 99th percentile
    under the prior, the others staying at those of one draw.
    """
    draws = prior.sample(5000, seed)
    chosen = most_active(model, draws)[:dimensions]
    percentiles = np.percentile(draws, np.linspace(1, 99, steps), axis=0)
    z = np.repeat(draws[:1], len(chosen) * steps, axis=0).reshape(len(chosen), steps, -1)
    for row, j in zip(z, chosen, strict=True):
        row[:, j] = percentiles[:, j]
    return chosen, z


def manifold(run: Run, out, *, seed=0, prior=None, side=20) -> str:
    """The plane of the two most active dimensions (the whole latent space if it has two).

    Both axes go through the prior's percentiles; other dimensions stay at the prior's mean.
    """
    images.check_ending(out, ".png")
    model, prior = run.model(), run.prior(prior)
    if prior.latent_dim < 2:
        raise InputError(f"{run.path} has a latent space of one dimension: there is no plane")
    draws = prior.sample(5000, seed)
    across, down = most_active(model, draws)[:2]
    percentiles = np.percentile(draws, np.linspace(1, 99, side), axis=0)
    z = np.repeat(draws.mean(axis=0, keepdims=True), side * side, axis=0)
    z[:, across] = np.tile(percentiles[:, across], side)
    z[:, down] = np.repeat(percentiles[:, down], side)
    description = (
        f"plane of dimensions {across} (across) and {down} (down) of {_name(run)},"
        f" {describe(prior)}"
    )
    return _save_grid(model, z, side, out, description)


def animate(run: Run, out) -> str:
    """A GIF of the fixed-noise grid over the epochs."""
    images.check_ending(out, ".gif")
    frames = images.frames(run.figures)
    if not frames:
        raise InputError(f"{run.figures} holds no samples-*.png to animate")
    images.save_gif(out, frames)
    epochs = len(images.epoch_pictures(run.figures))
    return f"{len(frames)} frames from {epochs} epochs of {_name(run)}, fixed noise from N(0, I)"


def most_active(model, draws, bases=16):
    """Latent dimensions, the one that changes the picture most first.

    The change is the mean squared pixel difference between the 5th and the 95th
    percentile of one dimension, over a few draws for the others.

    Args:
        draws: z from the prior, (N, J).

    Returns:
        int array (J,).
    """
    low, high = np.percentile(draws, [5, 95], axis=0)
    latent_dim = draws.shape[1]
    z = np.repeat(draws[None, :bases], latent_dim, axis=0)  # (J, bases, J)
    j = np.arange(latent_dim)
    ends = []
    for value in (low, high):
        z[j, :, j] = value[:, None]
        ends.append(latents.decode(model, z.reshape(-1, latent_dim)))
    change = ((ends[1] - ends[0]) ** 2).reshape(latent_dim, -1).mean(axis=1)
    return np.argsort(-change, kind="stable")


def describe(prior) -> str:
    """The prior in a few words."""
    if prior.name == "normal":
        return "prior N(0, I)"
    return f"prior: mixture of {prior.components} Gaussians"


def _save_grid(model, z, columns, out, description):
    picture = images.grid(images.to_uint8(latents.decode(model, z)), columns)
    picture = images.captioned(images.enlarge(picture), description)
    images.save_png(out, picture, description)
    return description


def _name(run):
    return f"{run.config.arch} on {run.record['dataset']['name']}"


def _straight(start, end, share):
    return (1 - share) * start + share * end


def _great_circle(start, end, share):
    cosine = (start * end).sum(-1) / np.linalg.norm(start, axis=-1) / np.linalg.norm(end, axis=-1)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]
    if np.any(np.sin(angle) < 1e-3):  # one direction: the circle has no plane
        return _straight(start, end, share)
    return (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)

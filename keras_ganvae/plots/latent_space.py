"""Pictures of what a run has learned: samples, reconstructions, walks, traversals, a plane.

Each function writes one file and returns its description, which names the prior.
"""

from pathlib import Path
from typing import Any

import numpy as np

from keras_ganvae.data.resources import check_images_fit
from keras_ganvae.errors import InputError
from keras_ganvae.models import latents
from keras_ganvae.plots import gif, latent_paths, output
from keras_ganvae.plots.curves import PANEL, plot_panels
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.runs.run import Run


def sample(run: Run, count: int, seed: int, out: str | Path, prior: str | None = None) -> str:
    """Draw images from a run and write them.

    Args:
        run: the run.
        count: number of images.
        seed: random seed; the same run, seed and count give the same bytes.
        out: file or folder, see `output.SAMPLE_FORMATS`. An .npz holds `samples`,
            uint8 (N, H, W, C).
        prior: "normal", "mixture", or None for the run's default.

    Returns:
        The description, one line.

    Raises:
        InputError: the run, its prior or `out` is unusable.
    """
    write = output.sample_writer(out)
    shape = run.record["dataset"]["image_shape"]
    check_images_fit("count", count, shape, run.config.latent_dim)
    model, source = run.model(), run.prior(prior)
    pixels = _decode(model, source.sample(count, seed))
    description = f"{count} samples of {_name(run)}, {source.description}, seed {seed}"
    write(out, pixels, description)
    return description


def reconstruct(run: Run, out: str | Path) -> str:
    """Plot test images, their reconstructions from the posterior mean, and samples.

    The panels of the paper's Figures 3 and 4.

    Args:
        run: a run of a VAE.
        out: a .png file.

    Raises:
        InputError: the run is a GAN, which has no encoder, or is unusable.
    """
    if not run.is_variational:
        raise InputError(f"{run.path} holds a {run.config.arch}, which can't reconstruct")
    output.check_ending(out, ".png")
    model, prior = run.model(), run.prior()
    originals = run.dataset().test.images[:PANEL]
    mean, _ = latents.encode(model, originals, run.config.seed)
    panels = {
        "ground truth (test images)": originals,
        "reconstruction": _decode(model, mean),
        f"samples, {prior.description}": _decode(model, prior.sample(PANEL, run.config.seed)),
    }
    plot_panels(out, panels)
    return f"{len(originals)} test images and their reconstructions by {_name(run)}"


def interpolate(
    run: Run,
    out: str | Path,
    *,
    seed: int = 0,
    prior: str | None = None,
    count: int = 8,
    steps: int = 12,
) -> str:
    """Plot walks between pairs of draws from the prior, one per row; see `latent_paths.walks`.

    Args:
        run: the run.
        out: a .png file.
        seed: random seed of the draws.
        prior: "normal", "mixture", or None for the run's default.
        count: number of walks.
        steps: images per walk.
    """
    output.check_ending(out, ".png")
    model, source = run.model(), run.prior(prior)
    z = latent_paths.walks(source, count, steps, seed)
    description = (
        f"{count} walks between two draws by {_name(run)}, {source.description}, seed {seed}"
    )
    output.write_grid(out, _decode(model, z), description, steps)
    return description


def traverse(
    run: Run,
    out: str | Path,
    *,
    seed: int = 0,
    prior: str | None = None,
    dimensions: int = 10,
    steps: int = 11,
) -> str:
    """Plot one latent dimension per row, the most active first; see `latent_paths.traversals`.

    Args:
        run: the run.
        out: a .png file.
        seed: random seed of the draws.
        prior: "normal", "mixture", or None for the run's default.
        dimensions: number of dimensions, at most.
        steps: images per dimension.
    """
    output.check_ending(out, ".png")
    model, source = run.model(), run.prior(prior)
    chosen, z = latent_paths.traversals(model, source, dimensions, steps, seed)
    listed = ", ".join(map(str, chosen))
    description = f"dimensions {listed} of {_name(run)}, {source.description}, seed {seed}"
    output.write_grid(out, _decode(model, z), description, steps)
    return description


def manifold(
    run: Run, out: str | Path, *, seed: int = 0, prior: str | None = None, side: int = 20
) -> str:
    """Plot the plane of the two most active dimensions; see `latent_paths.plane`.

    Args:
        run: a run with at least two latent dimensions.
        out: a .png file.
        seed: random seed of the draws.
        prior: "normal", "mixture", or None for the run's default.
        side: images along each axis.

    Raises:
        InputError: the latent space has one dimension, or the run or `out` is unusable.
    """
    output.check_ending(out, ".png")
    model, source = run.model(), run.prior(prior)
    if source.latent_dim < 2:
        raise InputError(f"{run.path} has only one latent dimension; a plane needs two")
    across, down, z = latent_paths.plane(model, source, side, seed)
    description = (
        f"plane of dimensions {across} (across) and {down} (down) of {_name(run)},"
        f" {source.description}"
    )
    output.write_grid(out, _decode(model, z), description, side)
    return description


def animate(run: Run, out: str | Path) -> str:
    """Write a GIF of the fixed-noise grid over the epochs.

    Args:
        run: the run.
        out: a .gif file.

    Raises:
        InputError: the run has no pictures of its epochs.
    """
    output.check_ending(out, ".gif")
    frames = gif.load_frames(run.figures)
    if not frames:
        raise InputError(f"{run.figures} holds no samples-*.png to animate")
    gif.save_gif(out, frames)
    epochs = len(gif.epoch_pictures(run.figures))
    return f"{len(frames)} frames from {epochs} epochs of {_name(run)}, fixed noise from N(0, I)"


def _decode(model: Any, z: np.ndarray) -> np.ndarray:
    """uint8 images of latents (..., J)."""
    return to_uint8(latents.decode(model, z.reshape(-1, z.shape[-1])))


def _name(run: Run) -> str:
    progress = run.progress()
    name = f"{run.config.arch} on {run.record['dataset']['name']}"
    return f"{name} ({progress})" if progress else name

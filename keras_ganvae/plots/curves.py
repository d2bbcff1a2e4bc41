"""The paper's figures: GAN losses and accuracies (2), panels of images (3, 4), ELBO terms (5)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator

from keras_ganvae.config import TrainConfig
from keras_ganvae.files import replacing
from keras_ganvae.plots.images import grid

# Distinct in print and for colour-blind readers (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73")

PANEL = 40  # images per panel

GENERATOR_EQUATION = {"non_saturating": "(1)", "saturating": "(6)"}
# Logged name -> label in the legend.
ACCURACIES = {"real_accuracy": "real", "fake_accuracy": "generated", "accuracy": "both"}
ELBO_TERMS = {
    "loss": "total, equation (3)",
    "reconstruction": "reconstruction, equation (4)",
    "kl": "KL, equation (5)",
}


def plot_run(
    figures: Path, rows: Sequence[Mapping], config: TrainConfig, is_variational: bool
) -> None:
    """Redraw loss.png, and for a GAN accuracy.png.

    Args:
        figures: the run's folder of figures.
        rows: rows of history.csv, at least one.
        config: the run's settings.
        is_variational: whether the run is a VAE.
    """
    loss, unit = figures / "loss.png", "nats per image"
    if is_variational:
        plot_history(loss, rows, ELBO_TERMS, unit, f"{config.arch}: negative ELBO")
        return
    assert config.generator_loss, "set for every GAN by its preset"
    losses = {
        "generator_loss": f"generator, equation {GENERATOR_EQUATION[config.generator_loss]}",
        "discriminator_loss": "discriminator, equation (2)",
    }
    plot_history(loss, rows, losses, unit, f"{config.arch}: losses")
    title = f"{config.arch}: discriminator accuracy"
    plot_history(figures / "accuracy.png", rows, ACCURACIES, "accuracy", title)


def plot_history(
    path: str | Path, rows: Sequence[Mapping], names: Mapping[str, str], ylabel: str, title: str
) -> None:
    """Plot logged values over the epochs; validation values are dashed.

    Args:
        path: the PNG file.
        rows: rows of history.csv, at least one.
        names: logged name -> label in the legend.
        ylabel: label of the y axis.
        title: title of the figure.
    """
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) == 1 else None
    for colour, (name, label) in zip(COLOURS, names.items(), strict=False):
        axes.plot(epochs, [row[name] for row in rows], color=colour, label=label, marker=marker)
        if f"val_{name}" in rows[0]:
            validation = [row[f"val_{name}"] for row in rows]
            axes.plot(epochs, validation, color=colour, linestyle="--", linewidth=1, marker=marker)
    axes.set(xlabel="epoch", ylabel=ylabel, title=title)
    whole_epochs = AutoLocator()
    whole_epochs.set_params(integer=True)
    axes.xaxis.set_major_locator(whole_epochs)
    axes.plot([], [], color="grey", linestyle="--", linewidth=1, label="validation")
    axes.legend(frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def plot_panels(path: str | Path, panels: Mapping[str, np.ndarray], columns: int = 8) -> None:
    """Plot grids of images side by side (Figures 3 and 4).

    Args:
        path: the PNG file.
        panels: title -> uint8 images (N, H, W, C).
        columns: images per row of a grid.
    """
    rows = math.ceil(max(len(images) for images in panels.values()) / columns)
    size = (3.2 * len(panels), 3.2 * rows / columns + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    for axes, (title, images) in zip(
        np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        axes.imshow(grid(images, columns).squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize="medium")
        axes.axis("off")
    _save(figure, path)


def _save(figure: Figure, path: str | Path) -> None:
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)

"""The paper's plots: Figure 2 (GAN losses and accuracies), Figure 5 (ELBO terms), panels."""

import math

import numpy as np
from matplotlib.figure import Figure

from keras_ganvae.files import replacing
from keras_ganvae.plots.images import grid

# Colours that stay apart in print and for the colour-blind (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73")

PANEL = 40  # images in a panel of reconstructions

GENERATOR_EQUATION = {"non_saturating": "(1)", "saturating": "(6)"}
ACCURACIES = {"real_accuracy": "real", "fake_accuracy": "generated", "accuracy": "both"}
ELBO_TERMS = {
    "loss": "total, equation (3)",
    "reconstruction": "reconstruction, equation (4)",
    "kl": "KL, equation (5)",
}


def plot_history(path, rows, names, ylabel, title):
    """One line a name over the epochs; validation dashed where the rows have it.

    Args:
        rows: dicts with `epoch` and the logged names, as in history.csv.
        names: logged name -> label.
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
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.plot([], [], color="grey", linestyle="--", linewidth=1, label="validation")
    axes.legend(frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)


def plot_panels(path, panels, columns=8):
    """Grids of uint8 images side by side, each under its title (Figures 3 and 4)."""
    rows = math.ceil(max(len(images) for images in panels.values()) / columns)
    size = (3.2 * len(panels), 3.2 * rows / columns + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    for axes, (title, images) in zip(
        np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        axes.imshow(grid(images, columns).squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize="medium")
        axes.axis("off")
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)


def plot_run(figures, rows, config, is_variational):
    """Redraw loss.png, and accuracy.png for a GAN, from the rows of history.csv."""
    loss, unit = figures / "loss.png", "nats per image"
    if is_variational:
        plot_history(loss, rows, ELBO_TERMS, unit, f"{config.arch}: negative ELBO")
        return
    losses = {
        "generator_loss": f"generator, equation {GENERATOR_EQUATION[config.generator_loss]}",
        "discriminator_loss": "discriminator, equation (2)",
    }
    plot_history(loss, rows, losses, unit, f"{config.arch}: losses")
    accuracy, unit = figures / "accuracy.png", "share told right"
    plot_history(accuracy, rows, ACCURACIES, unit, f"{config.arch}: discriminator accuracy")

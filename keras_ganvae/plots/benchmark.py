"""The plot of a benchmark: size, latency and image quality of each model file of a bundle."""

import io
import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from keras_ganvae.files import replacing

OFFSETS = (9, -9, 36, -36, 63)  # of a label from its point, in order of preference; 1/72 inch
POINT_RADIUS = 8  # pixels
PALETTE = 48  # colours, enough for smooth letters and the colour bar


def write(path: str | Path, result: dict) -> None:
    """Write the plot as a PNG.

    Args:
        result: the content of benchmark.json.
    """
    image = io.BytesIO()
    figure(result).savefig(image, format="png", dpi=100)
    # A palette takes a quarter of the bytes, and the reference bundles are in the repository.
    with Image.open(image) as opened, replacing(path) as beside:
        opened.convert("RGB").quantize(PALETTE).save(beside, format="png", optimize=True)


def figure(result: dict) -> Figure:
    """A point for each file; the colour is its Fréchet distance, if measured.

    Args:
        result: the content of benchmark.json.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    files = dict(sorted(result["files"].items(), key=lambda item: item[1]["bytes"]))
    sizes = [each["bytes"] / 1000 for each in files.values()]
    times = [each["speed"][0]["p50_ms"] for each in files.values()]
    labels = [name.replace("_", " ") for name in files]
    style: dict[str, Any] = {"s": 140, "edgecolor": "black"}
    if "quality" in result:
        frechet = {name: each["frechet"]["value"] for name, each in result["quality"].items()}
        real = frechet["real images"]
        labels = [
            f"{label}\n{frechet[name]:.3g}" for label, name in zip(labels, files, strict=True)
        ]
        # The colours start at the real images', so that a small difference looks small.
        style |= {"c": [frechet[name] for name in files], "cmap": "viridis_r", "vmin": real}
    points = axes.scatter(sizes, times, **style)
    axes.set(xscale="log", xlabel="size, KB", ylabel="time for one image at one thread, ms (p50)")
    axes.set_xlim(min(sizes) / 1.8, max(sizes) * 1.8)
    axes.set_ylim(0, max(times) * 1.35)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(lambda x, position: _minor_label(x))
    axes.set_title(result["bundle"])
    axes.spines[["top", "right"]].set_visible(False)
    if "quality" in result:
        figure.colorbar(points, label=f"Fréchet distance (real images {real:.2g})")
    _add_labels(axes, labels, list(zip(sizes, times, strict=True)))
    return figure


def _add_labels(axes, labels, points):
    """Put a label above or below each point, clear of other labels and points if possible."""
    axes.figure.draw_without_rendering()  # computes the layout
    taken = [
        Bbox([at - POINT_RADIUS, at + POINT_RADIUS]) for at in axes.transData.transform(points)
    ]
    for label, point in zip(labels, points, strict=True):
        for offset in OFFSETS:
            text = axes.annotate(
                label,
                point,
                xytext=(0, offset),
                textcoords="offset points",
                ha="center",
                va="bottom" if offset > 0 else "top",
                fontsize="small",
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            if offset == OFFSETS[-1] or not box.count_overlaps(taken):
                break
            text.remove()
        taken.append(box)


def _minor_label(x):
    """The text at 200, 500 and the like, between powers of ten; empty elsewhere."""
    leading = round(x / 10 ** math.floor(math.log10(x)))
    return f"{x:,.0f}" if leading in (2, 5) else ""

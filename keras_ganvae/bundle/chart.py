"""The plot of a benchmark: size, latency and quality of each file."""

import io
import math

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from keras_ganvae.files import replacing

OFFSETS = (9, -9, 36, -36, 63)  # of labels from their points; 1/72 inch
COLOURS = 48  # enough for the smooth edges of letters and the scale


def write(path, result: dict):
    """A PNG: a point for each file; its colour is the Fréchet distance, where it was measured.

    Args:
        result: of `benchmark.benchmark`.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    files = dict(sorted(result["files"].items(), key=lambda item: item[1]["bytes"]))
    sizes = [each["bytes"] / 1000 for each in files.values()]
    times = [each["speed"][0]["p50_ms"] for each in files.values()]
    found = result.get("quality")
    colours = [found[name]["frechet"]["value"] for name in files] if found else None
    real = found["real images"]["frechet"]["value"] if found else None
    # From the floor up, so that a small difference does not look like a large one.
    scale = {"c": colours, "cmap": "viridis_r", "vmin": real} if found else {}
    points = axes.scatter(sizes, times, s=140, edgecolor="black", **scale)
    axes.set(xscale="log", xlabel="size, KB", ylabel="time for one image at one thread, ms (p50)")
    axes.set_xlim(min(sizes) / 1.8, max(sizes) * 1.8)
    axes.set_ylim(0, max(times) * 1.35)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(lambda x, position: _minor(x))
    axes.set_title(result["bundle"])
    axes.spines[["top", "right"]].set_visible(False)
    if found:
        figure.colorbar(
            points,
            label=f"Fréchet distance (real images {real:.2g})",
        )
    labels = [name.replace("_", " ") for name in files]
    if found:
        labels = [f"{label}\n{value:.3g}" for label, value in zip(labels, colours, strict=True)]
    _label(axes, labels, list(zip(sizes, times, strict=True)))
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=100)
    # A quarter of the bytes, which every clone of the reference bundles carries.
    with Image.open(whole) as opened, replacing(path) as beside:
        opened.convert("RGB").quantize(COLOURS).save(beside, format="png", optimize=True)


def _label(axes, labels, points):
    """A label at each point, above or below it, where it covers no other label and no point."""
    axes.figure.draw_without_rendering()  # places are known from now on
    radius = 8  # pixels
    taken = [Bbox([at - radius, at + radius]) for at in axes.transData.transform(points)]
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


def _minor(x):
    """Labels of 200 and 500 and the like, between powers of ten."""
    leading = round(x / 10 ** math.floor(math.log10(x)))
    return f"{x:,.0f}" if leading in (2, 5) else ""

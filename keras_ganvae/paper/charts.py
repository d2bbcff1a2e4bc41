"""Charts as inline SVG that take the font, text colour and theme of the page around them.

A series has the colour of the CSS variable --series-0, --series-1, ..., faint lines have
--line, text and axes the colour of the page's text.
"""

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib import ticker
from matplotlib.figure import Figure

from keras_ganvae.plots.curves import COLOURS

# Placeholders for colours of the page, which matplotlib could not parse.
TEXT, FAINT = "#010101", "#020202"
THEME = {TEXT: "currentColor", FAINT: "var(--line)"} | {
    colour.lower(): f"var(--series-{i})" for i, colour in enumerate(COLOURS)
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
}
SIZE = (5.0, 3.1)  # inches: close to a phone's width, where text must stay legible
LOW = (5.0, 1.6)
GRADIENTS = {"non_saturating": "equation (1)", "saturating": "equation (6)"}

History = list[dict]  # rows of history.csv
Limits = tuple[float, float]


def curves(
    identity: str,
    histories: Sequence[History],
    names: Iterable[str],
    *,
    alt: str,
    ylabel: str,
    limits: Limits | None = None,
) -> Markup:
    """Logged values over the epochs: a thin line per run, a thick one for their mean.

    The mean of a validation value is dashed, where it was logged.

    Args:
        identity: makes the ids of the chart unique in the page.
        histories: one history per run.
        names: logged names, in the order of the colours.
        alt: text alternative.
        ylabel: label of the y axis.
        limits: lowest and highest y; None to fit them.
    """

    def draw(axes):
        epochs = [row["epoch"] for row in histories[0]]
        for name, colour in zip(names, COLOURS, strict=False):
            runs = _logged(histories, name)
            if len(runs) > 1:
                for values in runs:
                    _line(axes, epochs, values, colour, linewidth=0.7, alpha=0.4)
            _line(axes, epochs, runs.mean(axis=0), colour, linewidth=1.7)
            if has_validation(histories, name):
                mean = _logged(histories, f"val_{name}").mean(axis=0)
                _line(axes, epochs, mean, colour, linestyle="--", linewidth=1)
        axes.set(xlabel="epoch", ylabel=ylabel, ylim=limits)
        _whole_ticks(axes.xaxis)

    return _svg(identity, alt, draw)


def has_validation(histories: Sequence[History], name: str) -> bool:
    return f"val_{name}" in histories[0][0]


def shared_limits(histories: Sequence[History], names: Iterable[str]) -> Limits | None:
    """Limits of the y axis for several charts of the same values; None if none is finite."""
    keys = [key for name in names for key in (name, f"val_{name}")]
    values = [row[key] for rows in histories for row in rows for key in keys if key in row]
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return None
    margin = 0.05 * (np.ptp(finite) or 1)
    return float(finite.min() - margin), float(finite.max() + margin)


def gradients(identity: str, runs: Sequence[list[dict]], *, alt: str) -> Markup:
    """The norm of G's gradient under both losses over D(G(z)), which falls as D learns.

    Args:
        identity, alt: see `curves`.
        runs: `experiments.generator_gradients` of each run.
    """

    def draw(axes):
        for name, colour in zip(GRADIENTS, COLOURS, strict=False):
            for rows in runs:
                probability = [row["fake_probability"] for row in rows]
                norms = [row[name] for row in rows]
                _line(axes, probability, norms, colour, linewidth=1.2, markersize=2, marker="o")
        axes.set(xlabel="mean D(G(z))", ylabel="norm of G's gradient")
        axes.set_xscale("log", nonpositive="mask")
        axes.set_yscale("log", nonpositive="mask")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(ticker.NullFormatter())
        axes.invert_xaxis()

    return _svg(identity, alt, draw)


def bars(identity: str, values: Sequence[float], *, alt: str, xlabel: str, ylabel: str) -> Markup:
    """Values as bars, the largest first.

    Args:
        identity, alt: see `curves`.
        values: heights of the bars.
        xlabel, ylabel: labels of the axes.
    """

    def draw(axes):
        axes.bar(range(1, len(values) + 1), sorted(values, reverse=True), color=COLOURS[0])
        axes.set(xlabel=xlabel, ylabel=ylabel)
        _whole_ticks(axes.xaxis)
        axes.grid(False, axis="x")

    return _svg(identity, alt, draw, LOW)


def _logged(histories, name):
    return np.array([[row[name] for row in rows] for rows in histories])


def _line(axes, x, y, colour, **style):
    style.setdefault("marker", "o" if len(x) == 1 else None)  # a single point is no line
    axes.plot(x, y, color=colour, **style)


def _whole_ticks(axis):
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def _svg(identity, alt, draw, size=SIZE):
    """A chart as an SVG element for HTML, without metadata, styles and XML namespaces."""
    file = io.StringIO()
    # The salt makes the ids of markers and clip paths unique in the page, yet reproducible.
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": identity}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    found = re.search(r'<svg .*?viewBox="(.*?)".*?</defs>(.*</svg>)', file.getvalue(), re.DOTALL)
    assert found, "matplotlib's SVG has a view box and begins with a style"
    view_box, drawing = found.groups()
    for pattern, replacement in (
        (r'<g id="[^"]*"', "<g"),  # the same in every chart
        (r"xlink:href", "href"),
        (r"font-family:[^;\"]*;? ?", ""),
        (r' (?:d|x|y|transform)="[^"]*"', _rounded),
        (r"#[0-9a-f]{6}\b", lambda match: THEME.get(match[0], match[0])),
        (r"\s+", " "),
        (r"> <", ">\n<"),
    ):
        drawing = re.sub(pattern, replacement, drawing)
    start = '<svg class="chart" role="img" aria-label="{}" viewBox="{}">'
    return Markup(start).format(alt, view_box) + Markup(drawing)


def _rounded(attribute):
    return re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", attribute[0])

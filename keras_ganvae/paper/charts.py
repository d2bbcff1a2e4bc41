"""Charts as SVG elements to stand in a page: they take its font, its text colour and its theme.

A series' colour is the CSS variable --series-0, --series-1, ..., that of faint lines is
--line, that of text and axes the text's own.
"""

import io
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from keras_ganvae.plots.curves import COLOURS

# Stand-ins that are replaced in the SVG, since matplotlib takes nothing but true colours.
TEXT, FAINT = "#010101", "#020202"
THEME = {TEXT: "currentColor", FAINT: "var(--line)"} | {
    colour.lower(): f"var(--series-{i})" for i, colour in enumerate(COLOURS)
}
STYLE = {
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
SIZE = (5.0, 3.1)  # inches; near the width of a phone, so that text keeps its size there
GRADIENTS = {"non_saturating": "equation (1)", "saturating": "equation (6)"}


def curves(identity, histories, names, *, alt, ylabel, limits=None):
    """Logged values over the epochs: thin lines for runs, a thick one for their mean.

    The mean over validation images is dashed, where the histories have it.

    Args:
        identity: a prefix that makes the ids unique in the page.
        histories: rows of history.csv, a list for each run.
        names: logged names, in the order of the colours.
        alt: what the chart shows, for those who can't see it.
        limits: (lowest, highest) of the y axis; None fits them.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": identity}):
        figure, axes = _axes(SIZE)
        for name, colour in zip(names, COLOURS, strict=False):
            _runs(axes, _epochs(histories), _logged(histories, name), colour)
            if has_validation(histories, name):
                mean = _logged(histories, f"val_{name}").mean(axis=0)
                _line(axes, _epochs(histories), mean, colour, linestyle="--", linewidth=1)
        axes.set(xlabel="epoch", ylabel=ylabel, ylim=limits)
        axes.xaxis.get_major_locator().set_params(integer=True)
        return _svg(figure, identity, alt)


def has_validation(histories, name) -> bool:
    return f"val_{name}" in histories[0][0]


def shared_limits(histories, names) -> tuple | None:
    """Limits of the y axis that hold all the values of several charts; None if none is finite."""
    keys = [*names, *(f"val_{name}" for name in names)]
    values = [row[key] for rows in histories for row in rows for key in keys if key in row]
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return None
    margin = 0.05 * (np.ptp(finite) or 1)
    return float(finite.min() - margin), float(finite.max() + margin)


def gradients(identity, runs, *, alt):
    """The norm of G's gradient under both losses over D(G(z)), which falls as D learns.

    Args:
        identity, alt: see `curves`.
        runs: of `experiments.fading_gradient`, one for each seed.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": identity}):
        figure, axes = _axes(SIZE)
        for name, colour in zip(GRADIENTS, COLOURS, strict=False):
            for rows in runs:
                probability = [row["fake_probability"] for row in rows]
                norms = [row[name] for row in rows]
                _line(axes, probability, norms, colour, linewidth=1.2, markersize=2, marker="o")
        axes.set(xlabel="D(G(z)), mean", ylabel="norm of G's gradient")
        axes.set_xscale("log", nonpositive="mask")
        axes.set_yscale("log", nonpositive="mask")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(ticker.NullFormatter())
        axes.invert_xaxis()
        return _svg(figure, identity, alt)


def bars(identity, values, *, alt, ylabel):
    """Values as bars, the largest first.

    Args:
        identity, alt: see `curves`.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": identity}):
        figure, axes = _axes((SIZE[0], 1.6))
        axes.bar(range(1, len(values) + 1), sorted(values, reverse=True), color=COLOURS[0])
        axes.set(xlabel="dimension, by KL", ylabel=ylabel)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(False, axis="x")
        return _svg(figure, identity, alt)


def _axes(size):
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _epochs(histories):
    return [row["epoch"] for row in histories[0]]


def _logged(histories, name):
    return np.array([[row[name] for row in rows] for rows in histories])


def _runs(axes, x, runs, colour):
    if len(runs) > 1:
        for values in runs:
            _line(axes, x, values, colour, linewidth=0.7, alpha=0.4)
    _line(axes, x, runs.mean(axis=0), colour, linewidth=1.7)


def _line(axes, x, y, colour, **style):
    style.setdefault("marker", "o" if len(x) == 1 else None)  # one point makes no line
    axes.plot(x, y, color=colour, **style)


def _svg(figure, identity, alt):
    """The figure as an element, without what an SVG file has and a page has not."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(file.getvalue())
    root.remove(root.find("{*}defs"))  # a style for every element of the page
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = element.tail = element.text if element.tag == "text" else None
        element.attrib = dict(_attributes(element, identity))
    root.tail = "\n"
    root.attrib = {
        "viewBox": root.get("viewBox"),
        "class": "chart",
        "role": "img",
        "aria-label": alt,
    }
    return root


def _attributes(element, identity):
    for name, value in element.attrib.items():
        match name.rpartition("}")[2]:
            case "id" if element.tag == "g":  # nothing refers to groups
                pass
            case "id":
                yield "id", f"{identity}-{value}"
            case "href":
                yield "href", f"#{identity}-{value[1:]}"
            case "clip-path":
                yield "clip-path", value.replace("#", f"#{identity}-")
            case "d":
                yield "d", re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", value)
            case "style":
                yield "style", _themed(value)
            case plain:
                yield plain, value


def _themed(style):
    style = re.sub(r"font-family:[^;]*;? ?", "", style)
    return re.sub(r"#[0-9a-f]{6}", lambda found: THEME.get(found[0], found[0]), style)

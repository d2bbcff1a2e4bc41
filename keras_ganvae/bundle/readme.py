"""The bundle's README.md, rendered from its model card with the templates in `templates/`."""

import html
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER, SAVED_MODEL, C
from keras_ganvae.files import write_text

# Template -> its heading.
INTEGRATIONS = {
    "kotlin": "Android: Kotlin, LiteRT",
    "swift": "iOS: Swift, LiteRT",
    "flutter": "Flutter: tflite_flutter",
    "react_native": "React Native: react-native-fast-tflite",
    "python": "Python: ai-edge-litert",
    "web": "Web: LiteRT.js",
}
# Their packages call no signatures by name: the recipe computes the latent of a seed itself.
WITHOUT_SAMPLER = {"flutter", "react_native"}
USES = {
    "float32": "reference",
    "float16": "phones, GPUs",
    "dynamic_int8": "small downloads",
    "int8": "integer hardware",
    "sampler": "images from seeds",
}
# The metrics that `benchmark` writes to the card -> their column headings.
METRICS = {
    "frechet": "Fréchet",
    "coverage": "Coverage",
    "p50_ms": "ms per image",
    "load_ms": "Load, ms",
    "memory_mb": "Memory, MB",
}
NOT_METRICS = {"epoch", "seconds", "images_per_second"}  # of the last row of history.csv

WIDTH = 80  # columns of prose
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
# A paragraph or list item of plain text, not a table, heading or HTML.
BLOCK = re.compile(
    r"^(- |\d+\. |(?=[A-Za-z\"`]|\*\*))(.+(?:\n(?! *(?:- |\d+\. |[|<#!]|```)).+)*)", re.MULTILINE
)
CODE_SPAN = re.compile(r"`[^`]+`")


def write_with_card(folder: Path, card: dict, others: Iterable[str] = ()) -> None:
    """Write the README of a validated card, and the card, which lists it and `others`.

    Args:
        folder: the bundle.
        others: names of files that were made since the card, or again.
    """
    write_text(folder / cards.README, render(card))
    listed = cards.with_files(card, folder, [*others, cards.README])
    cards.write(folder / cards.NAME, listed)


def render(card: dict) -> str:
    """The README of a validated card, in Markdown."""
    return reflowed(_environment().get_template("readme.md").render(card | _derived(card)))


def _environment():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_ganvae.bundle", "templates"),
        autoescape=True,
        finalize=_escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"one_line": _one_line, "thousands": "{:,}".format}
    return environment


def _escaped(value):
    """Escape HTML but leave quotes, which Markdown text may have."""
    return value if hasattr(value, "__html__") else Markup(html.escape(str(value), quote=False))


def _one_line(value):
    """Text for a code fence: literal, on one line so that it can't close the fence."""
    return Markup(" ".join(str(value).splitlines()))


def _derived(card):
    """What the templates need beyond the keys of the card."""
    height, width, channels = card["image"]["shape"]
    sampler = SAMPLER in card["files"]
    delegate_table, delegate_notes = _delegates(card)
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "colour": channels == 3,
        "mixture": card["latent"]["distribution"] == "mixture",
        "variational": "encoder_parameters" in card["architecture"],
        "sampler": sampler,
        "golden": GOLDEN in card["files"],
        "picture": "samples.png" in card["files"],
        "c_files": {
            name.removeprefix(f"{C}/"): each
            for name, each in card["files"].items()
            if "flash_bytes" in each
        },
        "saved_model": any(name.startswith(f"{SAVED_MODEL}/") for name in card["files"]),
        "integrations": {
            name: heading
            for name, heading in INTEGRATIONS.items()
            if sampler or name in WITHOUT_SAMPLER
        },
        "file_table": _file_table(card),
        "delegate_table": delegate_table,
        "delegate_notes": delegate_notes,
        "signature_table": _signature_table(card),
        "parity_check": _parity_check(card["files"][card["recommended"]["file"]]),
        **_measured(card["metrics"]),
        "final": {
            name: _short(value)
            for name, value in card["training"]["final"].items()
            if name not in NOT_METRICS
        },
    }


def _models(card):
    """The .tflite files, in the order of `cards.MODELS`."""
    return {name: card["files"][name] for name in cards.MODELS if name in card["files"]}


def _file_table(card):
    rows = [("File", "KB", "Weights", "Max. error", "Use")]
    for name, entry in _models(card).items():
        rows.append(
            (
                f"`{name}`",
                f"{entry['bytes'] / 1000:,.0f}",
                entry["weights"],
                _short(entry["parity"]["max_error"]),
                USES.get(entry["variant"], entry["variant"]),
            )
        )
    return table(rows, right=(1, 3))


def _delegates(card):
    """The table of which delegates run each file completely, and its notes."""
    models = _models(card)
    delegates = list(dict.fromkeys(name for each in models.values() for name in each["delegates"]))
    rows: list[Sequence[str]] = [("File", *delegates)]
    notes: dict[str, int] = {}
    for name, entry in models.items():
        answers = [entry["delegates"].get(delegate, "not known") for delegate in delegates]
        cells = [
            answer
            if answer == "whole graph"
            else f"note {notes.setdefault(answer, len(notes) + 1)}"
            for answer in answers
        ]
        rows.append((f"`{name}`", *cells))
    return table(rows), list(notes)


def _signature_table(card):
    rows: list[Sequence[str]] = [("Signature", "Inputs", "Outputs")]
    for name, signature in card["signatures"].items():
        sides = (
            ", ".join(f"`{tensor}` {_shape(spec)}" for tensor, spec in signature[side].items())
            for side in ("inputs", "outputs")
        )
        rows.append((f"`{name}`", *sides))
    return table(rows)


def _shape(spec):
    shape = "x".join(map(str, spec["shape"]))
    return f"[{shape}]" + (" int32" if spec["dtype"] == "int32" else "")


def _measured(metrics):
    """The table of the card's metrics, its columns, and the texts among them."""
    sources = {name: each for name, each in metrics.items() if isinstance(each, dict)}
    numbers = {
        name: {key: each for key, each in found.items() if not isinstance(each, str)}
        for name, found in sources.items()
    }
    present = dict.fromkeys(key for found in numbers.values() for key in found)
    columns = [key for key in METRICS if key in present]
    columns += [key for key in present if key not in METRICS]
    rows = [("Images", *(METRICS.get(key, key) for key in columns))]
    for name, found in numbers.items():
        rows.append((name, *(_short(found.get(key)) for key in columns)))
    notes = [
        (name, text)
        for name, found in sources.items()
        for text in found.values()
        if isinstance(text, str)
    ]
    notes += [(name, _short(each)) for name, each in metrics.items() if name not in sources]
    return {
        "metric_columns": columns,
        "metric_table": table(rows, right=range(1, len(rows[0]))),
        "metric_notes": notes,
    }


def _parity_check(entry):
    """The operands of a Python `assert` that the file's images agree with the golden ones."""
    limits = entry["tolerance"]
    statistic = "max" if "max_error" in limits else "mean"
    error = f"difference.{statistic}()"
    return f"{error} <= {limits[f'{statistic}_error']!r}, {error}"


def _short(value):
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """A Markdown table, its columns padded so that it also reads as plain text.

    Args:
        rows: the cells of each row, the heading first.
        right: indices of the right-aligned columns.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(cells):
        padded = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * (width - 1) + (":" if i in right else "-") for i, width in enumerate(widths)]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def reflowed(text: str) -> str:
    """Markdown with its paragraphs and list items wrapped at `WIDTH` columns.

    Code, tables, headings and HTML stay as they are.
    """
    parts = FENCE.split(text)
    parts[::2] = [BLOCK.sub(_wrapped, part) for part in parts[::2]]
    return "".join(parts)


def _wrapped(block: re.Match) -> str:
    bullet, text = block.groups()
    text = " ".join(text.split())
    # A line break inside a code span could turn "+ b" into a list item.
    unbroken = CODE_SPAN.sub(lambda span: span[0].replace(" ", "\0"), text)
    lines = textwrap.fill(
        unbroken,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,  # file names may have hyphens
    )
    return lines.replace("\0", " ")

"""The bundle's README.md, made from its card: what the files are and how to embed them."""

import re
import textwrap
from importlib import resources

from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER, SAVED_MODEL
from keras_ganvae.files import write_text

# Name, heading, and whether its code calls `sample`, a signature of sampler.tflite. The
# others' packages reach a file's only signature and no more: they draw z themselves.
INTEGRATIONS = {
    "kotlin": ("Android: Kotlin, LiteRT", True),
    "swift": ("iOS: Swift, LiteRT", True),
    "flutter": ("Flutter: tflite_flutter", False),
    "react_native": ("React Native: react-native-fast-tflite", False),
    "python": ("Python: ai-edge-litert", True),
    "web": ("Web: LiteRT.js", True),
}
WHEN = {
    "float32": "as the reference",
    "float16": "on phones and GPUs",
    "dynamic_int8": "where bytes count",
    "int8": "on integer chips",
    "sampler": "to draw by seed",
}
# What `benchmark` measures, as the table heads it.
METRICS = {
    "frechet": "Fréchet",
    "coverage": "Coverage",
    "p50_ms": "ms an image",
    "load_ms": "Load, ms",
    "memory_mb": "Memory, MB",
}
METRICS_MEAN = (
    "Fréchet: the distance of the images from the test images, smaller is better; real images"
    " have one, too. Coverage: the share of the test images with a like one among them."
)
WIDTH = 80  # columns of the text
# Lines in a row that begin with a letter or a bold word: no table, list, heading or HTML.
PARAGRAPH = re.compile(r"(?<=\n\n)(?:(?:[A-Za-z\"`]|\*\*).*\n)*(?:[A-Za-z\"`]|\*\*).*(?=\n\n)")
VALUE = re.compile(r"@([a-z][a-z0-9_]*)@")
CONDITION = re.compile(r"\s*@(if|else|end)(?: ([a-z_]+))?@\s*")


def write(path, card: dict):
    """Write the README of a validated card."""
    write_text(path, render(card))


def render(card: dict) -> str:
    """The README of a validated card, Markdown."""
    values, conditions = _values(card), _conditions(card)
    values["integrations"] = "\n\n".join(
        f"<details>\n<summary>{heading}</summary>\n\n"
        + fill(template(name), values, conditions).strip()
        + "\n\n</details>"
        for name, (heading, samples) in INTEGRATIONS.items()
        if conditions["sampler"] or not samples
    )
    return reflowed(fill(template("readme"), values, conditions))


def template(name) -> str:
    """A file of `integrations/`."""
    folder = resources.files("keras_ganvae.bundle") / "templates"
    return (folder / f"{name}.md").read_text(encoding="utf-8")


def fill(text, values: dict, conditions: dict) -> str:
    """Put `values` for each @name@ and keep the lines whose conditions hold.

    Conditions stand on lines of their own: @if name@, @else@, @end@; they may be nested.

    Raises:
        KeyError: the text asks for what there is not.
    """
    kept, open_ifs = [], []
    for line in text.splitlines(keepends=True):
        mark = CONDITION.fullmatch(line)
        if mark is None:
            if all(open_ifs):
                kept.append(line)
        elif mark[1] == "if":
            open_ifs.append(conditions[mark[2]])
        elif mark[1] == "else":
            open_ifs[-1] = not open_ifs[-1]
        else:
            open_ifs.pop()
    return VALUE.sub(lambda match: str(values[match[1]]), "".join(kept))


def reflowed(text) -> str:
    """Plain paragraphs filled again to `WIDTH` columns; code, tables and lists stay."""
    parts = re.split(r"(^ *```.*?^ *```$)", text, flags=re.DOTALL | re.MULTILINE)
    for i in range(0, len(parts), 2):
        parts[i] = PARAGRAPH.sub(lambda match: _filled(match[0]), parts[i])
    return "".join(parts)


def _filled(text, indent=""):
    # A hyphen may stand in a file's name.
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _conditions(card):
    return {
        "colour": card["image"]["shape"][2] == 3,
        "mixture": card["latent"]["distribution"] == "mixture",
        "variational": "encoder_parameters" in card["architecture"],
        "sampler": SAMPLER in card["files"],
        "saved_model": any(name.startswith(f"{SAVED_MODEL}/") for name in card["files"]),
        "picture": "samples.png" in card["files"],
        "golden": GOLDEN in card["files"],
        "metrics": bool(card["metrics"]),
    }


def _values(card):
    height, width, channels = card["image"]["shape"]
    file = card["recommended"]["file"]
    return {
        "name": card["name"],
        "summary": card["summary"],
        "file": file,
        "resource": file.removesuffix(".tflite"),
        "reason": card["recommended"]["reason"],
        "j": card["latent"]["size"],
        "pairs": -(-card["latent"]["size"] // 2),
        "components": card["latent"].get("components", 1),
        "height": height,
        "width": width,
        "channels": channels,
        "pixels": height * width,
        "numbers": height * width * channels,
        "meaning": card["image"]["meaning"],
        "file_table": _file_table(card),
        "delegate_table": _delegate_table(card),
        "signature_table": _signature_table(card),
        "agrees": _agrees(card["files"][file]),
        "measured": _measured(card["metrics"]),
        "provenance": _provenance(card),
        "command": card["command"],
    }


def _models(card):
    """The .tflite files, in the order of `cards.MODELS`."""
    return {name: card["files"][name] for name in cards.MODELS if name in card["files"]}


def _file_table(card):
    rows = [("File", "KB", "Weights", "Max. error", "Take it")]
    for name, entry in _models(card).items():
        rows.append(
            (
                f"`{name}`",
                f"{entry['bytes'] / 1000:,.0f}",
                entry["weights"],
                _short(entry["parity"]["max_error"]),
                WHEN.get(entry["variant"], entry["variant"]),
            )
        )
    return table(rows, right=(1, 3))


def _delegate_table(card):
    """Which delegates take each file whole; the reasons of the others are numbered below."""
    models = _models(card)
    delegates = list(dict.fromkeys(name for each in models.values() for name in each["delegates"]))
    rows, reasons = [("File", *delegates)], []
    for name, entry in models.items():
        cells = []
        for delegate in delegates:
            answer = entry["delegates"].get(delegate, "not known")
            if answer != "whole graph" and answer not in reasons:
                reasons.append(answer)
            whole = answer == "whole graph"
            cells.append("whole graph" if whole else f"note {reasons.index(answer) + 1}")
        rows.append((f"`{name}`", *cells))
    notes = [_filled(f"{i}. {reason}.", "   ") for i, reason in enumerate(reasons, 1)]
    return "\n".join([table(rows), *(["", *notes] if notes else [])])


def _signature_table(card):
    rows = [("Signature", "In", "Out")]
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
    """A table of the numbers of each source of images, and what was said beside them."""
    sources = {name: each for name, each in metrics.items() if isinstance(each, dict)}
    numbers = {
        name: {key: each for key, each in found.items() if not isinstance(each, str)}
        for name, found in sources.items()
    }
    named = dict.fromkeys(key for found in numbers.values() for key in found)
    keys = [key for key in METRICS if key in named] + [key for key in named if key not in METRICS]
    rows = [("Images of", *(METRICS.get(key, key) for key in keys))]
    for name, found in numbers.items():
        rows.append((name, *(_short(found.get(key)) for key in keys)))
    notes = [
        f"- {name}: {text}"
        for name, found in sources.items()
        for text in found.values()
        if isinstance(text, str)
    ]
    notes += [f"- {name}: {_short(each)}" for name, each in metrics.items() if name not in sources]
    parts = [table(rows, right=range(1, len(rows[0])))] if keys else []
    if "frechet" in named:
        parts.append(_filled(METRICS_MEAN))
    if notes:
        parts.append("\n".join(_filled(note, "  ") for note in notes))
    return "\n\n".join(parts)


def _provenance(card):
    architecture, dataset, training = card["architecture"], card["dataset"], card["training"]
    parameters = f"{architecture['parameters']:,} parameters"
    if "encoder_parameters" in architecture:
        parameters += f" (its encoder {architecture['encoder_parameters']:,} more)"
    final = ", ".join(
        f"{name} {_short(value)}"
        for name, value in training["final"].items()
        if name not in ("epoch", "seconds", "images_per_second")
    )
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    items = (
        f"Network: {architecture['arch']}, preset {architecture['preset']}, {parameters}.",
        f"Data: {dataset['name']}, {dataset['images']:,} training images, fingerprint"
        f" {dataset['fingerprint'][:12]}.",
        f"Training: {training['epochs']} epochs, seed {training['seed']}. Last epoch: {final}.",
        f"Made with {versions}.",
        f"Licence: {card['license']}.",
    )
    return "\n".join(_filled(f"- {item}", "  ") for item in items)


def _agrees(entry):
    """What this file's images must fulfil, as operands of Python's assert, and what failed it."""
    limits = entry["tolerance"]
    statistic = "max" if "max_error" in limits else "mean"
    error = f"difference.{statistic}()"
    return f"{error} <= {limits[f'{statistic}_error']!r}, {error}"


def _short(value):
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def table(rows, right=()) -> str:
    """A Markdown table, its columns padded so that it reads as plain text too.

    Args:
        rows: texts, the heading first.
        right: which columns are numbers.
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

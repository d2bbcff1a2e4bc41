"""Results as lines for a terminal of 80 columns."""

import textwrap

from keras_ganvae.metrics.definitions import LIKELIHOOD, SAMPLES
from keras_ganvae.metrics.formatting import PRIOR_NAMES, format_estimate

COLUMN = 18  # least width of a column: the names and three columns fill 79
HASH_DIGITS = 12


def evaluation_table(result: dict) -> list[str]:
    """The numbers that `evaluate` measured, and their protocol."""
    columns = {PRIOR_NAMES[prior]: found for prior, found in result["samples"].items()}
    columns["real images"] = result["floor"]
    rows = [("", *columns)]
    for key, metric in SAMPLES.items():
        if any(key in column for column in columns.values()):
            rows.append((metric.name, *(_number(column.get(key)) for column in columns.values())))
    lines = _aligned(rows)
    for binarization, found in result.get("likelihood", {}).items():
        rows = [
            (metric.name, _number(found[key]))
            for key, metric in LIKELIHOOD.items()
            if found[key] is not None
        ]
        lines += ["", *_aligned([("nats per image", binarization), *rows])]
    return [*lines, "", *textwrap.wrap(_protocol(result), 79)]


def claims_table(results: dict) -> list[str]:
    """The verdict of each claim that `compare` tested."""
    lines = []
    for claim in results["claims"]:
        text = f"{claim['number']:2}. {claim['verdict']}: {claim['claim']}"
        if "needs" in claim:
            text += f" (needs {claim['needs']})"
        lines += textwrap.wrap(text, 79, subsequent_indent="    ")
    return lines


def _aligned(rows):
    """Rows as lines, each column as wide as its widest cell."""
    _, *columns = zip(*rows, strict=True)
    widths = [max(COLUMN, 1 + max(map(len, column))) for column in columns]
    return [
        f"{name:25}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        for name, *cells in rows
    ]


def _number(found):
    """A value with its standard error, such as 6.62 ± 0.11."""
    if found is None:
        return "-"
    if not isinstance(found, dict):
        return str(found)
    value, error = format_estimate(found["value"], found["error"])
    return value if error is None else f"{value} ± {error}"


def _protocol(result):
    protocol = result["protocol"]
    data, features = protocol["data"], protocol["features"]
    parts = [
        f"{protocol['samples']:,} samples against {data['test']:,} test images of {data['name']}",
        f"{features['dimensions']} {features['name']} features {features['hash'][:HASH_DIGITS]}",
        f"k {protocol['neighbours']}",
        f"seed {protocol['seed']}",
    ]
    if result.get("contrast", 1) != 1:
        parts.append(f"images at contrast {result['contrast']:g}")
    if "likelihood" in result:
        parts.append(
            f"bound: {protocol['importance_samples']:,} samples for each of"
            f" {protocol['bound_images']:,} images"
        )
    return "; ".join(parts) + ". ± is one standard error."

"""A table of metrics: one row per metric, one column per model and prior, the best in bold."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from keras_ganvae.metrics.definitions import Metric, listed

# Label of the model, a note on its errors, the prior (or ""), numbers by metric.
Column = tuple[str, str, str, dict]


@dataclass(frozen=True)
class Row:
    """One metric.

    Args:
        name: its key.
        metric: its definition.
        cells: a {"value", "error"}, a number, or None for each column.
        best: the indices of the best cells.
        floor: the floor's cell; None if there is none.
    """

    name: str
    metric: Metric
    cells: list
    best: set[int]
    floor: dict | None


@dataclass(frozen=True)
class MetricTable:
    """Rows and headings; `prefix` begins the ids of the footnotes."""

    label: str
    prefix: str
    headings: list[tuple[str, str, int]]  # label, note on errors, columns that it spans
    subheadings: list[str]  # one for each column; empty if no column has one
    rows: list[Row]
    has_floor: bool

    @classmethod
    def of(
        cls,
        known: dict[str, Metric],
        columns: Sequence[Column],
        label: str,
        prefix: str,
        floor: dict | None = None,
    ) -> "MetricTable":
        """The table of all metrics that occur in the columns.

        Args:
            known: definitions, in the order of the rows.
            columns: numbers of each model and prior.
            label: text alternative.
            prefix: begins the ids of the footnotes.
            floor: numbers of real images, shown next to the models and never the best.
        """
        metrics = listed(known, [name for *_, numbers in columns for name in numbers])
        headings = [
            (*heading, len(list(group)))
            for heading, group in itertools.groupby(columns, key=lambda column: column[:2])
        ]
        return cls(
            label,
            prefix,
            headings,
            [below for _, _, below, _ in columns] if any(c[2] for c in columns) else [],
            [_row(name, metric, columns, floor) for name, metric in metrics.items()],
            floor is not None,
        )


def _row(name, metric, columns, floor):
    cells = [numbers.get(name) for *_, numbers in columns]
    return Row(name, metric, cells, best(cells, metric.better), (floor or {}).get(name))


def best(cells: Sequence, better: str | None) -> set[int]:
    """The indices of the best cells; empty without a direction or where all are equal.

    Args:
        cells: see `Row`.
        better: "lower", "higher" or None.
    """
    values = {
        i: each["value"] if isinstance(each, dict) else each
        for i, each in enumerate(cells)
        if each is not None
    }
    values = {i: value for i, value in values.items() if value is not None and math.isfinite(value)}
    if better is None or len(set(values.values())) < 2:
        return set()
    extreme = (min if better == "lower" else max)(values.values())
    return {i for i, value in values.items() if value == extreme}

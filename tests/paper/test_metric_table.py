import pytest

from keras_ganvae.metrics import definitions
from keras_ganvae.paper.metric_table import MetricTable, best

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "better", "expected"),
    [
        ([3.5, 4.0, 3.0], "lower", {2}),
        ([3.5, 4.0, 3.0], "higher", {1}),
        ([3.5, 4.0, 3.0], None, set()),
        ([9.0, 10.0, 10.0], "higher", {1, 2}),
        ([NAN, 3.5, 4.0], "lower", {1}),
        ([None, 3.5, 4.0], "lower", {1}),
        ([0.0, 0.0], "higher", set()),
        ([3.5], "lower", set()),
    ],
)
def test_the_best(values, better, expected):
    cells = [None if value is None else {"value": value, "error": None} for value in values]
    assert best(cells, better) == expected
    assert best(values, better) == expected


def _table(*columns, **options):
    return MetricTable.of(definitions.SAMPLES, columns, "metrics", "note", **options)


def test_rows_are_the_metrics_that_occur_in_the_order_of_their_definitions():
    table = _table(("a", "", "", {"new": 1, "modes": 2}), ("b", "", "", {"frechet": 3}))
    assert [row.name for row in table.rows] == ["frechet", "modes", "new"]
    assert [row.cells for row in table.rows] == [[None, 3], [2, None], [1, None]]
    assert table.rows[-1].metric.name == "new"


def test_columns_of_one_model_share_a_heading():
    table = _table(
        ("vae", "1 run", "N(0, I)", {}), ("vae", "1 run", "mixture", {}), ("gan", "", "", {})
    )
    assert table.headings == [("vae", "1 run", 2), ("gan", "", 1)]
    assert table.subheadings == ["N(0, I)", "mixture", ""]
    assert _table(("gan", "", "", {})).subheadings == []


def test_the_floor_is_never_the_best():
    numbers = {"frechet": {"value": 5.0, "error": 0.1}}
    table = _table(("a", "", "", numbers), floor={"frechet": {"value": 1.0, "error": 0.1}})
    assert table.has_floor and table.rows[0].floor["value"] == 1.0 and not table.rows[0].best

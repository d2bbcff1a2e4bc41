import re
from xml.etree import ElementTree

import numpy as np
import pytest

from keras_ganvae.paper import charts
from keras_ganvae.plots.curves import COLOURS

# Two runs of three epochs, with validation for one of the two names.
HISTORIES = [
    [{"epoch": e, "loss": 9.0 - e + i, "kl": float(e), "val_loss": 9.5 - e} for e in (1, 2, 3)]
    for i in (0, 2)
]
GRADIENTS = [
    [{"fake_probability": p, "saturating": p, "non_saturating": 1.0} for p in (0.5, 0.1, 0.01)]
]


def curves(identity="chart", histories=HISTORIES, names=("loss", "kl"), **options):
    return charts.curves(identity, histories, names, alt="words", ylabel="nats", **options)


def bars(identity, values):
    return charts.bars(identity, values, alt="words", xlabel="dimension", ylabel="nats")


def lines(svg, colour):
    """Points of the lines of a series, [(x, y), ...] each, in the SVG's units."""
    paths = [
        each.get("d", "")
        for each in ElementTree.fromstring(svg).iter("path")
        if f"stroke: {colour}" in each.get("style", "") and each.get("clip-path")
    ]
    return [np.array(re.findall(r"[ML] (\S+) (\S+)", path), float) for path in paths]


def test_draws_each_run_and_their_mean():
    first, second, mean, validation = lines(curves(), "var(--series-0)")
    np.testing.assert_allclose(mean, (first + second) / 2, atol=0.11)  # rounded to 0.1
    np.testing.assert_allclose(mean[:, 0], validation[:, 0])
    assert len(lines(curves(), "var(--series-1)")) == 3  # without validation
    # Above in the chart is a smaller y: losses fall, so y grows, in equal steps.
    steps = np.diff(mean[:, 1])
    assert (steps > 0).all()
    np.testing.assert_allclose(steps[0], steps[1], atol=0.21)


def test_one_run_is_its_own_mean():
    assert len(lines(curves(histories=HISTORIES[:1], names=["kl"]), "var(--series-0)")) == 1


def test_one_epoch_is_drawn_as_a_point():
    assert curves(histories=[rows[:1] for rows in HISTORIES]).count("<use") > curves().count("<use")


def test_limits_are_kept():
    low = lines(curves(names=["kl"], limits=(0, 4)), "var(--series-0)")[-1]
    high = lines(curves(names=["kl"], limits=(0, 8)), "var(--series-0)")[-1]
    assert np.ptp(low[:, 1]) == pytest.approx(2 * np.ptp(high[:, 1]), abs=0.3)


def test_shared_limits_hold_all_values_with_validation():
    low, high = charts.shared_limits(HISTORIES, ["loss"])
    assert low == pytest.approx(6 - 0.05 * 4)
    assert high == pytest.approx(10 + 0.05 * 4)


def test_shared_limits_ignore_values_that_are_not_finite():
    rows = [[{"loss": float("nan")}, {"loss": 2.0}, {"loss": float("inf")}]]
    assert charts.shared_limits(rows, ["loss"]) == pytest.approx((1.95, 2.05))
    assert charts.shared_limits([rows[0][:1]], ["loss"]) is None


def test_gradients_fall_to_the_right():
    svg = charts.gradients("gradients", GRADIENTS, alt="words")
    (kept,), (vanishing,) = (lines(svg, f"var(--series-{i})") for i in (0, 1))
    assert (np.diff(vanishing[:, 0]) > 0).all()
    np.testing.assert_allclose(kept[:, 1], kept[0, 1])
    # Log axes: equal ratios are equal steps, and x falls as y does.
    x, y = np.diff(vanishing, axis=0).T
    assert x[1] / x[0] == pytest.approx(np.log(10) / np.log(5), rel=0.02)
    assert y[1] / y[0] == pytest.approx(np.log(10) / np.log(5), rel=0.02)


def test_a_gradient_of_zero_leaves_a_gap():
    rows = [row | {"saturating": 0.0} for row in GRADIENTS[0]]
    svg = charts.gradients("gradients", [rows], alt="words")
    assert not any(map(len, lines(svg, "var(--series-1)")))
    assert all(map(len, lines(svg, "var(--series-0)")))


def test_bars_are_as_high_as_their_values_the_largest_first():
    svg = bars("kl", [1.0, 3.0, 2.0])
    paths = [
        each.get("d")
        for each in ElementTree.fromstring(svg).iter("path")
        if "fill: var(--series-0)" in each.get("style", "")
    ]
    heights = [np.ptp([float(y) for _, y in re.findall(r"[ML] (\S+) (\S+)", d)]) for d in paths]
    np.testing.assert_allclose(heights / heights[0], [1, 2 / 3, 1 / 3], atol=0.01)


@pytest.mark.parametrize(
    "draw",
    [
        curves,
        lambda identity: charts.gradients(identity, GRADIENTS, alt="words"),
        lambda identity: bars(identity, [1.0, 2.0]),
    ],
    ids=["curves", "gradients", "bars"],
)
def test_fits_into_a_page(draw):
    html = draw("one") + draw("two")
    ids = re.findall(r'\bid="(.*?)"', html)
    assert ids and len(ids) == len(set(ids))
    used = re.findall(r'href="#(.*?)"|url\(#(.*?)\)', html)
    assert {first or second for first, second in used} <= set(ids)
    # Colours and font are the page's, and nothing is fetched or dated.
    assert not re.search(r"#[0-9a-f]{6}", html, re.IGNORECASE)
    assert not any(word in html for word in ("font-family", "://", "<style", "<metadata", "xlink"))
    assert html.count('aria-label="words"') == 2


def test_the_same_data_give_the_same_bytes():
    assert curves() == curves()


def test_tick_labels_keep_their_decimals():
    assert {"0.25", "0.50"} <= set(re.findall(r">([\d.]+)</text>", curves(limits=(0.2, 0.55))))


def test_the_text_alternative_is_escaped():
    svg = charts.bars("kl", [1.0], alt='"<b>', xlabel="x", ylabel="y")
    assert ElementTree.fromstring(svg).get("aria-label") == '"<b>'


def test_every_colour_has_its_variable():
    assert {f"var(--series-{i})" for i in range(len(COLOURS))} <= set(charts.THEME.values())

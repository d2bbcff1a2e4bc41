import math

import numpy as np
import pytest
from scipy import stats

from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.spread import Spread, combined, verdict


def test_one_run_keeps_its_own_error():
    spread = Spread.of_runs([Estimate(3.0, 0.5)])
    assert (spread.value, spread.error, spread.freedom) == (3.0, 0.5, math.inf)
    assert spread.uncertainty == pytest.approx(1.959964 * 0.5, rel=1e-6)


def test_several_runs_are_their_mean_with_students_interval():
    values = [1.0, 2.0, 4.0]
    spread = Spread.of_runs([Estimate(value, 100.0) for value in values])
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert spread.value == pytest.approx(np.mean(values))
    assert spread.uncertainty == pytest.approx((high - low) / 2)


def test_a_difference_is_welchs():
    first, second = [5.0, 6.0, 9.0], [1.0, 1.1, 1.3, 1.2]
    difference = Spread.of_runs([Estimate(v, None) for v in first]) - Spread.of_runs(
        [Estimate(v, None) for v in second]
    )
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert difference.value == pytest.approx(np.mean(first) - np.mean(second))
    assert difference.uncertainty == pytest.approx((interval.high - interval.low) / 2)


def test_numbers_shift_a_spread():
    spread = Spread(0.4, 0.1, 2)
    assert (spread - 0.5).value == pytest.approx(-0.1)
    assert (0.5 - spread).value == pytest.approx(0.1)
    assert (0.5 - spread).uncertainty == spread.uncertainty


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (Spread(1.0, 0.1), "holds"),
        (Spread(-1.0, 0.1), "does not hold"),
        (Spread(0.1, 0.1), "undecided"),
        (Spread(1.0, 0.3, 2), "undecided"),  # 4.3 standard errors are needed of three runs
        (Spread(1.0, None), "undecided"),
        (Spread(1.0, 0.0, 2), "holds"),
        (Spread(0.0, 0.0, 2), "undecided"),
    ],
)
def test_verdicts(margin, expected):
    assert verdict(margin) == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["holds", "undecided", "does not hold"], "does not hold"),
    ],
)
def test_a_claim_with_parts(verdicts, expected):
    assert combined(verdicts) == expected

import math

import numpy as np
import pytest
from scipy import stats

from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.statistic import Statistic, combined, verdict


def of_values(*values, error=None):
    return Statistic.of_runs([Estimate(value, error) for value in values])


def test_one_run_keeps_its_error_over_images():
    statistic = of_values(3.0, error=0.5)
    assert (statistic.value, statistic.error) == (3.0, 0.5)
    assert statistic.degrees_of_freedom == math.inf
    assert statistic.uncertainty == pytest.approx(1.959964 * 0.5, rel=1e-6)
    assert statistic.error_over == "images"


def test_several_runs_are_their_mean_with_students_interval():
    values = [1.0, 2.0, 4.0]
    statistic = of_values(*values, error=100.0)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert statistic.value == pytest.approx(np.mean(values))
    assert statistic.uncertainty == pytest.approx((high - low) / 2)
    assert statistic.error_over == "seeds"


def test_a_difference_is_welchs():
    first, second = [5.0, 6.0, 9.0], [1.0, 1.1, 1.3, 1.2]
    difference = of_values(*first) - of_values(*second)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert difference.value == pytest.approx(np.mean(first) - np.mean(second))
    assert difference.uncertainty == pytest.approx((interval.high - interval.low) / 2)


def test_a_difference_names_the_errors_of_both_sides():
    single, several = of_values(3.0, error=0.1), of_values(1.0, 1.1)
    assert (single - several).error_over == "images and seeds"
    assert (single - 1).error_over == "images"
    unknown = single - of_values(2.0)
    assert (unknown.error, unknown.error_over) == (None, None)


def test_a_number_shifts_a_statistic():
    statistic = Statistic(0.4, 0.1, 2)
    assert (statistic - 0.5).value == pytest.approx(-0.1)
    assert (0.5 - statistic).value == pytest.approx(0.1)
    assert (0.5 - statistic).uncertainty == statistic.uncertainty


def test_json_has_no_nan():
    assert Statistic(math.nan, None).to_dict() == {"value": None, "error": None, "error_over": None}


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (Statistic(1.0, 0.1), "holds"),
        (Statistic(-1.0, 0.1), "does not hold"),
        (Statistic(0.1, 0.1), "undecided"),
        (Statistic(1.0, 0.3, 2), "undecided"),  # three runs need 4.3 standard errors
        (Statistic(1.0, None), "undecided"),
        (Statistic(math.nan, 0.1), "undecided"),
        (Statistic(1.0, 0.0, 2), "holds"),
        (Statistic(0.0, 0.0, 2), "undecided"),
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

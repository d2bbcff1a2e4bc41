import json

import numpy as np
import pytest

from keras_ganvae.metrics.estimate import Estimate, bootstrap, of_mean, over_runs


def test_a_mean_and_its_standard_error():
    found = of_mean([1, 2, 3, 6])
    # Squared deviations 4 + 1 + 0 + 9, over 3, over 4.
    assert found == Estimate(3.0, pytest.approx(np.sqrt(14 / 3 / 4)))


def test_a_statistic_that_never_changes_has_no_error():
    assert bootstrap(lambda indices: 2.327902913, size=50, repeats=200, seed=0) == 0


def test_shares_are_means_of_booleans():
    found = of_mean(np.array([True, False, False, True, True]))
    assert found.value == pytest.approx(0.6)
    assert found.error == pytest.approx(np.sqrt(0.6 * 0.4 / 4))


def test_the_error_is_the_spread_of_means():
    draws = np.random.default_rng(0).exponential(size=(2000, 50))
    errors = [of_mean(each).error for each in draws]
    assert np.mean(errors) == pytest.approx(draws.mean(axis=1).std(), rel=0.05)


def test_one_value_has_no_error():
    assert of_mean([2.5]) == Estimate(2.5, None)
    assert over_runs([Estimate(2.5, 0.1)]) == Estimate(2.5, None)


def test_it_becomes_json():
    assert json.loads(json.dumps(of_mean(np.float32([1, 1])).to_dict())) == {
        "value": 1.0,
        "error": 0.0,
    }


def test_runs_are_combined_by_their_values():
    runs = [Estimate(1.0, 9.0), Estimate(3.0, None), Estimate(5.0, 0.0)]
    assert over_runs(runs) == Estimate(3.0, pytest.approx(2 / np.sqrt(3)))


def test_bootstrap_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    error = bootstrap(lambda indices: values[indices].mean(), len(values), 2000, seed=1)
    assert error == pytest.approx(of_mean(values).error, rel=0.05)


def test_bootstrap_draws_with_replacement_from_its_seed():
    drawn = []

    def statistic(indices):
        drawn.append(indices)
        return indices.mean()

    first = bootstrap(statistic, 100, 5, seed=3)
    assert len(drawn) == 5
    assert all(len(each) == 100 and each.min() >= 0 and each.max() < 100 for each in drawn)
    assert all(len(np.unique(each)) < 100 for each in drawn)
    assert first == bootstrap(statistic, 100, 5, seed=3) != bootstrap(statistic, 100, 5, seed=4)

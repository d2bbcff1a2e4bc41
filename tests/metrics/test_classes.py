import numpy as np
import pytest

from keras_ganvae.metrics import classes


def _probabilities(labels, sure=0.9, count=4):
    """Probability `sure` for each label, the rest spread evenly."""
    rows = np.full((len(labels), count), (1 - sure) / (count - 1), np.float32)
    rows[np.arange(len(labels)), labels] = sure
    return rows


def test_samples_balanced_like_the_data():
    data = _probabilities(np.arange(400) % 4)
    found = classes.class_statistics(data, data, seed=0)
    assert found["modes"].value == 4 and found["modes"].error == 0
    assert found["class_kl"].value == 0
    assert found["confidence"].value == pytest.approx(0.9)


def test_a_missing_class_and_a_rare_one():
    data = _probabilities(np.arange(400) % 4)
    drawn = _probabilities(np.repeat([0, 1, 2], [300, 95, 5]))
    found = classes.class_statistics(drawn, data, seed=0)
    assert found["modes"].value == 2, "5 of 400 are under a tenth of 100"
    shares = np.array([300, 95, 5]) / 400
    assert found["class_kl"].value == pytest.approx((shares * np.log(shares / 0.25)).sum())
    assert found["class_kl"].error > 0


def test_a_class_missing_from_the_data():
    data = _probabilities(np.arange(300) % 3)
    drawn = _probabilities(np.arange(400) % 4)
    found = classes.class_statistics(drawn, data, seed=0)
    assert found["modes"].value == 3
    expected = 0.25 * (3 * np.log(0.25 * 3) + np.log(0.25 / classes.MIN_SHARE))
    assert found["class_kl"].value == pytest.approx(expected)

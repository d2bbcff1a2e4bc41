import math

import pytest

from keras_ganvae.metrics.formatting import MINUS, format_estimate, format_number


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (6.6213, 0.1134, ("6.62", "0.11")),
        (1234.5, 41.0, ("1,234", "41")),
        (0.999926, 2.4e-5, ("0.999926", "0.000024")),
        (-0.12, 1.9, (f"{MINUS}0.1", "1.9")),
        (-0.012, 1.9, ("0.0", "1.9")),  # no minus before zero
        (10.0, 0.0, ("10", "0")),
        (3.5, None, ("3.500", None)),
        (3.0, math.inf, ("3", None)),
        (2e-9, 1e-9, ("2.0e\N{MINUS SIGN}09", "1.0e-09")),
        (math.nan, 0.1, ("nan", None)),
    ],
)
def test_two_digits_of_the_error_decide(value, error, expected):
    assert format_estimate(value, error) == expected


def test_a_plain_number_has_four_digits():
    assert format_number(0.123456) == "0.1235"
    assert format_number(60000) == "60,000"

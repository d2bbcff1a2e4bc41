"""How measured numbers are written, on the terminal and in the report."""

import math

MINUS = "\N{MINUS SIGN}"
MOST_PLACES = 6  # decimals; smaller numbers get an exponent

PRIOR_NAMES = {"normal": "N(0, I)", "mixture": "mixture"}


def format_number(value: float) -> str:
    """A number to four significant digits; a whole number without decimals."""
    return format_estimate(value)[0]


def format_estimate(value: float, error: float | None = None) -> tuple[str, str | None]:
    """A number and its error to two significant digits of the error.

    Args:
        value: any float; NaN and infinities are written as such.
        error: its standard error; None or a non-finite one is unknown, and the number is
            written to four significant digits.
    """
    if not math.isfinite(value):
        return str(value), None
    if error is not None and not math.isfinite(error):
        error = None
    if 0 < max(abs(value), error or 0) < 10.0**-MOST_PLACES:
        return _with_minus(f"{value:.1e}"), None if error is None else f"{error:.1e}"
    if error:
        places = _places(error, 2)
        return _fixed(value, places), _fixed(error, places)
    text = _fixed(value, 0 if value == int(value) else _places(value, 4))
    return text, None if error is None else "0"


def _places(value, digits):
    return min(MOST_PLACES, digits - 1 - math.floor(math.log10(abs(value))))


def _fixed(value, places):
    # Adding 0.0 turns -0.0 into 0.0.
    return _with_minus(f"{round(value, places) + 0.0:,.{max(places, 0)}f}")


def _with_minus(text):
    return text.replace("-", MINUS)

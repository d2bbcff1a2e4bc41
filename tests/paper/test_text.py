"""The numbers of a run on a terminal."""

from keras_ganvae.paper.tables import MINUS, written
from keras_ganvae.paper.text import of_run

PROTOCOL = {
    "samples": 200,
    "data": {"test": 150, "name": "mnist"},
    "features": {"dimensions": 128, "name": "digits", "hash": "0123456789abcdef"},
    "neighbours": 5,
    "seed": 0,
}


def _found(value, error):
    return {"grey_share": {"value": value, "error": error}, "modes": {"value": 3, "error": 0}}


def test_long_numbers_stay_apart_and_below_their_names():
    samples = {"normal": _found(0.999926, 2.4e-5), "mixture": _found(0.999132, 9.7e-5)}
    result = {"samples": samples, "floor": _found(0.5, 0.01), "protocol": PROTOCOL}
    head, modes, grey, *_ = of_run(result).splitlines()
    assert "0.999926 ± 0.000024 0.999132 ± 0.000097 " in grey
    assert len(head) == len(modes) == len(grey)
    for name, number in (("N(0, I)", "0.999926 ± 0.000024"), ("mixture", "0.999132 ± 0.000097")):
        assert head.index(name) + len(name) == grey.index(number) + len(number)


def test_short_ones_fit_a_terminal():
    samples = {"normal": _found(0.5, 0.01), "mixture": _found(0.5, 0.01)}
    result = {"samples": samples, "floor": _found(0.5, 0.01), "protocol": PROTOCOL}
    assert max(map(len, of_run(result).splitlines())) == 79


def test_nothing_has_no_minus():
    assert written(-0.012, 1.9) == ("0.0", "1.9")
    assert written(-0.12, 1.9) == (f"{MINUS}0.1", "1.9")

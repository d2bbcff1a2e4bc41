import pytest

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import protocol


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples": 0}, "`samples` must be at least 1, not 0"),
        ({"seed": -1}, "`seed` must be at least 0, not -1"),
        ({"binarize": ("stochastik",)}, "unknown `binarize` .* did you mean 'stochastic'"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(InputError, match=message):
        protocol.Settings(**setting)


def test_different_protocols_are_not_comparable():
    first = {"samples": 10, "seed": 0}
    protocol.check_equal({"a": first, "b": dict(first)})
    with pytest.raises(InputError, match=r"a and c are not .* differ in seed \(0, 1\)"):
        protocol.check_equal({"a": first, "b": first, "c": first | {"seed": 1}})

"""The tables that `evaluate` and `compare` print."""

from keras_ganvae.cli.tables import claims_table, evaluation_table

PROTOCOL = {
    "samples": 200,
    "data": {"test": 150, "name": "mnist"},
    "features": {"dimensions": 128, "name": "digits", "hash": "0123456789abcdef"},
    "neighbours": 5,
    "seed": 0,
}


def _result(normal, mixture):
    def numbers(value, error):
        return {"grey_share": {"value": value, "error": error}, "modes": {"value": 3, "error": 0}}

    samples = {"normal": numbers(*normal), "mixture": numbers(*mixture)}
    return {"samples": samples, "floor": numbers(0.5, 0.01), "protocol": PROTOCOL}


def test_columns_are_as_wide_as_long_numbers_need():
    result = _result((0.999926, 2.4e-5), (0.999132, 9.7e-5))
    head, modes, grey, *_ = evaluation_table(result)
    assert "0.999926 ± 0.000024 0.999132 ± 0.000097 " in grey
    assert len(head) == len(modes) == len(grey)
    for name, number in (("N(0, I)", "0.999926 ± 0.000024"), ("mixture", "0.999132 ± 0.000097")):
        assert head.index(name) + len(name) == grey.index(number) + len(number)


def test_short_numbers_fit_a_terminal():
    table = evaluation_table(_result((0.5, 0.01), (0.5, 0.01)))
    assert max(map(len, table)) == 79


def test_each_claim_has_its_verdict():
    claims = [
        {"number": 1, "verdict": "holds", "claim": "Short."},
        {"number": 10, "verdict": "not tested", "claim": "Long. " * 20, "needs": "a run of vae"},
    ]
    lines = claims_table({"claims": claims})
    assert lines[0] == " 1. holds: Short."
    assert lines[1].startswith("10. not tested: Long.") and "(needs a run" in " ".join(lines)
    assert max(map(len, lines)) <= 79

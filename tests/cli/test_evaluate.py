"""The commands `evaluate` and `compare`."""

import json
import shutil

import pytest

OPTIONS = ("--samples", "150", "--importance-samples", "3", "--bound-images", "8")


@pytest.fixture(scope="module")
def gan(run_of, tmp_path_factory):
    """A copy of a tiny GAN, into whose folder tests may write."""
    return shutil.copytree(run_of("gan").path, tmp_path_factory.mktemp("runs") / "gan")


def test_evaluate_and_compare(gan, tmp_path, command):
    options = (*OPTIONS, "--features", "digits")
    code, out, _ = command("evaluate", gan, "--json", tmp_path / "metrics.json", *options)
    assert code == 0 and "Fréchet distance" in out and max(map(len, out.splitlines())) <= 200
    assert json.loads((tmp_path / "metrics.json").read_text())["arch"] == "gan"
    code, out, _ = command("compare", gan, "--out", tmp_path / "page", *options)
    assert code == 0 and " 1. not tested" in out and (tmp_path / "page/index.html").exists()


def test_metrics_do_not_replace_files_of_the_run(gan, command):
    before = (gan / "config.json").read_bytes()
    code, _, err = command("evaluate", gan, "--json", gan / "config.json")
    assert code == 2 and f"--json {gan / 'config.json'} is part of the run" in err
    assert (gan / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samples", "0"), "--samples must be at least 1"),
        (("--samples", "100", "--features", "digits"), "100 samples are too few"),
        (("--binarize", "stochastik"), "did you mean 'stochastic'?"),
        (("--features", "digit"), "did you mean 'digits'?"),
        (("--seed", "-1"), "--seed must be at least 0"),
    ],
)
def test_bad_settings(gan, command, arguments, message):
    code, out, err = command("evaluate", gan, *arguments)
    assert code == 2 and message in err and len(err.splitlines()) == 1 and not out

"""`evaluate` from end to end, on tiny runs."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from keras_ganvae import data
from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import Reference
from keras_ganvae.evaluation.measure import evaluate
from keras_ganvae.metrics import classifier, smoothness
from keras_ganvae.runs.run import Run

SMALL = ("--samples", "150", "--importance-samples", "3", "--bound-images", "8")
SETTINGS = protocol.Settings(samples=150, importance_samples=3, bound_images=8, features="digits")


@pytest.fixture(scope="module")
def copies(run_of, tmp_path_factory):
    """Copies of a tiny gan and vae, whose folders may be written to."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        arch: Run.open(shutil.copytree(run_of(arch).path, folder / arch)) for arch in ("gan", "vae")
    }


@pytest.fixture(scope="module")
def results(copies):
    return {arch: evaluate(run, SETTINGS) for arch, run in copies.items()}


def test_every_number_of_a_vae(results, copies):
    result = results["vae"]
    assert set(result["samples"]) == {"normal", "mixture"}
    names = set(result["floor"]) | {"smoothness"}
    assert {"frechet", "coverage", "modes", "nearest_training", "isolated_pixels"} < names
    for found in result["samples"].values():
        assert set(found) == names
        assert all(np.isfinite(each["value"]) for each in found.values())
    assert result["samples"]["normal"]["frechet"]["value"] > result["floor"]["frechet"]["value"]
    likelihood = result["likelihood"]["stochastic"]
    assert likelihood["bound_images"] == 8 and likelihood["importance_samples"] == 3
    parts = likelihood["reconstruction"]["value"] + likelihood["kl"]["value"]
    assert likelihood["negative_elbo"]["value"] == pytest.approx(parts)
    networks = {each.name: each.count_params() for each in copies["vae"].model().networks}
    assert result["cost"]["parameters"] == networks


def test_a_gan_has_one_prior_and_no_likelihood(results):
    assert set(results["gan"]["samples"]) == {"normal"}
    assert "likelihood" not in results["gan"]


def test_numbers_carry_their_protocol(results, copies):
    asked = results["gan"]["protocol"]
    assert asked["samples"] == 150 and asked["seed"] == 0 and asked["split"] == "test"
    assert len(asked["features"]["hash"]) == 64
    assert asked["data"]["fingerprint"] == copies["gan"].record["dataset"]["fingerprint"]
    assert results["vae"]["protocol"] == asked


def test_the_result_is_kept_and_used_again(results, copies, monkeypatch):
    run = copies["gan"]
    assert json.loads((run.path / "evaluation.json").read_text()) == results["gan"]
    monkeypatch.setattr(Reference, "measure_samples", None)
    assert evaluate(run, SETTINGS) == results["gan"]
    with pytest.raises(TypeError):
        evaluate(run, protocol.Settings(samples=151, features="digits"))


def test_tensorboard_shows_the_numbers(results, copies):
    for arch, groups in (("gan", {"normal"}), ("vae", {"normal", "mixture", "stochastic"})):
        folder = copies[arch].tensorboard / "evaluation"
        assert {each.name for each in folder.iterdir()} == groups


def test_too_few_images_for_the_features():
    dataset = data.load("synthetic", limit=200)
    with pytest.raises(InputError, match="100 samples are too few .* at least 129 are needed"):
        Reference.of(dataset, protocol.Settings(samples=100, features="digits"))
    with pytest.raises(InputError, match="k 150 must be smaller than the 150 samples"):
        Reference.of(dataset, protocol.Settings(samples=150, neighbours=150, features="digits"))


def test_too_few_images_are_told_before_a_classifier_is_trained(monkeypatch):
    monkeypatch.setattr(classifier, "train_classifier", None)
    for name, least in (("classifier", 129), ("inception", 2049)):
        with pytest.raises(InputError, match=f"at least {least} are needed"):
            Reference.of(data.load("synthetic", limit=100), protocol.Settings(features=name))


def test_progress_is_told_to_the_end(copies):
    told = {}

    def progress(doing, done, total):
        told.setdefault(doing, []).append((done, total))

    evaluate(copies["vae"], dataclasses.replace(SETTINGS, seed=3), progress=progress)
    assert list(told) == [
        "floor",
        "samples, normal prior",
        "samples, mixture prior",
        "likelihood, stochastic",
    ]
    for calls in told.values():
        done, totals = zip(*calls, strict=True)
        assert len(set(totals)) == 1 and done[-1] == totals[0]
        assert list(done) == sorted(set(done))


def test_protocols_that_differ_are_refused():
    first = {"samples": 10, "seed": 0}
    protocol.check_equal({"a": first, "b": dict(first)})
    with pytest.raises(InputError, match=r"a and c do not compare: their seed differ \(0, 1\)"):
        protocol.check_equal({"a": first, "b": first, "c": first | {"seed": 1}})


def test_the_commands(copies, tmp_path, command):
    options = (*SMALL, "--features", "digits")
    code, out, _ = command(
        "evaluate", copies["gan"].path, "--json", tmp_path / "numbers.json", *options
    )
    assert code == 0 and "Fréchet distance" in out and max(map(len, out.splitlines())) <= 200
    assert json.loads((tmp_path / "numbers.json").read_text())["arch"] == "gan"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samples", "0"), "--samples must be at least 1"),
        (("--samples", "100", "--features", "digits"), "100 samples are too few"),
        (("--binarize", "stochastik"), "did you mean 'stochastic'?"),
        (("--features", "digit"), "did you mean 'digits'?"),
        (("--seed", "-1"), "--seed must be from 0"),
    ],
)
def test_bad_settings(copies, command, arguments, message):
    code, out, err = command("evaluate", copies["gan"].path, *arguments)
    assert code == 2 and message in err and len(err.splitlines()) == 1 and not out


class Steps:
    """A model whose images jump where z crosses zero, or move with it."""

    def __init__(self, jumps):
        self.jumps = jumps
        self.latent_dim = 2

    def decode(self, z):
        z = np.asarray(z)[:, :1]
        image = np.sign(z) if self.jumps else z
        return image.reshape(-1, 1, 1, 1).astype(np.float32)


@pytest.mark.parametrize(("jumps", "order"), [(True, 0), (False, 1)])
def test_smoothness(jumps, order):
    class Line:
        name, latent_dim = "mixture", 2  # so that walks are straight

        @staticmethod
        def sample(count, seed):
            side = np.float32([[-1, 0]] * (count // 2) + [[1, 0]] * (count // 2))
            return side + np.float32(0.01)

    found = smoothness.smoothness(Steps(jumps), Line, seed=0)
    assert found.value == pytest.approx(order, abs=1e-3)


def test_every_number_has_its_column_in_the_hparams_table():
    from keras_ganvae.metrics import definitions as metrics
    from keras_ganvae.training import tensorboard

    assert set(tensorboard.EVALUATED) == set(metrics.SAMPLES)
    assert set(tensorboard.EVALUATED_LIKELIHOOD) == set(metrics.LIKELIHOOD) - {"bound_elbo"}

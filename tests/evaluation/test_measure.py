"""`evaluate` from end to end, on tiny runs."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.measure import evaluate
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.metrics import definitions
from keras_ganvae.runs import lock
from keras_ganvae.runs.run import Run
from keras_ganvae.training import tensorboard

SETTINGS = Settings(samples=150, importance_samples=3, bound_images=8, features="digits")


@pytest.fixture(scope="module")
def copies(run_of, tmp_path_factory):
    """Copies of a tiny GAN and VAE, into whose folders tests may write."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        arch: Run.open(shutil.copytree(run_of(arch).path, folder / arch)) for arch in ("gan", "vae")
    }


@pytest.fixture(scope="module")
def results(copies):
    return {arch: evaluate(run, SETTINGS) for arch, run in copies.items()}


def test_every_metric_of_a_vae(results, copies):
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


def test_metrics_carry_their_protocol(results, copies):
    protocol = results["gan"]["protocol"]
    assert protocol["samples"] == 150 and protocol["seed"] == 0 and protocol["split"] == "test"
    assert len(protocol["features"]["hash"]) == 64
    assert protocol["data"]["fingerprint"] == copies["gan"].record["dataset"]["fingerprint"]
    assert results["vae"]["protocol"] == protocol


def test_an_earlier_result_is_reused_under_the_same_protocol_only(results, copies):
    run = copies["gan"]
    file = run.path / "evaluation.json"
    assert json.loads(file.read_text()) == results["gan"]
    written = file.stat().st_mtime_ns
    assert evaluate(run, SETTINGS) == results["gan"]
    assert file.stat().st_mtime_ns == written
    other = evaluate(run, dataclasses.replace(SETTINGS, samples=151))
    assert other["protocol"]["samples"] == 151
    assert json.loads(file.read_text()) == other


@pytest.mark.parametrize(
    "change", [{"cost": {}}, {"samples": None}, {"model_hash": "x"}, {"result_sha256": None}]
)
def test_an_edited_result_is_measured_again(results, copies, change):
    run = copies["gan"]
    (run.path / "evaluation.json").write_text(json.dumps(results["gan"] | change))
    assert evaluate(run, SETTINGS) == results["gan"]


def test_tensorboard_shows_the_metrics(results, copies):
    for arch, groups in (("gan", {"normal"}), ("vae", {"normal", "mixture", "stochastic"})):
        folder = copies[arch].tensorboard / "evaluation"
        assert {each.name for each in folder.iterdir()} == groups


def test_tensorboard_keeps_what_the_user_put_beside_the_metrics(results, copies, tmp_path):
    folder = copies["vae"].tensorboard / "evaluation"
    secret = tmp_path / "secret"
    secret.write_text("mine")
    notes = [folder / "notes.md", folder / "normal" / "notes.md", folder / "sketch" / "a.txt"]
    link = folder / "normal" / "events.out.tfevents.link"
    notes[2].parent.mkdir()
    for note in notes:
        note.write_text("mine")
    link.symlink_to(secret)
    before = {path for path in folder.rglob("events.out.*") if not path.is_symlink()}
    tensorboard.write_evaluation(folder.parent, {"normal": {"frechet": 1.0}}, 2)
    assert {note.read_text() for note in (*notes, link)} == {"mine"}
    after = {path for path in folder.rglob("events.out.*") if not path.is_symlink()}
    assert len(after) == 1 and not after & before
    assert {each.name for each in folder.iterdir()} == {"notes.md", "normal", "sketch"}


def test_progress_is_reported_to_the_end(copies):
    calls_of = {}

    def progress(doing, done, total):
        calls_of.setdefault(doing, []).append((done, total))

    evaluate(copies["vae"], dataclasses.replace(SETTINGS, seed=3), progress=progress)
    assert list(calls_of) == [
        "floor",
        "samples, normal prior",
        "samples, mixture prior",
        "likelihood, stochastic",
    ]
    for calls in calls_of.values():
        done, totals = zip(*calls, strict=True)
        assert len(set(totals)) == 1 and done[-1] == totals[0]
        assert list(done) == sorted(set(done))


def test_every_metric_has_its_column_in_the_hparams_table():
    assert set(tensorboard.EVALUATED) == set(definitions.SAMPLES)
    assert set(tensorboard.EVALUATED_LIKELIHOOD) == set(definitions.LIKELIHOOD) - {"bound_elbo"}


def _resumed(run, state):
    """A progress callback that changes the run as a resume in another process does."""

    def change(*_):
        if state == "in training":
            run.model_file.unlink(missing_ok=True)
        elif run.model_file.stat().st_size < 10**7:
            run.model_file.write_bytes(bytes(10**7))

    return change


@pytest.mark.parametrize(
    ("state", "message"),
    [("in training", "is being trained"), ("finished", "was trained while it was measured")],
)
def test_a_run_that_is_resumed_meanwhile_is_not_measured(run_of, tmp_path, state, message):
    run = Run.open(shutil.copytree(run_of("gan").path, tmp_path / "run"))
    with lock.exclusive(run.path), pytest.raises(InputError, match=message):
        evaluate(run, SETTINGS, progress=_resumed(run, state))
    assert not (run.path / "evaluation.json").exists()

import math
from pathlib import Path

import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.errors import InputError
from keras_ganvae.paper.model_group import MeasuredRun, describe, group_runs
from keras_ganvae.paper.selection import Missing
from keras_ganvae.runs.run import Run

LOSSES = (9, 5, 4, 4, 3, 3, 2, 2)


def measured(name="run", value=1.0, losses=LOSSES, likelihood=("stochastic",), **settings):
    config = architectures.resolve(TrainConfig(**settings))
    result = {
        "samples": {"normal": {"frechet": {"value": value, "error": 0.1}}},
        "likelihood": {
            name: {"kl": {"value": float(i), "error": 0.1}} for i, name in enumerate(likelihood)
        },
    }
    history = [{"loss": float(loss)} for loss in losses]
    return MeasuredRun(Run(Path(name), config, {}), history, result)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"arch": "vae"}, "vae"),
        ({"arch": "vae", "epochs": 3, "limit": 50, "seed": 7}, "vae"),
        ({"arch": "gan", "preset": "paper", "dropout": False}, "gan (paper, no dropout)"),
        ({"arch": "gan", "generator_loss": "saturating"}, "gan (saturating loss)"),
        (
            {"arch": "vae", "optimizer": "sgd", "learning_rate": 0.01},
            "vae (learning rate 0.01, SGD)",
        ),
        ({"arch": "cvae", "latent_dim": 2}, "cvae (latent dim 2)"),
    ],
)
def test_labels_name_what_differs_from_the_preset(settings, expected):
    assert describe(architectures.resolve(TrainConfig(**settings))) == expected


def test_runs_that_differ_in_their_seed_are_one_model():
    runs = [measured(arch="vae", seed=seed, value=value) for seed, value in enumerate((1, 3))]
    vae, gan = group_runs([*runs, measured(arch="gan")])
    assert (vae.label, gan.label) == ("vae", "gan")
    frechet = vae.over_runs(lambda run: run.metric("frechet"))
    assert (frechet.value, frechet.error) == (2, pytest.approx(1))
    assert frechet.error_over == "seeds"
    frechet = gan.over_runs(lambda run: run.metric("frechet"))
    assert (frechet.error, frechet.error_over) == (0.1, "images")
    assert vae.averaged(lambda result: result["samples"]["normal"]) == {
        "frechet": {"value": 2.0, "error": pytest.approx(1.0)}
    }


def test_ungrouped_runs_are_labelled_by_their_folders():
    runs = [measured(f"vae-{seed}", arch="vae", seed=seed) for seed in (0, 1)]
    assert [each.label for each in group_runs(runs, by_seed=False)] == ["vae, vae-0", "vae, vae-1"]


def test_runs_of_one_model_need_different_seeds():
    runs = [measured("gan", arch="gan"), measured("copy", arch="gan")]
    with pytest.raises(InputError, match="the same model with the same seed"):
        group_runs(runs)
    assert len(group_runs(runs, by_seed=False)) == 2


def test_statistics_of_a_history():
    run = measured(arch="vae")
    assert run.final("loss").value == 2
    assert run.instability(("loss",), 1.0).value == pytest.approx(7 / 7)
    assert run.instability(("loss",), 0.5).value == pytest.approx((4 + 1 + 0) / 3)


def test_one_epoch_has_no_instability():
    assert math.isnan(measured(arch="vae", losses=(9,)).instability(("loss",), 1.0).value)


def test_likelihoods_are_binarized_as_in_training_if_measured_so():
    both = ("stochastic", "threshold")
    assert measured(arch="vae", preset="paper", likelihood=both).likelihood("kl").value == 1
    assert measured(arch="vae", likelihood=both).likelihood("kl").value == 0
    assert measured(arch="vae", preset="paper").likelihood("kl").value == 0


def test_what_was_not_measured_is_missing():
    with pytest.raises(Missing, match="features that give class kl"):
        measured(arch="vae").metric("class_kl")
    with pytest.raises(Missing, match="likelihoods"):
        measured(arch="vae", likelihood=()).likelihood("kl")

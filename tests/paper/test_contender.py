from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.paper.contender import Measured, describe, group


def _measured(name="run", value=1.0, **settings):
    config = architectures.resolve(TrainConfig(**settings))
    result = {"samples": {"normal": {"frechet": {"value": value, "error": 0.1}}}}
    history = [{"loss": float(loss)} for loss in (9, 5, 4, 4, 3, 3, 2, 2)]
    return Measured(SimpleNamespace(config=config, path=Path(name)), history, result)


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
def test_labels_say_what_departs_from_the_preset(settings, expected):
    assert describe(architectures.resolve(TrainConfig(**settings))) == expected


def test_runs_that_differ_in_their_seed_are_one_model():
    measured = [_measured(arch="vae", seed=seed, value=value) for seed, value in enumerate((1, 3))]
    measured.append(_measured(arch="gan"))
    vae, gan = group(measured)
    assert (vae.label, gan.label) == ("vae", "gan")
    assert vae.number("frechet").value == 2 and vae.number("frechet").error == pytest.approx(1)
    assert gan.number("frechet").error == 0.1, "one run keeps its own"
    assert vae.numbers(lambda result: result["samples"]["normal"]) == {
        "frechet": {"value": 2.0, "error": pytest.approx(1.0)}
    }


def test_runs_on_their_own_are_told_apart_by_their_folders():
    measured = [_measured(f"vae-{seed}", arch="vae", seed=seed) for seed in (0, 1)]
    assert [each.label for each in group(measured, by_seed=False)] == ["vae, vae-0", "vae, vae-1"]


def test_statistics_of_histories():
    run = _measured(arch="vae")
    assert run.last("loss") == 2
    assert run.unrest(("loss",), 1.0) == pytest.approx(7 / 7)
    assert run.unrest(("loss",), 0.5) == pytest.approx((4 + 1 + 0) / 3)
    assert run.unrest(("loss",), 0.1) == pytest.approx((4 + 1) / 2), "three epochs at least"
    assert run.unrest(("loss", "loss"), 1.0) == pytest.approx(2)
    alone = group([run])[0]
    assert alone.last("loss").error is None


def test_a_run_that_was_extended_is_the_model_of_one_that_was_not():
    paper = {"arch": "vae", "preset": "paper", "epochs": 15}
    straight = _measured(**paper, seed=0)
    extended = _measured(**paper, seed=1, schedule_epochs=6)
    assert len(group([straight, extended])) == 1
    cosine = [_measured(arch="vae", seed=seed, schedule_epochs=6 + seed) for seed in (0, 1)]
    assert len(group(cosine)) == 2, "where the rate falls, its span matters"

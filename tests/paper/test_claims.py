"""Claims on models with made-up numbers: what each verdict depends on."""

from pathlib import Path

import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.config import PRESETS
from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.claims import CLAIMS, Models, evaluate_claims
from keras_ganvae.paper.model_group import MeasuredRun, group_runs
from keras_ganvae.runs.run import Run

SEEDS = (0, 1, 2)
EPOCHS = 10
NUMBERS = {  # where the paper is right
    "gan": {"isolated_pixels": 9, "sharpness": 0.8, "confidence": 0.8, "frechet": 60},
    "dcgan": {"isolated_pixels": 2, "sharpness": 0.9, "confidence": 0.85, "frechet": 40},
    "vae": {"isolated_pixels": 1, "sharpness": 0.4, "confidence": 0.9, "frechet": 50},
    "cvae": {"isolated_pixels": 1, "sharpness": 0.5, "confidence": 0.92, "frechet": 30},
}
OTHERS = {"modes": 10, "coverage": 0.6, "smoothness": 0.98, "kl_share": 0.1}
ABLATIONS = {
    "no_dropout": ("gan", {"dropout": False}, {"modes": 2, "coverage": 0.05}),
    "gan_sgd": ("gan", {"optimizer": "sgd"}, {"frechet": 400}),
    "vae_sgd": ("vae", {"optimizer": "sgd"}, {"loss": 200}),
}
GRADIENTS = [
    [
        {"fake_probability": 0.5, "saturating": 1.0, "non_saturating": 1.0},
        {"fake_probability": 0.009, "saturating": 0.01, "non_saturating": 0.9 + 0.01 * seed},
    ]
    for seed in SEEDS
]


def _history(arch, seed, final):
    """Ten epochs; values of convolutional models change half as much."""
    step = (0.5 if arch in ("dcgan", "cvae") else 1.0) * (1 + 0.01 * seed)
    if arch in ("gan", "dcgan"):
        names = ("generator_loss", "discriminator_loss", "real_accuracy", "fake_accuracy")
        return [dict.fromkeys(names, 1 + 0.1 * step * (-1) ** epoch) for epoch in range(EPOCHS)]
    return [{"loss": final + 5 * step * (EPOCHS - 1 - epoch)} for epoch in range(EPOCHS)]


def _measured(name, arch, settings, numbers, seed):
    config = TrainConfig(arch=arch, seed=seed, **{"epochs": EPOCHS} | settings)
    run = Run(Path(name), architectures.resolve(config), {})
    numbers = {"loss": 130 - (arch == "cvae")} | NUMBERS[arch] | OTHERS | numbers
    loss, kl = numbers.pop("loss") - 0.01 * seed, numbers.pop("kl_share")
    samples = {
        key: Estimate(value + 0.001 * seed * (key != "modes"), 0.01).to_dict()
        for key, value in numbers.items()
    }
    result = {"samples": {"normal": samples}, "floor": {"modes": Estimate(10.0, 0.0).to_dict()}}
    if run.is_variational:
        terms = {"negative_elbo": loss, "reconstruction": (1 - kl) * loss, "kl": kl * loss}
        result["likelihood"] = {
            "stochastic": {name: Estimate(value, 0.2).to_dict() for name, value in terms.items()}
        }
    return MeasuredRun(run, _history(arch, seed, loss), result)


def runs(preset="paper", seeds=SEEDS, without=(), **replaced):
    """The runs of a world in which the paper is right, unless numbers are replaced."""
    models = {arch: (arch, {}, {}) for arch in NUMBERS} | ABLATIONS
    return [
        _measured(name, arch, {"preset": preset} | settings, numbers | replaced.get(name, {}), seed)
        for name, (arch, settings, numbers) in models.items()
        if name not in without
        for seed in seeds
    ]


def outcomes(measured, gradients=GRADIENTS):
    """Number -> claim."""
    claims = evaluate_claims(Models(group_runs(measured), gradients))
    return {claim["number"]: claim for claim in claims}


def verdicts(measured, gradients=GRADIENTS):
    return {number: claim["verdict"] for number, claim in outcomes(measured, gradients).items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_all_claims_hold_where_the_paper_is_right(preset):
    claims = outcomes(runs(preset))
    wrong = [
        (number, part["says"], part["margin"], part["uncertainty"])
        for number, claim in claims.items()
        for part in claim["parts"]
        if part["verdict"] != "holds"
    ]
    assert not wrong
    assert {claim["verdict"] for claim in claims.values()} == {"holds"}
    assert list(claims) == list(range(1, len(CLAIMS) + 1)) == list(range(1, 11))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("number", "replaced"),
    [
        (1, {"dcgan": {"isolated_pixels": 12}}),
        (4, {"vae": {"kl_share": 0.6}}),
        (5, {"vae": {"sharpness": 1.2}}),
        (6, {"cvae": {"frechet": 45}}),
        (6, {"vae": {"confidence": 0.5}}),
        (7, {"vae": {"smoothness": 0.1}}),
        (8, {"no_dropout": {"modes": 10}}),
        (8, {"no_dropout": {"coverage": 0.9}}),
        (8, {"gan": {"modes": 3}, "no_dropout": {"modes": 2}}),
        (10, {"gan_sgd": {"frechet": 20}}),
        (10, {"vae_sgd": {"loss": 120}}),
    ],
)
def test_one_claim_fails_where_one_number_contradicts_it(preset, number, replaced):
    found = verdicts(runs(preset, **replaced))
    assert found.pop(number) == "does not hold"
    assert set(found.values()) == {"holds"}


def test_no_difference_is_undecided():
    same = {"isolated_pixels": NUMBERS["gan"]["isolated_pixels"]}
    assert verdicts(runs(dcgan=same))[1] == "undecided"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_single_run_decides_by_its_error_over_images(preset):
    claims = outcomes(runs(preset, seeds=(0,)), GRADIENTS[:1])
    for number in (1, 4, 5, 6, 7, 8, 10):
        assert claims[number]["verdict"] == "holds"
        assert {part["error_over"] for part in claims[number]["parts"]} == {"images"}
    # Neither training curves nor gradients have an error over images.
    for number in (2, 3, 9):
        assert claims[number]["verdict"] == "undecided"


def test_several_seeds_decide_by_their_error_over_seeds():
    (part, *_) = outcomes(runs())[1]["parts"]
    assert part["error_over"] == "seeds"
    assert {each["error_over"] for each in part["values"].values()} == {"seeds"}


def test_the_error_of_the_reconstruction_fraction():
    # Independent terms: the variance of the sum is the sum of the variances.
    measured = runs(seeds=(0,))
    for each in measured:
        for terms in each.result.get("likelihood", {}).values():
            terms["negative_elbo"]["error"] = 0.2 * 2**0.5
    (part, *_) = outcomes(measured)[4]["parts"]
    (found,) = part["values"].values()
    assert found["value"] == pytest.approx(0.9)
    assert found["error"] == pytest.approx(0.2 * (117**2 + 13**2) ** 0.5 / 130**2)


def test_a_gradient_that_does_not_vanish():
    kept = [[rows[0], rows[1] | {"saturating": 0.5}] for rows in GRADIENTS]
    assert verdicts(runs(), kept)[9] == "does not hold"


def test_a_missing_run_is_named():
    claims = outcomes(runs(without=("dcgan",)), gradients=())
    assert claims[1]["verdict"] == "not tested" and claims[1]["needs"] == "a run of dcgan"
    assert claims[9]["verdict"] == "not tested"
    assert claims[7]["verdict"] == "holds"


def test_features_without_classes_test_what_they_can():
    measured = runs()
    for each in measured:
        del each.result["samples"]["normal"]["confidence"]
    claims = outcomes(measured)
    assert claims[6]["verdict"] == "not tested" and "confidence" in claims[6]["needs"]
    assert claims[1]["verdict"] == "holds"


def test_a_history_of_one_epoch_decides_nothing():
    measured = runs()
    for each in measured:
        del each.history[:-1]
    claim = outcomes(measured)[2]
    assert claim["verdict"] == "undecided"
    assert {part["margin"] for part in claim["parts"]} == {None}


@pytest.mark.parametrize(
    ("name", "arch", "settings", "number"),
    [
        ("vae_sgd", "vae", {"optimizer": "sgd", "epochs": 1}, 10),
        ("cvae", "cvae", {"binarize": "stochastic"}, 3),
    ],
)
def test_only_comparable_runs_are_compared(name, arch, settings, number):
    others = [_measured("other", arch, {"preset": "paper"} | settings, {}, seed) for seed in SEEDS]
    assert verdicts([*runs(without=(name,)), *others])[number] == "not tested"


def test_a_discriminator_that_never_becomes_confident():
    unsure = [[rows[0], rows[1] | {"fake_probability": 0.4}] for rows in GRADIENTS]
    assert verdicts(runs(), unsure)[9] == "not tested"

"""Claims on contenders whose numbers are made up: what each verdict rests on."""

from types import SimpleNamespace

import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.errors import InputError
from keras_ganvae.paper.claims import CLAIMS, Cast
from keras_ganvae.paper.claims import test_all as all_claims
from keras_ganvae.paper.contender import Contender, Measured, group

SEEDS = (0, 1, 2)
# Of a world in which the paper is right.
NUMBERS = {
    "gan": {"isolated_pixels": 9, "sharpness": 0.8, "confidence": 0.8, "frechet": 60},
    "dcgan": {"isolated_pixels": 2, "sharpness": 0.9, "confidence": 0.85, "frechet": 40},
    "vae": {"isolated_pixels": 1, "sharpness": 0.4, "confidence": 0.9, "frechet": 50},
    "cvae": {"isolated_pixels": 1, "sharpness": 0.5, "confidence": 0.92, "frechet": 30},
}
OTHERS = {"modes": 10, "coverage": 0.6, "smoothness": 0.98}
CHANGED = {
    "no_dropout": ("gan", {"dropout": False}, {"modes": 2, "coverage": 0.05}),
    "gan_sgd": ("gan", {"optimizer": "sgd"}, {"frechet": 400}),
    "vae_sgd": ("vae", {"optimizer": "sgd"}, {}),
}
GRADIENTS = [
    [
        {"fake_probability": 0.5, "saturating": 1.0, "non_saturating": 1.0},
        {"fake_probability": 0.009, "saturating": 0.01, "non_saturating": 0.9 + 0.01 * seed},
    ]
    for seed in SEEDS
]


def _history(arch, seed, shift=0.0):
    """Ten epochs; the convolutional models' values move half as much from one to the next."""
    step = (0.5 if arch in ("dcgan", "cvae") else 1.0) * (1 + 0.01 * seed)
    rows = []
    for epoch in range(10):
        wave = step * (-1) ** epoch
        if arch in ("gan", "dcgan"):
            names = ("generator_loss", "discriminator_loss", "real_accuracy", "fake_accuracy")
            rows.append(dict.fromkeys(names, 1 + 0.1 * wave))
        else:
            loss = 150 - 5 * epoch * step + shift - (1 if arch == "cvae" else 0) - 0.01 * seed
            rows.append({"loss": loss, "reconstruction": 0.9 * loss, "kl": 0.1 * loss})
    if arch in ("vae", "cvae"):
        rows[-1] = {"loss": (last := 130.0 + shift - (arch == "cvae") - 0.01 * seed)}
        rows[-1] |= {"reconstruction": 0.9 * last, "kl": 0.1 * last}
    return rows


def _measured(name, arch, settings, numbers, seed, shift=0.0):
    config = TrainConfig(arch=arch, preset="paper", seed=seed, **settings)
    run = SimpleNamespace(config=architectures.resolve(config), path=SimpleNamespace(name=name))
    found = {
        key: {"value": value + 0.001 * seed * (key != "modes"), "error": 0.01}
        for key, value in (NUMBERS[arch] | OTHERS | numbers).items()
    }
    result = {"samples": {"normal": found}, "floor": {"modes": {"value": 10, "error": 0}}}
    return Measured(run, _history(arch, seed, shift), result)


def _all(seeds=SEEDS, **replaced):
    measured = [
        _measured(arch, arch, {}, replaced.get(arch, {}), seed)
        for arch in NUMBERS
        for seed in seeds
    ]
    measured += [
        _measured(name, arch, settings, numbers | replaced.get(name, {}), seed, shift=50)
        for name, (arch, settings, numbers) in CHANGED.items()
        for seed in seeds
    ]
    return group(measured)


def _verdicts(contenders, gradients=GRADIENTS):
    return {claim["number"]: claim["verdict"] for claim in all_claims(Cast(contenders, gradients))}


def test_a_world_in_which_the_paper_is_right():
    claims = all_claims(Cast(_all(), GRADIENTS))
    wrong = [
        (claim["number"], part["says"], part["margin"], part["uncertainty"])
        for claim in claims
        for part in claim["parts"]
        if part["verdict"] != "holds"
    ]
    assert not wrong
    assert [claim["verdict"] for claim in claims] == ["holds"] * len(CLAIMS) == ["holds"] * 10


@pytest.mark.parametrize(
    ("number", "replaced"),
    [
        (1, {"dcgan": {"isolated_pixels": 12}}),
        (5, {"vae": {"sharpness": 1.2}}),
        (6, {"cvae": {"frechet": 45}}),
        (6, {"vae": {"confidence": 0.5}}),
        (7, {"vae": {"smoothness": 0.1}}),
        (8, {"no_dropout": {"modes": 10}}),
        (8, {"no_dropout": {"coverage": 0.9}}),
        (8, {"gan": {"modes": 3}, "no_dropout": {"modes": 2}}),
        (10, {"gan_sgd": {"frechet": 20}}),
    ],
)
def test_a_world_in_which_one_claim_is_wrong(number, replaced):
    verdicts = _verdicts(_all(**replaced))
    assert verdicts.pop(number) == "does not hold"
    assert set(verdicts.values()) == {"holds"}


def test_no_difference_is_undecided():
    same = {"isolated_pixels": NUMBERS["gan"]["isolated_pixels"]}
    assert _verdicts(_all(dcgan=same))[1] == "undecided"


def test_one_run_of_each_decides_only_what_has_an_error_of_its_own():
    verdicts = _verdicts(_all(seeds=(0,)), GRADIENTS[:1])
    assert verdicts[1] == "holds"
    assert verdicts[2] == "undecided", "how losses vary from seed to seed is not known"


def test_a_gradient_that_does_not_vanish():
    kept = [[rows[0], rows[1] | {"saturating": 0.5}] for rows in GRADIENTS]
    assert _verdicts(_all(), kept)[9] == "does not hold"


def test_what_was_not_trained_is_named():
    contenders = [each for each in _all() if each.config.arch != "dcgan"]
    claims = {each["number"]: each for each in all_claims(Cast(contenders))}
    assert claims[1]["verdict"] == "not tested" and claims[1]["needs"] == "a run of dcgan"
    assert claims[9]["verdict"] == "not tested"
    assert claims[7]["verdict"] == "holds"


def test_the_paper_s_layers_are_preferred():
    config = architectures.resolve(TrainConfig(arch="vae"))
    default = Contender("vae", (Measured(SimpleNamespace(config=config), [], {}),))
    assert Cast([default, *_all()])("vae").config.preset == "paper"
    assert Cast([default])("vae") is default


def _without(contenders, name):
    for contender in contenders:
        for each in contender.measured:
            del each.result["samples"]["normal"][name]
    return contenders


def test_features_without_classes_test_what_they_can():
    claims = {each["number"]: each for each in all_claims(Cast(_without(_all(), "confidence")))}
    assert claims[6]["verdict"] == "not tested" and "confidence" in claims[6]["needs"]
    assert claims[1]["verdict"] == "holds"


def test_a_history_of_one_epoch_decides_nothing():
    contenders = _all()
    for contender in contenders:
        for each in contender.measured:
            del each.history[:-1]
    with pytest.warns(RuntimeWarning):
        claim = all_claims(Cast(contenders))[1]
    assert claim["verdict"] == "undecided"
    assert {part["margin"] for part in claim["parts"]} == {None}


@pytest.mark.parametrize(
    ("name", "settings", "numbers"),
    [("vae_sgd", {"optimizer": "sgd"}, (10,)), ("cvae", {"binarize": "stochastic"}, (3,))],
)
def test_only_like_is_compared_with_like(name, settings, numbers):
    arch = "cvae" if name == "cvae" else "vae"
    kept = [each for each in _all() if each.run.path.name != name]
    shorter = {} if name == "cvae" else {"epochs": 1}
    other = group([_measured(name, arch, settings | shorter, {}, seed) for seed in SEEDS])
    claims = {each["number"]: each for each in all_claims(Cast([*kept, *other], GRADIENTS))}
    for number in numbers:
        assert claims[number]["verdict"] == "not tested"


def test_a_discriminator_that_never_grew_confident():
    unsure = [[rows[0], rows[1] | {"fake_probability": 0.4}] for rows in GRADIENTS]
    assert _verdicts(_all(), unsure)[9] == "not tested"


def test_the_same_seed_twice_is_no_spread():
    twice = [_measured("gan", "gan", {}, {}, 0), _measured("copy", "gan", {}, {}, 0)]
    with pytest.raises(InputError, match="the same model of the same seed"):
        group(twice)
    assert len(group(twice, by_seed=False)) == 2

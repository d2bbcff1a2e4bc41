from dataclasses import dataclass

import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.config import PRESETS
from keras_ganvae.paper.selection import Missing, ModelSelector, check_equal_settings


@dataclass(frozen=True)
class Model:
    label: str
    settings: dict


def model(arch, preset="default", **settings):
    config = architectures.resolve(TrainConfig(arch=arch, preset=preset, **settings))
    return Model(f"{arch} {preset}", config.to_dict())


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("arch", architectures.names())
def test_a_run_of_a_preset_is_found(arch, preset):
    wanted = model(arch, preset)
    assert ModelSelector([wanted]).find(arch) is wanted


def test_the_paper_s_preset_comes_first():
    default, paper = model("vae"), model("vae", "paper")
    assert ModelSelector([default, paper]).find("vae") is paper
    assert ModelSelector([default]).find("vae") is default


def test_a_model_whose_own_preset_lacks_the_change_is_not_the_usual_one():
    changed = model("gan", dropout=False)
    selector = ModelSelector([changed])
    with pytest.raises(Missing, match="a run of gan with its preset's optimizer, dropout"):
        selector.find("gan")
    assert selector.find("gan", dropout=False) is changed


@pytest.mark.parametrize(("setting", "value"), [("epochs", 1), ("preset", "paper")])
def test_a_changed_model_shares_the_rest(setting, value):
    usual = model("vae")
    different = model("vae", **{"optimizer": "sgd", setting: value})
    alike = model("vae", optimizer="sgd")
    with pytest.raises(Missing, match="a run of vae with optimizer sgd, otherwise like vae"):
        ModelSelector([usual, different]).find("vae", like=usual, optimizer="sgd")
    selector = ModelSelector([usual, different, alike])
    assert selector.find("vae", like=usual, optimizer="sgd") is alike


def test_a_missing_architecture_is_named():
    with pytest.raises(Missing, match="^a run of dcgan$"):
        ModelSelector([model("gan")]).find("dcgan")


def test_histories_compare_at_equal_settings():
    vae, cvae = model("vae", epochs=3), model("cvae", epochs=3)
    check_equal_settings(vae, cvae, "epochs", "binarize")
    with pytest.raises(Missing, match="runs of vae and cvae with equal epochs"):
        check_equal_settings(vae, model("cvae"), "epochs")

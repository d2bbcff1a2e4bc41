"""The model card: invalid cards are neither written nor read, and numbers are exact."""

import copy
import dataclasses
import hashlib
import json
import math
import random

import numpy as np
import pytest

from keras_ganvae.bundle import card as cards
from keras_ganvae.errors import InputError
from keras_ganvae.priors import MixturePrior, NormalPrior


@pytest.fixture(scope="module")
def mixture_card(make_facts, mixture):
    return cards.build(make_facts(mixture(3, 5)))


def damaged(card, change):
    card = copy.deepcopy(card)
    change(card)
    return card


def test_a_card_reads_back_equal(mixture_card, tmp_path):
    cards.write(tmp_path / cards.NAME, mixture_card)
    assert cards.read(tmp_path / cards.NAME) == mixture_card


def test_the_mixture_in_a_card_draws_the_same_latents_as_the_prior(mixture_card, mixture):
    prior = mixture(3, 5)
    numbers = mixture_card["latent"]["mixture"]
    factors = np.zeros((3, 5, 5), np.float32)
    factors[:, *np.tril_indices(5)] = numbers["factors"]
    again = MixturePrior(
        np.float32(numbers["weights"]), np.float32(numbers["means"]), factors, held_out={}
    )
    np.testing.assert_array_equal(again.sample(200, seed=1), prior.sample(200, seed=1))


def test_the_default_mixture_takes_about_100_kb(make_facts, mixture, tmp_path):
    cards.write(tmp_path / cards.NAME, cards.build(make_facts(mixture(25, 24))))
    assert (tmp_path / cards.NAME).stat().st_size < 110_000


def test_numbers_come_last_and_each_list_of_numbers_is_one_line(make_facts, mixture, tmp_path):
    cards.write(tmp_path / cards.NAME, cards.build(make_facts(mixture(4, 24))))
    lines = (tmp_path / cards.NAME).read_text().splitlines()
    long = [i for i, line in enumerate(lines) if len(line) > 200]
    assert len(long) == 4 + 4  # means and factors
    assert min(long) > len(lines) - 20


def test_signatures_are_those_of_the_files(make_facts):
    variational = cards.build(make_facts(NormalPrior(3)))["signatures"]
    assert set(variational) == {"decode", "decode_16", "sample", "encode", "reconstruct"}
    assert variational["decode"]["files"] == list(cards.MODELS)
    assert variational["sample"]["files"] == ["sampler.tflite"]
    assert variational["sample"]["inputs"] == {"seed": {"shape": [1], "dtype": "int32"}}
    assert variational["decode_16"]["inputs"]["latent"]["shape"] == [16, 3]
    adversarial = cards.build(make_facts(variational=False, image_shape=(8, 6, 3)))
    assert set(adversarial["signatures"]) == {"decode", "decode_16", "sample"}
    assert adversarial["signatures"]["decode"]["outputs"]["image"] == {
        "shape": [1, 8, 6, 3],
        "dtype": "float32",
        "range": [0, 1],
    }


def test_listing_has_all_files_but_the_card_and_its_signature(tmp_path):
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    for name in ("model.tflite", cards.NAME, cards.SIGNATURE):
        (tmp_path / name).write_bytes(b"")
    assert cards.listing(tmp_path) == {
        "model.tflite": {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
        "saved_model/saved_model.pb": {
            "bytes": 5,
            "sha256": hashlib.sha256(b"graph").hexdigest(),
        },
    }


def test_run_facts_have_settings_and_the_last_epoch_but_no_data_path():
    config = {"arch": "vae", "data_dir": "/home/someone", "seed": 4, "beta": 1.0, "limit": None}
    record = {
        "config": config,
        "dataset": {"name": "mnist", "fingerprint": "84", "train": 55_000, "test": 10_000},
        "command": "keras-ganvae train",
    }
    facts = cards.run_facts(record, [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": math.nan}])
    assert facts["dataset"] == {"name": "mnist", "fingerprint": "84", "images": 55_000}
    assert facts["training"]["settings"] == {"beta": 1.0}
    assert facts["training"]["epochs"] == 2
    assert facts["training"]["final"] == {"epoch": 2, "loss": None}


def test_delegates_of_several_signatures_become_one_text():
    facts = cards.model_facts(
        "sampler.tflite",
        signatures=["decode", "decode_16", "sample"],
        operators=[],
        delegates={
            "decode": {"XNNPACK": "whole graph", "GPU": "whole graph", "NNAPI": "no"},
            "decode_16": {"XNNPACK": "whole graph", "GPU": "whole graph", "NNAPI": "no"},
            "sample": {"XNNPACK": "whole graph", "GPU": "RIGHT_SHIFT is not taken", "NNAPI": "no"},
        },
        parity={},
        tolerance={},
        weights="float32",
    )
    assert facts["delegates"] == {
        "XNNPACK": "whole graph",
        "GPU": "decode, decode_16: whole graph; sample: RIGHT_SHIFT is not taken",
        "NNAPI": "no",
    }


def test_the_psnr_of_equal_images_is_null():
    facts = cards.model_facts(
        "model.tflite",
        signatures=["decode"],
        operators=[],
        delegates={},
        parity={"max_error": 0.0, "mean_error": 0.0, "psnr": math.inf, "correlation": 1.0},
        tolerance={"max_error": 1e-5},
        weights="float32",
    )
    assert facts["parity"]["psnr"] is None


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("card.name is missing", lambda card: card.pop("name")),
        ("card.extra is not known", lambda card: card.update(extra=1)),
        ("card.schema must", lambda card: card.update(schema="other")),
        ("card.schema_version must", lambda card: card.update(schema_version=3)),
        ("card.schema_version must", lambda card: card.update(schema_version=True)),
        ("card.summary must", lambda card: card.update(summary="")),
        (r"card.image.shape\[2\] must", lambda card: card["image"].update(shape=[28, 28, 4])),
        (r"card.image.shape\[0\] must", lambda card: card["image"].update(shape=[28.0, 28, 1])),
        ("card.image.shape must", lambda card: card["image"].update(shape=[28, 28])),
        ("card.image.range must", lambda card: card["image"].update(range=[-1, 1])),
        ("card.training.final.loss", lambda card: card["training"]["final"].update(loss="1")),
        ("card.training.epochs", lambda card: card["training"].update(epochs=1.5)),
        (
            "card.latent.size must be a whole number above 0",
            lambda card: card["latent"].update(size=0),
        ),
        ("card.latent.mixture.weights", lambda c: c["latent"]["mixture"].update(weights=[None])),
        ("latent.mixture.weights", lambda card: card["latent"]["mixture"]["weights"].pop()),
        ("latent.mixture.means", lambda card: card["latent"]["mixture"]["means"][1].pop()),
        ("latent.mixture.factors", lambda card: card["latent"]["mixture"]["factors"].pop()),
        ("latent.mixture is for", lambda card: card["latent"].update(distribution="normal")),
        ("card.latent.mixture is missing", lambda card: card["latent"].pop("mixture")),
        ("card.latent.components is missing", lambda card: card["latent"].pop("components")),
        ("golden.npz'].sha256", lambda card: card["files"]["golden.npz"].update(sha256="0x12")),
        ("golden.npz'].variant", lambda card: card["files"]["golden.npz"].update(variant="a")),
        ("model.tflite'].parity is", lambda card: card["files"]["model.tflite"].pop("parity")),
        (
            r"operators\[0\].version",
            lambda card: card["files"]["model.tflite"]["operators"][0].update(version=-1),
        ),
        ("not a path", lambda card: card["files"].update({"../x": card["files"]["golden.npz"]})),
        ("not a path", lambda card: card["files"].update({"/x": card["files"]["golden.npz"]})),
        ("not a path", lambda card: card["files"].update({"a//x": card["files"]["golden.npz"]})),
        (
            "signatures.decode_16.files: sampler",
            lambda card: card["files"]["sampler.tflite"].update(signatures=["decode"]),
        ),
        ("recommended.file", lambda card: card["recommended"].update(file="other.tflite")),
    ],
)
def test_an_error_names_the_key(mixture_card, key, change):
    with pytest.raises(InputError, match=key):
        cards.validate(damaged(mixture_card, change))


@pytest.mark.parametrize("card", [None, [], "card", 1, {}])
def test_other_json_is_invalid(card):
    with pytest.raises(InputError, match="card"):
        cards.validate(card)


def test_a_fact_of_the_wrong_type_is_an_error(make_facts):
    facts = dataclasses.replace(make_facts(), versions={"numpy": 2})
    with pytest.raises(InputError, match="card.versions.numpy must be a non-empty string"):
        cards.build(facts)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "damaged"), (b"\xff\xfe", "damaged"), (b"[" * 100_000, "damaged"), (b"{}", "missing")],
)
def test_a_damaged_file(tmp_path, content, reason):
    (tmp_path / cards.NAME).write_bytes(content)
    with pytest.raises(InputError, match=reason):
        cards.read(tmp_path / cards.NAME)


def test_a_folder_without_a_card_is_not_a_bundle(tmp_path):
    with pytest.raises(InputError, match="not a bundle"):
        cards.read(tmp_path / cards.NAME)


def test_reading_a_mutated_file_gives_a_valid_card_or_an_input_error(mixture_card, tmp_path):
    path = tmp_path / cards.NAME
    cards.write(path, mixture_card)
    intact = path.read_bytes()
    rng = random.Random(0)
    errors = 0
    for _ in range(300):
        content = bytearray(intact)
        for _ in range(rng.choice((1, 4))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.5:
            content = content[: rng.randrange(len(content))]
        path.write_bytes(bytes(content))
        try:
            cards.validate(cards.read(path))
        except InputError:
            errors += 1
    assert errors > 200


def test_a_card_is_standard_json(mixture_card, tmp_path):
    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    cards.write(tmp_path / cards.NAME, mixture_card)
    json.loads((tmp_path / cards.NAME).read_text(), parse_constant=refuse)

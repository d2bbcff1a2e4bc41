"""The model card: invalid cards are neither written nor read, and numbers are exact."""

import copy
import dataclasses
import hashlib
import json
import math
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle import json_text
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


# Digest


def test_the_digest_is_that_of_canonical_json(mixture_card):
    """RFC 8785, for the values of which Python's own JSON is canonical."""
    card = json.loads(json.dumps(mixture_card), parse_float=lambda text: f"number {text}")
    content = {name: value for name, value in card.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert cards.digest(card) == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-07, b"1e-7"),
        (1.0, b"1"),
        (-0.0, b"0"),
        (1e16, b"10000000000000000"),
        (1e21, b"1e+21"),
        (0.1 + 0.2, b"0.30000000000000004"),
        (5e-324, b"5e-324"),
        ({"é": "\u2028\n", "b": [None, True], "\U0001f600": 1, "\ufb33": 2}, None),
    ],
)
def test_canonical_values(value, text):
    if text is None:  # UTF-16 sorts the emoji before the other
        text = '{"b":[null,true],"é":"\u2028\\n","\U0001f600":1,"\ufb33":2}'.encode()
    assert json_text.digest(value) == f"sha256:{hashlib.sha256(text).hexdigest()}"


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_javascript_computes_the_digest_as_the_docs_say(mixture_card, tmp_path):
    docs = (Path(__file__).parents[2] / "docs" / "model-card.md").read_text(encoding="utf-8")
    canonical = docs.partition("```js\n")[2].partition("```")[0]
    cards.write(tmp_path / cards.NAME, mixture_card)
    script = f"""{canonical}
        const {{digest, ...card}} = JSON.parse(require('fs').readFileSync('{cards.NAME}', 'utf8'));
        const hash = require('crypto').createHash('sha256').update(canonical(card), 'utf8');
        console.log(digest, 'sha256:' + hash.digest('hex'));
    """
    done = subprocess.run(
        ["node", "-e", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    stated, computed = done.stdout.split()
    assert stated == computed == mixture_card["digest"]


def test_spaces_order_and_spelling_do_not_matter(mixture_card, tmp_path):
    path = tmp_path / cards.NAME
    text = json.dumps(mixture_card, indent=7, sort_keys=True).replace("e-07", "e-7")
    assert "3.1e-7" in text
    path.write_text(text)
    assert cards.read(path) == mixture_card


def _children(value):
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _places(value, place=()):
    """The keys that lead to each value within a value."""
    for key in _children(value):
        yield (*place, key)
        yield from _places(value[key], (*place, key))


def _at(card, place):
    for key in place:
        card = card[key]
    return card


def _is_refused(path, card):
    path.write_text(json.dumps(card))
    try:
        cards.read(path)
    except InputError as error:
        return "\n" not in str(error)
    return False


def test_every_key_and_list_entry_counts(mixture_card, tmp_path):
    path = tmp_path / cards.NAME
    removed = swapped = 0
    for place in _places(mixture_card):
        *parents, last = place
        without = copy.deepcopy(mixture_card)
        del _at(without, parents)[last]
        assert _is_refused(path, without), f"without {place}"
        removed += 1
        if isinstance(last, int) and last > 0:
            other = copy.deepcopy(mixture_card)
            entries = _at(other, parents)
            if entries[last] != entries[last - 1]:
                entries[last], entries[last - 1] = entries[last - 1], entries[last]
                assert _is_refused(path, other), f"with another order at {place}"
                swapped += 1
    assert removed > 300 and swapped > 50


def test_a_key_that_an_object_has_twice(mixture_card, tmp_path):
    """Readers differ in which value they take: one could verify what another does not use."""
    path = tmp_path / cards.NAME
    text = json.dumps(mixture_card)
    path.write_text(text)
    cards.read(path)
    for key in ("license", "shape", "means"):
        spot = text.index(f'"{key}": ')
        path.write_text(f'{text[:spot]}"{key}": "mine", {text[spot:]}')
        with pytest.raises(InputError, match=f"damaged: it has the key '{key}' twice"):
            cards.read(path)


@pytest.mark.parametrize("text", ["0.30000000000000003", "3.10000000000000000001e-07", "1e999"])
def test_digits_that_do_not_count(mixture_card, tmp_path, text):
    path = tmp_path / cards.NAME
    card = copy.deepcopy(mixture_card)
    card["files"]["model.tflite"]["parity"]["mean_error"] = float(text)
    written = json.dumps(card).replace(repr(float(text)).replace("inf", "Infinity"), text)
    path.write_text(written)
    with pytest.raises(InputError, match=rf"{text} is not the shortest decimal"):
        cards.read(path)


def test_halves_of_surrogate_pairs(mixture_card):
    with pytest.raises(InputError, match="card: "):
        cards.sealed(mixture_card | {"name": "\ud800"})
    with pytest.raises(InputError, match="card: "):
        cards.sealed(mixture_card | {"metrics": {"\ud800": 1}})


def test_a_card_of_an_earlier_release(mixture_card, tmp_path):
    old = {name: value for name, value in mixture_card.items() if name != "digest"}
    (tmp_path / cards.NAME).write_text(json.dumps(old | {"schema_version": 1}))
    with pytest.raises(InputError, match="version is 1: an earlier release .* export the run ag"):
        cards.read(tmp_path / cards.NAME)

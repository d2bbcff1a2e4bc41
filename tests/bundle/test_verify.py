"""Verification of bundles: checksums, lint, parity."""

import dataclasses
import functools
import json
import math
import random
import shutil
import string

import numpy as np
import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.build import export
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER, VARIANTS, Tolerance
from keras_ganvae.bundle.inspection import parity
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.verify import tolerance, verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.priors import random as noise
from keras_ganvae.runs.run import Run


@pytest.mark.parametrize("arch", ["vae", "cvae", "dcgan"])
def test_passes(tiny_bundle, arch):
    checked = []
    report = verify(tiny_bundle(arch), progress=checked.append)
    assert set(report["models"]) == set(card.MODELS) <= set(checked)
    json.dumps(report, allow_nan=False)
    exact = report["models"]["model.tflite"]["parity"]["decode"]["image"]
    assert exact["max_error"] <= 1e-5 and exact["correlation"] > 0.9999
    sampled = report["models"][SAMPLER]["parity"]["sample"]
    assert sampled["latent"]["max_error"] <= 1e-5
    encoded = report["models"][SAMPLER]["parity"].keys() & {"encode", "reconstruct"}
    assert len(encoded) == (0 if arch == "dcgan" else 2)


def test_a_missing_bundle_is_bad_input(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError):
            verify(path)


def _truncate(folder):
    content = (folder / "model_int8.tflite").read_bytes()
    (folder / "model_int8.tflite").write_bytes(content[: len(content) // 2])


def _alter(folder):
    content = bytearray((folder / SAMPLER).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / SAMPLER).write_bytes(content)


def _remove(folder):
    (folder / GOLDEN).unlink()


def _add(folder):
    (folder / "extra").mkdir()
    (folder / "extra" / "notes.txt").write_text("mine")


def _damage_card(folder):
    text = (folder / card.NAME).read_text()
    (folder / card.NAME).write_text(text[: len(text) // 2])


FILES = {
    "truncated": (_truncate, "model_int8.tflite has .* bytes instead of"),
    "altered": (_alter, "sampler.tflite is not the file that its card lists"),
    "missing": (_remove, "golden.npz is missing"),
    "more": (_add, "notes.txt is not in model_card.json"),
    "a damaged card": (_damage_card, "model_card.json is damaged"),
}


@pytest.mark.parametrize("fault", FILES)
def test_files(bundle_copy, fault):
    damage, reason = FILES[fault]
    folder = bundle_copy("vae")
    damage(folder)
    with pytest.raises(GateFailed, match=reason) as failed:
        verify(folder)
    assert failed.value.exit_code == 1 and "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("README.md", "README.md has 4 bytes instead of"),
        ("benchmark.json", "benchmark.json is not in model_card.json; remove it"),
    ],
)
def test_what_is_made_from_the_card_is_listed(bundle_copy, name, reason):
    folder = bundle_copy("vae")
    (folder / name).write_text("text")
    with pytest.raises(GateFailed, match=reason):
        verify(folder)


def _swap(folder):
    shutil.copy(folder / "model_float16.tflite", folder / "model.tflite")


def _other_weights(folder):
    """A last bias that makes all images lighter."""
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray((folder / "model.tflite").read_bytes())
    graph = schema.Model.GetRootAs(bytes(content), 0)
    sizes = [graph.Buffers(i).DataLength() for i in range(graph.BuffersLength())]
    bias = graph.Buffers(sizes.index(784 * 4)).DataAsNumpy().tobytes()
    start = bytes(content).index(bias)
    lighter = (np.frombuffer(bias, np.float32) + 0.1).astype(np.float32).tobytes()
    content[start : start + len(bias)] = lighter
    (folder / "model.tflite").write_bytes(content)


def _golden(**changes):
    def edit(folder):
        with np.load(folder / GOLDEN) as stored:
            arrays = {name: changes.get(name, lambda x: x)(stored[name]) for name in stored}
        np.savez(folder / GOLDEN, **arrays)

    return edit


PARITY = {
    "float16 as float32": (_swap, "image of decode in .*model.tflite: max_error is"),
    "other weights": (_other_weights, "max_error is"),
    "other golden images": (_golden(images=lambda x: x * 0.9), "model.tflite: max_error is"),
    "other golden seeds": (_golden(seeds=lambda x: x + 1), "another distribution"),
    "another encoder": (_golden(means=lambda x: x + 0.01), "mean of encode"),
    "other reconstructions": (
        _golden(reconstructions=lambda x: x[::-1].copy()),
        "reconstruction of reconstruct",
    ),
    "other seed images": (_golden(seed_images=lambda x: x[::-1].copy()), "image of sample"),
}


@pytest.mark.parametrize("fault", PARITY)
def test_parity(bundle_copy, relisted, fault):
    damage, reason = PARITY[fault]
    folder = bundle_copy("vae")
    damage(folder)
    relisted(folder)
    with pytest.raises(GateFailed, match=reason):
        verify(folder)


def test_any_digit_of_the_card(bundle_copy):
    """200 edits of one digit anywhere: in texts, numbers, checksums and the digest itself."""
    folder = bundle_copy("vae")
    path = folder / card.NAME
    intact = path.read_text()
    digits = [i for i, char in enumerate(intact) if char in string.digits]
    rng = random.Random(0)
    for spot in rng.sample(digits, 200):
        digit = rng.choice(string.digits.replace(intact[spot], ""))
        path.write_text(f"{intact[:spot]}{digit}{intact[spot + 1 :]}")
        with pytest.raises(GateFailed, match=card.NAME) as failed:
            verify(folder)
        assert "\n" not in str(failed.value)
        with pytest.raises(InputError, match=card.NAME):
            Bundle.open(folder)
    path.write_text(intact)
    assert verify(folder)["files"]


# What no check of the files can tell: a digest can.
WORDS = {
    "metrics": lambda record: record["metrics"].update(float32={"frechet": 0.1}),
    "the training": lambda record: record["training"].update(epochs=1000),
    "the data": lambda record: record["dataset"].update(name="imagenet"),
    "the license": lambda record: record.update(license="none"),
    "the command": lambda record: record.update(command="rm"),
    "versions": lambda record: record["versions"].update(numpy="9"),
    "parity within the limits": lambda record: record["files"]["model.tflite"]["parity"].update(
        max_error=1e-9
    ),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_no_file_shows(bundle_copy, command, tmp_path, what):
    folder = bundle_copy("vae")
    record = json.loads((folder / card.NAME).read_text())
    WORDS[what](record)
    (folder / card.NAME).write_text(json.dumps(record))
    code, _, err = command("verify", folder)
    assert code == 1 and "digest is not that of the card, which was changed" in err
    code, _, err = command("sample", folder, "--count", 1, "--out", tmp_path / "x.png")
    assert code == 2 and "digest is not" in err and err.count("\n") == 1


def test_another_mixture(bundle_copy, relisted):
    folder = bundle_copy("vae")
    latent = json.loads((folder / card.NAME).read_text())["latent"]
    latent["mixture"]["means"][0][0] += 0.1
    relisted(folder, latent=latent)
    with pytest.raises(GateFailed, match="describes another distribution"):
        verify(folder)


# Keys and indices of one value in a card -> another value, and what the message says.
STATED = {
    "a variant that another file has": (
        ("files", "model_int8.tflite", "variant"),
        "float32",
        r"files\['model_int8.tflite'\]\['variant'\] is 'float32' instead of 'int8'",
    ),
    "an unknown variant": (
        ("files", "model.tflite", "variant"),
        "mine",
        "is 'mine' instead of 'float32'",
    ),
    "weights": (("files", "model.tflite", "weights"), "int8", "is 'int8' instead of 'float32'"),
    "weights of the sampler": (
        ("files", SAMPLER, "weights"),
        "float16",
        "sampler.tflite has float32 weights instead of float16",
    ),
    "activations": (
        ("files", "model_int8.tflite", "activations"),
        "float32",
        "is 'float32' instead of 'int8'",
    ),
    "an operator's name": (
        ("files", "model.tflite", "operators", 0, "name"),
        "MUL",
        "is 'MUL' instead of",
    ),
    "an operator's version": (
        ("files", "model.tflite", "operators", 0, "version"),
        9,
        r"operators'\]\[0\]\['version'\] is 9",
    ),
    "an operator's count": (
        ("files", SAMPLER, "operators", 2, "count"),
        999,
        r"operators'\]\[2\]\['count'\] is 999",
    ),
    "fewer operators": (("files", SAMPLER, "operators"), [], r"\['operators'\] is \[\]"),
    "a delegate": (
        ("files", "model_int8.tflite", "delegates", "Core ML"),
        "whole graph",
        "'whole graph' instead of 'all but",
    ),
    "no delegates": (("files", SAMPLER, "delegates"), {}, r"\['delegates'\] is {}"),
    "a tolerance": (
        ("files", "model_float16.tflite", "tolerance", "max_error"),
        1e-5,
        "is 1e-05 instead of 0.005",
    ),
    "better images": (
        ("files", "model_int8.tflite", "parity", "mean_error"),
        1e-5,
        r"\['mean_error'\] is 1e-05",
    ),
    "worse images": (
        ("files", "model_float16.tflite", "parity", "max_error"),
        4e-3,
        r"\['max_error'\] is 0.004",
    ),
    "a better PSNR": (("files", "model_int8.tflite", "parity", "psnr"), 99.0, "is 99.0"),
    "a PSNR of equal images": (("files", "model_int8.tflite", "parity", "psnr"), None, "is None"),
    "an absurd PSNR": (("files", "model.tflite", "parity", "psnr"), -1e300, "is -1e"),
    "a better correlation": (
        ("files", "model_int8.tflite", "parity", "correlation"),
        1,
        r"\['correlation'\] is 1 ",
    ),
    "no correlation": (
        ("files", "model_int8.tflite", "parity", "correlation"),
        None,
        r"\['correlation'\] is None",
    ),
    "an input's shape": (
        ("signatures", "decode", "inputs", "latent", "shape", 1),
        5,
        r"\['shape'\]\[1\] is 5 instead of 4",
    ),
    "an input's type": (
        ("signatures", "sample", "inputs", "seed", "dtype"),
        "float32",
        "is 'float32' instead of 'int32'",
    ),
    "an output's name": (
        ("signatures", "encode", "outputs"),
        {"mean": {"shape": [1, 4], "dtype": "float32"}},
        r"signatures\['encode'\]\['outputs'\] is {",
    ),
    "fewer signatures": (("signatures",), {}, "signatures is {} instead of"),
    "fewer files of a signature": (
        ("signatures", "decode", "files"),
        ["model.tflite"],
        r"\['files'\] is \['model.tflite'\]",
    ),
    "the size of images": (("image", "shape", 0), 32, "golden.npz is damaged"),
    "the number of latents": (
        ("latent",),
        {"size": 5, "distribution": "normal"},
        "golden.npz is damaged",
    ),
    "black and white": (("image", "meaning"), "0 is white, 1 is black", "image.meaning is '0 is w"),
    "the license": (("license",), "all rights reserved", "license is 'all rights reserved'"),
    "the recommended file": (("recommended", "file"), GOLDEN, "golden.npz, which is not a model"),
    "the reason for a file": (("recommended", "reason"), "best", "recommended.reason is 'best'"),
}


@pytest.mark.parametrize("fault", STATED)
def test_what_the_card_states_of_files(bundle_copy, restated, fault):
    (*keys, last), value, reason = STATED[fault]
    folder = bundle_copy("vae")

    def change(record):
        for key in keys:
            record = record[key]
        record[last] = value

    restated(folder, change)
    with pytest.raises(GateFailed, match=reason) as failed:
        verify(folder)
    assert "\n" not in str(failed.value)


def test_another_release_may_word_its_card_differently(bundle_copy, restated):
    def change(record):
        record["versions"]["keras_ganvae"] = "0.0.1"
        record["recommended"]["reason"] = "best"
        facts = record["files"]["model_int8.tflite"]
        facts["delegates"] = {"NPU": "whole graph"}
        facts["tolerance"]["reason"] = "8 bits"

    folder = bundle_copy("vae")
    restated(folder, change)
    assert verify(folder)["files"]


def test_parity_may_differ_between_processors(bundle_copy, restated):
    def change(record):
        for facts in record["files"].values():
            for name, factor in {"max_error": 1.4, "mean_error": 0.95}.items():
                if "parity" in facts:
                    facts["parity"][name] *= factor
        record["files"]["model.tflite"]["parity"] |= {"max_error": 9e-6, "psnr": None}

    folder = bundle_copy("vae")
    restated(folder, change)
    verify(folder)


def test_a_model_file_needs_a_known_name(bundle_copy, restated):
    folder = bundle_copy("vae")
    (folder / "model_int8.tflite").rename(folder / "best.tflite")

    def change(record):
        record["files"]["best.tflite"] = record["files"].pop("model_int8.tflite")
        files = record["signatures"]["decode"]["files"]
        files[files.index("model_int8.tflite")] = "best.tflite"

    restated(folder, change)
    with pytest.raises(GateFailed, match="best.tflite is not one of a bundle's model files"):
        verify(folder)


def test_a_file_of_another_variant(bundle_copy, relisted):
    """float32 weights pass int8's limits of parity, but are not what the name says."""
    folder = bundle_copy("vae")
    shutil.copy(folder / "model.tflite", folder / "model_int8.tflite")
    relisted(folder)
    with pytest.raises(GateFailed, match="int8.tflite has float32 weights instead of int8"):
        verify(folder)


@pytest.fixture(scope="module")
def mixture_bundle(run_of, mixture, tmp_path_factory):
    """`mixture_bundle(format)`: a bundle with a mixture of which `seeds` touch a part."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp("mixture")
        prior = dataclasses.replace(mixture(40, 4), held_out={"mixture": 0.0, "normal": 0.0})
        run = shutil.copytree(run_of("vae").path, folder / "run")
        prior.save(run / "prior.npz")
        return export(Run.open(run), folder / "bundle", formats=[name])

    return make


@pytest.fixture(params=["sampler", "float32"])
def many_components(mixture_bundle, tmp_path, request):
    """Copies of such bundles, with and without a sampler."""
    return shutil.copytree(mixture_bundle(request.param), tmp_path / "copy")


def test_every_component_of_a_mixture(many_components, restated):
    assert verify(many_components)["mixture_checked"] is (many_components / SAMPLER).exists()
    original = (many_components / card.NAME).read_text()
    bundle = Bundle.open(many_components)
    thresholds = noise.choice_thresholds(bundle.prior().weights)
    touched = noise.choices(bundle.golden()["seeds"], thresholds, bundle.latent_dim)
    untouched = sorted(set(range(40)) - set(touched.tolist()))
    assert len(untouched) > 20

    for k in untouched[::4]:
        for name, index in (("means", 1), ("factors", -1)):

            def change(record, k=k, name=name, index=index):
                record["latent"]["mixture"][name][k][index] += 1e-3

            restated(many_components, change)
            reason = rf"another distribution than golden.npz was drawn from \(component {k} "
            with pytest.raises(GateFailed, match=reason):
                verify(many_components)
            (many_components / card.NAME).write_text(original)


def test_the_weights_of_a_mixture(many_components, restated):
    def change(record):
        weights = record["latent"]["mixture"]["weights"]
        weights[20] += 1e-5
        weights[21] -= 1e-5

    restated(many_components, change)
    with pytest.raises(GateFailed, match=r"than golden.npz was drawn from \(component 2[01]"):
        verify(many_components)


def test_golden_numbers_of_some_components_only(many_components, relisted):
    """They agree with the card, but would not show that another component was altered."""
    prior = Bundle.open(many_components).prior()
    few = noise.image_seeds(0, 160)
    assert len(set(noise.choices(few, noise.choice_thresholds(prior.weights), 4).tolist())) < 40
    damage = _golden(component_seeds=lambda old: few, component_latents=lambda old: prior.draw(few))
    damage(many_components)
    relisted(many_components)
    with pytest.raises(GateFailed, match="its seeds choose other components"):
        verify(many_components)


def test_a_sampler_of_another_mixture(mixture_bundle, relisted, tmp_path):
    """The card and golden.npz agree, and `seeds` miss the component that differs."""
    folder = shutil.copytree(mixture_bundle("sampler"), tmp_path / "copy")
    bundle = Bundle.open(folder)
    thresholds = noise.choice_thresholds(bundle.prior().weights)
    k = min(set(range(40)) - set(noise.choices(bundle.golden()["seeds"], thresholds, 4).tolist()))
    latent = bundle.card["latent"]
    latent["mixture"]["means"][k][1] += 1e-3
    seeds = bundle.golden()["component_seeds"]
    _golden(component_latents=lambda old: bundle.prior().draw(seeds))(folder)
    relisted(folder, latent=latent)
    with pytest.raises(GateFailed, match=rf"sampler.tflite draws from \(component {k} of the mix"):
        verify(folder)


def test_a_mixture_can_not_be_checked_without_a_sampler(bundle_copy, restated):
    def change(record):
        del record["files"][SAMPLER]
        decode = record["signatures"]["decode"]
        record["signatures"] = {"decode": decode | {"files": decode["files"][:-1]}}

    folder = bundle_copy("vae")
    assert verify(folder)["mixture_checked"] is True
    (folder / SAMPLER).unlink()
    restated(folder, change)
    assert verify(folder)["mixture_checked"] is False
    assert verify(bundle_copy("dcgan"))["mixture_checked"] is None


def test_a_normal_prior_where_the_sampler_has_a_mixture(bundle_copy, relisted):
    folder = bundle_copy("vae")
    relisted(folder, latent={"size": 4, "distribution": "normal"})
    with pytest.raises(GateFailed, match="golden.npz .* of another distribution than its card"):
        verify(folder)


def test_lint_fails(bundle_copy, relisted, edited):
    def flex(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"FlexErf"

    folder = bundle_copy("vae")
    (folder / "model.tflite").write_bytes(edited(flex))
    relisted(folder)
    with pytest.raises(GateFailed, match="model.tflite: flex: FlexErf version 1 in decode"):
        verify(folder)


def test_signatures_that_the_card_does_not_list(bundle_copy, relisted):
    folder = bundle_copy("vae")
    shutil.copy(folder / SAMPLER, folder / "model.tflite")
    relisted(folder)
    with pytest.raises(GateFailed, match="model.tflite has the signatures decode, decode_16, "):
        verify(folder)


def test_parity_of_equal_images():
    images = np.random.default_rng(0).random((2, 4, 4, 1))
    same = parity(images, images)
    assert same["max_error"] == same["mean_error"] == 0
    assert same["psnr"] == math.inf and same["correlation"] == pytest.approx(1)


def test_parity_in_closed_form():
    golden = np.array([0.0, 0.2, 0.4, 0.6])
    shifted = parity(golden + 0.1, golden)
    assert shifted["max_error"] == pytest.approx(0.1) == shifted["mean_error"]
    assert shifted["psnr"] == pytest.approx(20)  # 10 log10(1 / 0.01)
    assert shifted["correlation"] == pytest.approx(1)
    turned = parity(golden[::-1], golden)
    assert turned["correlation"] == pytest.approx(-1)
    a, b = np.random.default_rng(0).random((2, 50))
    assert parity(a, b)["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_limits():
    limits = Tolerance("why", max_error=0.1, psnr=20.0)
    good = {"max_error": 0.1, "mean_error": 1.0, "psnr": 20.0, "correlation": -1.0}
    assert limits.violation(good) is None
    assert "max_error is 0.2, above 0.1" in limits.violation(good | {"max_error": 0.2})
    assert "psnr is 19, below 20" in limits.violation(good | {"psnr": 19.0})
    assert limits.violation(good | {"max_error": math.nan})
    assert limits.record() == {"max_error": 0.1, "psnr": 20.0, "reason": "why"}


def test_tolerances():
    assert all(each.tolerance.reason for each in VARIANTS.values())
    assert tolerance("float16", "float16").max_error == 5e-3
    assert tolerance("sampler", "float16", "sample", "latent").max_error == 1e-5
    assert tolerance("sampler", "float32").max_error == 1e-5
    assert tolerance("sampler", "float16").max_error == 5e-3

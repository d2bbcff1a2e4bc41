"""Verification of bundles: checksums, lint, parity."""

import json
import math
import shutil

import numpy as np
import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER, VARIANTS, Tolerance
from keras_ganvae.bundle.inspection import parity
from keras_ganvae.bundle.verify import tolerance, verify
from keras_ganvae.errors import GateFailed, InputError


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


def test_a_readme_and_a_benchmark_need_not_be_listed(bundle_copy):
    folder = bundle_copy("vae")
    for name in ("README.md", "benchmark.json"):
        (folder / name).write_text("text")
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


def test_another_mixture(bundle_copy, relisted):
    folder = bundle_copy("vae")
    latent = json.loads((folder / card.NAME).read_text())["latent"]
    latent["mixture"]["means"][0][0] += 0.1
    relisted(folder, latent=latent)
    with pytest.raises(GateFailed, match="describes another distribution"):
        verify(folder)


def test_a_normal_prior_where_the_sampler_has_a_mixture(bundle_copy, relisted):
    folder = bundle_copy("vae")
    relisted(folder, latent={"size": 4, "distribution": "normal"})
    with pytest.raises(GateFailed, match="describes another distribution"):
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
    with pytest.raises(GateFailed, match="its card lists others"):
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

"""`benchmark`: speed and image quality of a bundle's files, and the results in the bundle."""

import functools
import json
import shutil

import numpy as np
import pytest

from keras_ganvae.bundle import benchmark, card, quality, speed
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError

VARIANTS = ["float32", "dynamic_int8", "float16", "int8", "sampler"]
# In this process, with few runs.
quick_benchmark = functools.partial(
    benchmark.benchmark, measure_speed=functools.partial(speed.measure, loads=2, runs=20)
)


def test_speed_of_a_file_in_a_subprocess(tiny_bundle):
    found = speed.measure_in_subprocess(tiny_bundle("vae") / "model.tflite", 1)
    assert found["threads"] == 1 and found["runs"] == speed.RUNS
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert found["load_ms"] > 0
    # The interpreter maps and packs the weights; TensorFlow alone would take 300 MB.
    assert 0 < found["memory_mb"] < 100


def test_a_file_that_cannot_be_run(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"none")
    with pytest.raises(InputError, match=r"can't measure .*model\.tflite"):
        speed.measure_in_subprocess(path, 1)


@pytest.fixture(scope="module")
def result(tiny_bundle, run_of, tmp_path_factory):
    """A bundle and its benchmark, compared with the model of its run."""
    folder = shutil.copytree(tiny_bundle("vae"), tmp_path_factory.mktemp("benchmark") / "vae")
    bundle, run = Bundle.open(folder), run_of("vae")
    return bundle, quick_benchmark(bundle, dataset=run.dataset(), run=run, samples=150)


def test_every_file_is_measured(result):
    bundle, found = result
    assert sorted(found["files"]) == sorted(VARIANTS)
    assert found["files"]["int8"]["bytes"] == (bundle.path / "model_int8.tflite").stat().st_size
    assert set(found["quality"]) == {"real images", "keras", *VARIANTS}
    assert json.loads((bundle.path / "benchmark.json").read_text()) == found
    assert (bundle.path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_the_images_of_each_file_are_measured(result):
    """float32's are those of Keras, int8's are close, and real images are better."""
    found = {name: each["frechet"]["value"] for name, each in result[1]["quality"].items()}
    assert found["float32"] == pytest.approx(found["keras"], rel=1e-2)
    assert found["int8"] == pytest.approx(found["keras"], rel=0.2)
    assert found["int8"] != found["keras"]
    assert found["real images"] < 0.5 * found["keras"]


def test_the_bundle_has_the_results_and_passes_verification(result):
    bundle, found = result
    metrics = Bundle.open(bundle.path).card["metrics"]
    assert metrics["int8"]["frechet"] == found["quality"]["int8"]["frechet"]["value"]
    assert metrics["int8"]["p50_ms"] == found["files"]["int8"]["speed"][0]["p50_ms"]
    assert "150 samples (seed 0)" in metrics["protocol"]
    assert "## Benchmark" in (bundle.path / card.README).read_text()
    assert verify(bundle.path)["files"] == len(bundle.files) + 2  # benchmark.json, its picture


def test_all_that_it_wrote_is_listed(result):
    bundle, _ = result
    listed = Bundle.open(bundle.path).files
    assert {"benchmark.json", "benchmark.png", "README.md"} <= listed.keys()
    assert {name: listed[name]["sha256"] for name in listed} == {
        name: facts["sha256"] for name, facts in card.listing(bundle.path).items()
    }


def test_without_images(bundle_copy):
    bundle = Bundle.open(bundle_copy("vae"))
    found = quick_benchmark(bundle)
    verify(bundle.path)
    updated = Bundle.open(bundle.path).card
    assert "quality" not in found and "frechet" not in updated["metrics"]["int8"]
    assert updated["recommended"] == bundle.card["recommended"]


def with_frechet(found, **values):
    changed = {
        name: {"frechet": {"value": value}, "coverage": {"value": 0.5}}
        for name, value in values.items()
    }
    return found | {"quality": found["quality"] | changed}


def test_a_file_with_worse_images_gets_a_note_and_is_not_recommended(result):
    bundle, found = result
    close = with_frechet(found, float32=10.0, float16=10.4, int8=10.6)
    updated = benchmark.updated_card(bundle, close)
    assert "note" not in updated["metrics"]["float16"]
    assert "1.06 times float32's" in updated["metrics"]["int8"]["note"]
    assert updated["recommended"]["file"] == "model_float16.tflite"
    far = with_frechet(found, float32=10.0, float16=11.0)
    assert benchmark.updated_card(bundle, far)["recommended"]["file"] == "model.tflite"


def test_check_quality(result):
    found = with_frechet(result[1], **dict.fromkeys(VARIANTS, 1.0))
    benchmark.check_quality(found, 0.5)
    with pytest.raises(GateFailed, match="coverage 0.500 is below 0.51"):
        benchmark.check_quality(found, 0.51)
    found["quality"]["int8"] = {"coverage": {"value": float("nan")}}
    with pytest.raises(GateFailed, match="int8"):
        benchmark.check_quality(found, 0.0)


@pytest.mark.parametrize("arch", ["cvae", "gan"])
def test_another_run_is_an_error(tiny_bundle, run_of, arch):
    with pytest.raises(InputError, match="its golden images differ"):
        quality.keras_decoder(Bundle.open(tiny_bundle("vae")), run_of(arch))


def test_the_data_set_is_the_one_of_the_card(tiny_bundle, tmp_path):
    bundle = Bundle.open(tiny_bundle("vae"))
    assert quality.dataset_of(bundle).fingerprint == bundle.card["dataset"]["fingerprint"]
    other = tmp_path / "other.npz"
    pixels = np.random.default_rng(0).integers(0, 255, (500, 28, 28), dtype=np.uint8)
    np.savez(other, images=pixels)
    with pytest.raises(InputError, match="vae-synthetic was not trained on npz:"):
        quality.dataset_of(bundle, f"npz:{other}")
    with pytest.raises(InputError, match="`no_quality` leaves them out"):
        quality.dataset_of(bundle, "folder:nowhere")


def test_the_saved_model_decodes_like_the_model_of_the_run(run_of, tmp_path):
    from keras_ganvae.bundle.build import export
    from keras_ganvae.models import latents

    run = run_of("gan")
    out = export(run, tmp_path / "gan", formats=["float32", "saved_model"])
    decode = quality.keras_decoder(Bundle.open(out))
    z = run.prior().sample(3, 0)
    np.testing.assert_allclose(decode(z), latents.decode(run.model(), z), atol=1e-5)


@pytest.mark.slow
def test_from_the_command_line(bundle_copy, terminal):
    folder = bundle_copy("gan")
    done = terminal("benchmark", folder, "--samples", 150)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) < 80 and lines[-1].startswith("real images")
    done = terminal("benchmark", folder, "--samples", 150, "--min-quality", 1, "--json")
    assert done.returncode == 1 and "is below 1" in done.stderr
    assert json.loads(done.stdout)["quality"]
    for wrong in (["--min-quality", 2], ["--min-quality", 0.5, "--no-quality"]):
        done = terminal("benchmark", folder, *wrong)
        assert done.returncode == 2 and "--min-quality" in done.stderr
    (folder / "benchmark.json").write_text("cut sho")  # the process was killed before the card
    assert terminal("verify", folder).returncode == 1
    assert terminal("benchmark", folder, "--samples", 150).returncode == 0
    assert terminal("verify", folder).returncode == 0
    (folder / "model_int8.tflite").unlink()
    done = terminal("benchmark", folder)
    assert done.returncode == 2 and "model_int8.tflite is missing" in done.stderr

"""`benchmark`: costs and quality of a bundle's files, and what it leaves in the bundle."""

import json
import shutil

import numpy as np
import pytest

from keras_ganvae.bundle import benchmark, card, quality, speed
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.tflite.run import open_model

VARIANTS = ["float32", "dynamic_int8", "float16", "int8", "sampler"]


def test_speed_of_a_file_in_a_process_of_its_own(tiny_bundle):
    found = speed.apart(tiny_bundle("vae") / "model.tflite", 1)
    assert found["threads"] == 1 and found["runs"] == speed.RUNS
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert found["load_ms"] > found["p50_ms"]
    # The interpreter maps and packs the weights; TensorFlow alone would be 300 MB.
    assert 0 < found["memory_mb"] < 100


def test_a_file_that_cannot_be_run(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"none")
    with pytest.raises(InputError, match=r"can't measure .*model\.tflite"):
        speed.apart(path, 1)


@pytest.fixture(scope="module")
def fast():
    """Without processes: `speed.measure` here, of a few runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "RUNS", 20)
        patch.setattr(speed, "LOADS", 2)
        patch.setattr(speed, "apart", speed.measure)
        yield


@pytest.fixture(scope="module")
def result(fast, tiny_bundle, run_of, tmp_path_factory):
    """(bundle, its benchmark beside the run's own model)."""
    folder = shutil.copytree(tiny_bundle("vae"), tmp_path_factory.mktemp("benchmark") / "vae")
    bundle, run = Bundle.open(folder), run_of("vae")
    return bundle, benchmark.benchmark(bundle, dataset=run.dataset(), run=run, samples=150)


def test_every_file_is_measured(result):
    bundle, found = result
    assert sorted(found["files"]) == sorted(VARIANTS)
    assert found["files"]["int8"]["bytes"] == (bundle.path / "model_int8.tflite").stat().st_size
    assert set(found["quality"]) == {"real images", "keras", *VARIANTS}
    assert json.loads((bundle.path / "benchmark.json").read_text()) == found
    assert (bundle.path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_the_images_are_the_files_own(result):
    """float32 draws what Keras draws, int8 nearly so, real images are nearer."""
    found = {name: each["frechet"]["value"] for name, each in result[1]["quality"].items()}
    assert found["float32"] == pytest.approx(found["keras"], rel=1e-2)
    assert (
        found["int8"] == pytest.approx(found["keras"], rel=0.2) and found["int8"] != found["keras"]
    )
    assert found["real images"] < 0.5 * found["keras"]


def test_the_bundle_says_it_and_is_still_whole(result):
    bundle, found = result
    again = Bundle.open(bundle.path)
    metrics = again.card["metrics"]
    assert metrics["int8"]["frechet"] == found["quality"]["int8"]["frechet"]["value"]
    assert metrics["int8"]["p50_ms"] == found["files"]["int8"]["speed"][0]["p50_ms"]
    assert "150 samples (seed 0)" in metrics["protocol"]
    assert "## Measured" in (bundle.path / card.README).read_text()
    assert verify(bundle.path)["files"] == len(bundle.files)


def test_without_images(fast, bundle_copy):
    bundle = Bundle.open(bundle_copy("vae"))
    found = benchmark.benchmark(bundle)
    assert "quality" not in found and "frechet" not in benchmark.metrics_of(found)["int8"]
    assert Bundle.open(bundle.path).card["recommended"] == bundle.card["recommended"]


def _with_frechet(found, **values):
    changed = {
        name: {"frechet": {"value": value}, "coverage": {"value": 0.5}}
        for name, value in values.items()
    }
    return found | {"quality": found["quality"] | changed}


def test_a_file_that_falls_behind_is_named_and_not_recommended(result):
    bundle, found = result
    close = _with_frechet(found, float32=10.0, float16=10.4, int8=10.6)
    assert "note" not in benchmark.metrics_of(close)["float16"]
    assert "1.06 times float32's" in benchmark.metrics_of(close)["int8"]["note"]
    assert benchmark._recommended(bundle, close)["file"] == "model_float16.tflite"
    far = _with_frechet(found, float32=10.0, float16=11.0)
    assert benchmark._recommended(bundle, far)["file"] == "model.tflite"


def test_the_floor_of_a_build(result):
    found = _with_frechet(result[1], **dict.fromkeys(VARIANTS, 1.0))
    benchmark.check_quality(found, 0.5)
    with pytest.raises(GateFailed, match="coverage 0.500 is below 0.51"):
        benchmark.check_quality(found, 0.51)
    found["quality"]["int8"] = {"coverage": {"value": float("nan")}}
    with pytest.raises(GateFailed, match="int8"):
        benchmark.check_quality(found, 0.0)


def test_another_run_or_other_data_is_refused(tiny_bundle, run_of):
    bundle = Bundle.open(tiny_bundle("vae"))
    for arch in ("cvae", "gan"):
        with pytest.raises(InputError, match="golden images are others"):
            quality._keras_model(bundle, run_of(arch))
    with pytest.raises(InputError, match="is not what vae-synthetic was trained on"):
        quality.dataset_of(bundle, "npz:" + str(_other_data(bundle)))
    with pytest.raises(InputError, match="--no-quality"):
        quality.dataset_of(bundle, "folder:nowhere")
    assert quality.dataset_of(bundle).fingerprint == bundle.card["dataset"]["fingerprint"]


def _other_data(bundle):
    path = bundle.path.parent / "other.npz"
    rng = np.random.default_rng(0)
    np.savez(path, images=rng.integers(0, 255, (500, 28, 28), dtype=np.uint8))
    return path


def test_a_saved_model_stands_for_the_run(run_of, tmp_path):
    from keras_ganvae.bundle.build import export
    from keras_ganvae.models import latents

    run = run_of("gan")
    out = export(run, tmp_path / "gan", formats=["float32", "saved_model"])
    decode = quality._keras_model(Bundle.open(out), None)
    z = run.prior().sample(3, 0)
    np.testing.assert_allclose(decode(z), latents.decode(run.model(), z), atol=1e-5)
    with pytest.raises(InputError, match="has no signature decode_2"):
        open_model(out / "model.tflite").run("decode_2")


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
    (folder / "model_int8.tflite").unlink()
    done = terminal("benchmark", folder)
    assert done.returncode == 2 and "model_int8.tflite is missing" in done.stderr

"""Export, verify and sample a bundle, from Python and the command line."""

import collections
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema

import keras_ganvae
from keras_ganvae.bundle import golden
from keras_ganvae.bundle.build import export
from keras_ganvae.bundle.formats import SAVED_MODEL, VARIANTS
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import sha256_of
from keras_ganvae.ownership import BUNDLE, remove_own
from keras_ganvae.plots import latent_space
from keras_ganvae.tflite import lint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundles(run_of, tmp_path_factory):
    """A bundle of a tiny vae with everything, and a small one of a tiny gan."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "vae": export(run_of("vae"), folder / "vae"),
        "gan": export(run_of("gan"), folder / "gan", formats=["float32", "sampler"]),
    }


def test_formats(bundles):
    vae, gan = (Bundle.open(bundles[arch]) for arch in ("vae", "gan"))
    assert set(vae.variants) == set(VARIANTS)
    assert set(gan.variants) == {"float32", "sampler"}
    assert (bundles["vae"] / SAVED_MODEL / "saved_model.pb").exists()
    assert not (bundles["gan"] / SAVED_MODEL).exists()
    assert "model_float16.tflite" in (bundles["vae"] / "README.md").read_text()
    assert not list(bundles["vae"].parent.glob(".part-*"))


# In a process of its own: the command is recorded, and is that of the tests here.
EXPORT = """
import sys
_, run, out, *sys.argv[1:] = sys.argv
import keras_ganvae
keras_ganvae.export_run(keras_ganvae.load_run(run), out)
"""


def test_an_export_repeated_elsewhere_gives_the_same_bytes(bundles, run_of, tmp_path):
    command = [sys.executable, "-c", EXPORT, run_of("vae").path, tmp_path / "vae", *sys.argv[1:]]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (
        {
            path.relative_to(folder).as_posix(): sha256_of(path)
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (bundles["vae"], tmp_path / "vae")
    )
    assert one == two and len(one) >= 10


@pytest.mark.parametrize("arch", ["vae", "gan"])
def test_a_bundle_draws_what_its_run_draws(bundles, run_of, tmp_path, terminal, arch):
    latent_space.sample(run_of(arch), 5, 3, tmp_path / "run.npz")
    files = [bundles[arch], bundles[arch] / "sampler.tflite", bundles[arch] / "model.tflite"]
    for i, source in enumerate(files):
        out = tmp_path / f"{i}.npz"
        done = terminal("sample", source, "--count", 5, "--seed", 3, "--out", out)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "run.npz") as wanted, np.load(out) as found:
            apart = np.abs(wanted["samples"].astype(int) - found["samples"])
        assert apart.max() <= 1


def test_tensorflow_is_not_needed_afterwards(bundles, terminal, tmp_path):
    commands = (
        ("verify", bundles["gan"]),
        ("sample", bundles["gan"], "--out", tmp_path / "grid.png"),
    )
    for arguments in commands:
        done = terminal(*arguments, python_options=("-X", "importtime"))
        assert done.returncode == 0
        assert "tensorflow" not in done.stderr and "keras.src" not in done.stderr


def test_a_float16_sampler(bundles, run_of, tmp_path):
    out = export(run_of("vae"), tmp_path / "small", formats=["sampler"], sampler_weights="float16")
    small, whole = (Bundle.open(each).files["sampler.tflite"] for each in (out, bundles["vae"]))
    assert small["weights"] == "float16" and whole["weights"] == "float32"
    assert small["bytes"] < 0.6 * whole["bytes"]
    assert small["tolerance"]["max_error"] == 5e-3 and whole["tolerance"]["max_error"] == 1e-5
    with pytest.raises(InputError, match="unknown weights 'float8'"):
        export(run_of("vae"), tmp_path / "no", sampler_weights="float8")


def test_the_normal_prior(run_of, tmp_path):
    out = export(run_of("vae"), tmp_path / "plain", formats=["float32"], prior="normal")
    assert Bundle.open(out).prior().name == "normal"


def test_from_python(run_of, tmp_path):
    out = keras_ganvae.export_run(run_of("gan"), tmp_path / "gan", formats=["float16"])
    assert set(Bundle.open(out).variants) == {"float16"}


def test_only_overwrite_replaces_a_bundle(bundles, run_of, tmp_path):
    out = shutil.copytree(bundles["gan"], tmp_path / "gan")
    with pytest.raises(InputError, match="already holds a bundle; `overwrite` replaces it"):
        export(run_of("gan"), out)
    export(run_of("gan"), out, formats=["float32"], overwrite=True)
    assert set(Bundle.open(out).variants) == {"float32"}


def test_every_file_of_a_bundle_is_ours(bundles, tmp_path):
    out = shutil.copytree(bundles["vae"], tmp_path / "vae")
    assert (out / SAVED_MODEL / "variables").is_dir()
    remove_own(out, BUNDLE)
    assert not list(out.iterdir())


def test_an_empty_path_is_not_the_current_directory(
    bundles, run_of, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(shutil.copytree(bundles["gan"], tmp_path / "gan"))
    code, _, err = command("export", run_of("gan").path, "--out", "", "--overwrite")
    assert code == 2 and "--out is empty" in err
    code, _, err = command("export", run_of("gan").path, "--out", ".", "--overwrite")
    assert code == 2 and "--out . is" in err and (tmp_path / "gan" / "golden.npz").exists()


def test_samples_do_not_replace_files_of_their_bundle(bundles, command):
    for name in ("golden.npz", "samples.png"):
        before = (bundles["gan"] / name).read_bytes()
        code, _, err = command("sample", bundles["gan"], "--out", bundles["gan"] / name)
        assert code == 2 and "is part of the bundle" in err
        assert (bundles["gan"] / name).read_bytes() == before


def test_other_files_in_the_folder_of_a_bundle_are_kept(bundles, run_of, tmp_path):
    out = shutil.copytree(bundles["gan"], tmp_path / "assets")
    (out / "icon.png").touch()
    with pytest.raises(InputError, match="has icon.png, which is not part of"):
        export(run_of("gan"), out, formats=["float32"], overwrite=True)
    assert (out / "icon.png").exists()


def test_a_full_disk_says_so(run_of, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise tf.errors.InternalError(None, None, "/out/variables; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="can't write the SavedModel") as caught:
        export(run_of("gan"), tmp_path / "new", formats=["float32"])
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_failed_export_leaves_nothing_behind(run_of, tmp_path, monkeypatch):
    def negatives(model, prior):
        arrays = make(model, prior)
        return arrays | {"images": 1 - arrays["images"]}

    make = golden.make
    monkeypatch.setattr(golden, "make", negatives)
    with pytest.raises(GateFailed, match="image of decode in .*: max_error is"):
        export(run_of("gan"), tmp_path / "new", formats=["float32"])
    assert not list(tmp_path.iterdir())


def test_each_file_is_read_linted_and_run_once(run_of, tmp_path, monkeypatch):
    counts = collections.Counter()

    def count(owner, name, key):
        original = getattr(owner, name)

        def counted(*arguments, **options):
            counts[key] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(schema.Model, "GetRootAs", "read")
    count(lint, "lint", "linted")
    count(interpreter, "Interpreter", "run")
    out = export(run_of("vae"), tmp_path / "new", formats=list(VARIANTS))
    assert counts == dict.fromkeys(("read", "linted", "run"), len(VARIANTS))
    counts.clear()
    verify(out)
    assert counts == dict.fromkeys(("read", "linted", "run"), len(VARIANTS))


def test_bad_input(run_of, tmp_path, command, bundles):
    run = run_of("gan").path
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "app.kt").touch()
    for arguments, code, message in (
        (("export", run, "--out", tmp_path / "full"), 2, "is not empty and not a bundle"),
        (
            ("export", run, "--out", tmp_path / "b", "--formats", "float61"),
            2,
            "unknown format 'float61'; did you mean 'float16'?",
        ),
        (
            ("export", run, "--out", tmp_path / "b", "--formats", "saved_model"),
            2,
            "--formats needs one of",
        ),
        (("export", tmp_path, "--out", tmp_path / "b"), 2, "is not a run folder"),
        (("verify", tmp_path / "none"), 2, "none"),
        (("sample", tmp_path / "none.tflite", "--out", tmp_path / "a.png"), 2, "none.tflite"),
    ):
        found, out, err = command(*arguments)
        assert (found, out) == (code, "") and message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "b").exists() and (tmp_path / "full" / "app.kt").exists()


def test_an_altered_file_fails_verify(bundles, tmp_path, command):
    bundle = shutil.copytree(bundles["gan"], tmp_path / "gan")
    content = bytearray((bundle / "model.tflite").read_bytes())
    content[-100] ^= 1
    (bundle / "model.tflite").write_bytes(content)
    code, _, err = command("verify", bundle)
    assert code == 1 and "model.tflite" in err and len(err.splitlines()) == 1

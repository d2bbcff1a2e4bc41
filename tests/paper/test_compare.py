"""`compare` from end to end, on tiny runs."""

import json
import shutil

import pytest

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.paper.compare import compare
from keras_ganvae.runs.run import Run

SETTINGS = Settings(samples=150, importance_samples=3, bound_images=8, features="digits")


@pytest.fixture(scope="module")
def copies(run_of, tmp_path_factory):
    """Copies of a tiny GAN and VAE, into whose folders tests may write."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        arch: Run.open(shutil.copytree(run_of(arch).path, folder / arch)) for arch in ("gan", "vae")
    }


def test_a_comparison(copies, tmp_path):
    paths = [run.path for run in copies.values()]
    found = compare(paths, tmp_path / "report", SETTINGS)
    written = json.loads((tmp_path / "report" / "results.json").read_text())
    assert written == json.loads(json.dumps(found)) and written["schema_version"] == 1
    assert [model["label"] for model in found["models"]] == [
        f"{arch} ({changed})"
        for arch, changed in (
            ("gan", "batch size 32, latent dim 4"),
            ("vae", "batch size 32, latent dim 4"),
        )
    ]
    assert [claim["number"] for claim in found["claims"]] == list(range(1, 11))
    verdicts = {claim["number"]: claim["verdict"] for claim in found["claims"]}
    assert verdicts[1] == "not tested" and verdicts[9] != "not tested"
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    compare(paths, tmp_path / "report", SETTINGS)  # again into the same folder


def test_the_commands_include_the_extension_of_a_run(copies, tmp_path):
    extended = shutil.copytree(copies["gan"].path, tmp_path / "gan")
    record = json.loads((extended / "config.json").read_text())
    epochs = record["config"]["epochs"]
    # As `train --resume` leaves it, without its training: the model stays the measured one.
    record["config"]["schedule_epochs"] = epochs - 1
    (extended / "config.json").write_text(json.dumps(record))
    found = compare([copies["gan"].path, extended], tmp_path / "page", SETTINGS, by_seed=False)
    assert found["commands"][:-1] == [
        record["command"],
        record["command"],
        f"keras-ganvae train --resume {extended} --epochs {epochs}",
    ]


def test_what_cannot_be_compared(copies, tmp_path, train_tiny):
    gan = copies["gan"].path
    other = train_tiny("gan", limit=190, epochs=1).path
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    (tmp_path / "unfinished").mkdir()
    taken = shutil.copytree(gan, tmp_path / "taken")
    (taken / "evaluation.json").unlink(missing_ok=True)
    (taken / "evaluation.json").mkdir()
    shutil.copy(gan / "config.json", tmp_path / "unfinished")
    for paths, out, message in (
        ([gan, tmp_path / "none"], "new", "no run folder at"),
        ([gan, tmp_path / "unfinished"], "new", "is not finished"),
        ([gan, other], "new", "their data's fingerprint differs"),
        ([gan, gan], "new", "a run is named twice"),
        ([taken], "new", "evaluation.json is no file that could be replaced"),
        ([gan], "full", "is not empty and no comparison"),
        ([gan], "full/thesis.txt", "is a file; choose a folder"),
        ([gan], "full/thesis.txt/new", "is not a writable folder"),
    ):
        with pytest.raises(InputError, match=message):
            compare(paths, tmp_path / out, SETTINGS)
    assert (tmp_path / "full" / "thesis.txt").exists()
    assert not (tmp_path / "new").exists()

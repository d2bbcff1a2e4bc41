"""`compare` from end to end, on tiny runs."""

import json
import shlex
import shutil

import pytest

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.paper.compare import compare

SETTINGS = protocol.Settings(samples=150, importance_samples=3, bound_images=8, features="digits")
OPTIONS = "--samples 150 --importance-samples 3 --bound-images 8 --features digits"


@pytest.fixture(scope="module")
def paths(copy_of):
    return {arch: copy_of(arch).path for arch in ("gan", "vae")}


def test_a_comparison_on_the_command_line(paths, tmp_path, command):
    report = tmp_path / "report"
    arguments = ["compare", *paths.values(), "--out", report, *OPTIONS.split()]
    code, out, _ = command(*arguments)
    assert code == 0 and " 1. not tested" in out and str(report / "index.html") in out
    results = json.loads((report / "results.json").read_text())
    assert (results["schema"], results["schema_version"]) == ("keras-ganvae/comparison", 1)
    assert [model["label"] for model in results["models"]] == [
        "gan (batch size 32, latent dim 4)",
        "vae (batch size 32, latent dim 4)",
    ]
    assert {model["error_over"] for model in results["models"]} == {"images"}
    verdicts = {claim["number"]: claim["verdict"] for claim in results["claims"]}
    assert list(verdicts) == list(range(1, 11))
    assert verdicts[1] == "not tested" and verdicts[9] != "not tested"
    assert results["commands"][-1] == shlex.join(["keras-ganvae", *map(str, arguments)])
    assert (report / "index.html").read_text().startswith("<!doctype html>")
    assert compare(paths.values(), report, SETTINGS) == results  # replaces the first report


def test_the_commands_repeat_an_extension(paths, tmp_path):
    extended = shutil.copytree(paths["gan"], tmp_path / "gan")
    record = json.loads((extended / "config.json").read_text())
    epochs = record["config"]["epochs"]
    # As `train --resume` would record it; the model need not change for this.
    record["config"]["schedule_epochs"] = epochs - 1
    (extended / "config.json").write_text(json.dumps(record))
    results = compare([paths["gan"], extended], tmp_path / "report", SETTINGS, by_seed=False)
    assert results["commands"][:-1] == [
        record["command"],
        record["command"],
        f"keras-ganvae train --resume {extended} --epochs {epochs}",
    ]
    assert results["commands"][-1].endswith("--no-seeds")


def test_what_cannot_be_compared(paths, tmp_path, train_tiny):
    gan = paths["gan"]
    other = train_tiny("gan", limit=190, epochs=1).path
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    for name, schema in (("site", "another"), ("mine", "comparison"), ("linked", "comparison")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(f'{{"schema": "keras-ganvae/{schema}"}}')
        (tmp_path / name / "index.html").write_text("my page")
    (tmp_path / "linked" / "index.html").unlink()
    (tmp_path / "linked" / "index.html").symlink_to(tmp_path / "page.html")
    (tmp_path / "unfinished").mkdir()
    taken = shutil.copytree(gan, tmp_path / "taken")
    (taken / "evaluation.json").unlink(missing_ok=True)
    (taken / "evaluation.json").mkdir()
    shutil.copy(gan / "config.json", tmp_path / "unfinished")
    for runs, out, message in (
        ([gan, tmp_path / "none"], "new", "no run folder at"),
        ([gan, tmp_path / "unfinished"], "new", "is not finished"),
        ([gan, other], "new", "their data's fingerprint differs"),
        ([gan, gan], "new", "a run is given twice"),
        ([taken], "new", "evaluation.json"),
        ([gan], "full", "is not empty and not a comparison"),
        ([gan], "full/thesis.txt", "thesis.txt` is a file"),
        ([gan], "site", "is not empty and not a comparison"),
        ([gan], "mine", "has index.html, which is not of the comparison"),
        ([gan], "linked", "has index.html, which is a link"),
        ([gan], gan, "is not empty and not a comparison"),
        ([gan], "full/thesis.txt/new", "thesis.txt"),
    ):
        with pytest.raises(InputError, match=message):
            compare(runs, tmp_path / out, SETTINGS)
    assert (tmp_path / "full" / "thesis.txt").exists()
    assert not (tmp_path / "new").exists()

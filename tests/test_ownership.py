"""What `overwrite` may remove and outputs may not replace."""

import json
import os

import pytest

from keras_ganvae.errors import InputError
from keras_ganvae.ownership import (
    BUNDLE,
    COMPARISON,
    KINDS,
    RUN,
    SITE,
    check_output,
    check_replaceable,
    remove_own,
)

RUN_RECORD = {
    "arch": "gan",
    "config": {"arch": "gan"},
    "dataset": {"fingerprint": "0"},
    "versions": {},
    "command": "keras-ganvae train",
}
PRECACHE = 'self.VERSION = "0123456789abcdef";\nself.FILES = %s;\n'
CONTENT = {
    RUN: {
        "config.json": json.dumps(RUN_RECORD),
        "checkpoint/00001-0000000/variables.npz": "",
        "tensorboard/train/events.out.tfevents.1.host": "",
        "figures/samples-00001.png": "",
        "model.keras": "",
        ".lock": "",
        "logs/worker-1.log": "",
    },
    BUNDLE: {
        "model_card.json": json.dumps(
            {"schema": "keras-ganvae/model-card", "files": {"saved_model/variables/a": {}}}
        ),
        "saved_model/variables/a": "",
        "README.md": "",
    },
    SITE: {
        "precache.js": PRECACHE % json.dumps(["./", "bundles/index.json", "bundles/%C3%A9/a"]),
        "bundles/index.json": "",
        "bundles/é/a": "",
        "sw.js": "",
    },
    COMPARISON: {"results.json": '{"schema": "keras-ganvae/comparison"}', "index.html": ""},
}


@pytest.fixture
def make(tmp_path):
    """`make(kind)`: a folder of this kind."""

    def write(kind):
        folder = tmp_path / "work" / kind.name
        for name, text in CONTENT[kind].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return write


def _tree(folder):
    return sorted(os.fspath(path) for path in folder.rglob("*"))


def _refused(folder, kind, match, **options):
    """Neither `check_replaceable` nor `remove_own` accepts the folder; all of it stays."""
    before = _tree(folder.parent)
    with pytest.raises(InputError, match=match):
        check_replaceable(folder, kind, overwrite=True, **options)
    if not options:
        with pytest.raises(InputError, match="not part of"):
            remove_own(folder, kind)
    assert _tree(folder.parent) == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_all_that_is_ours_may_be_replaced(make, kind):
    folder = make(kind)
    if kind is not COMPARISON:
        with pytest.raises(InputError, match=f"already holds a {kind.name}; `overwrite` replaces"):
            check_replaceable(folder, kind, overwrite=False)
    check_replaceable(folder, kind, overwrite=True)
    remove_own(folder, kind)
    assert _tree(folder) == []


def test_what_is_to_stay_stays(make):
    folder = make(RUN)
    remove_own(folder, RUN, keep=(".lock", "logs"))
    assert [os.path.basename(path) for path in _tree(folder)] == [".lock", "logs", "worker-1.log"]


@pytest.mark.parametrize("kind", [RUN, BUNDLE, SITE], ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["notes.md", ".git/config", "figures/blog/a.md", "CNAME", "new/"])
def test_other_files_and_folders_are_named_and_kept(make, kind, name):
    folder = make(kind)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if name.endswith("/") else path.write_text("precious")
    _refused(folder, kind, f"has {name}, which is not part of the {kind.name}")


def test_links_are_not_followed(make, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "loss.png").write_text("precious")
    for name, target in (("figures", "thesis"), ("prior.npz", "thesis/loss.png")):
        folder = make(RUN)
        link = folder / name
        if link.exists():
            link.rename(tmp_path / "moved")
        link.symlink_to(tmp_path / target)
        _refused(folder, RUN, f"has {name}, which is not part of the run")
        link.unlink()
    assert (tmp_path / "thesis" / "loss.png").read_text() == "precious"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[" * 100_000,
        '{"name": "my-app", "config": {}, "dataset": {}}',
        json.dumps(RUN_RECORD | {"config": "gan"}),
        json.dumps(RUN_RECORD | {"dataset": []}),
    ],
)
def test_a_foreign_index_file_makes_nothing_ours(make, text):
    for kind in KINDS:
        folder = make(kind)
        (folder / kind.index).write_text(text)
        with pytest.raises(InputError, match=f"is not empty and not a {kind.name}"):
            check_replaceable(folder, kind, overwrite=True)


def test_a_run_that_was_killed_before_its_first_file_was_written(tmp_path):
    for name in ("figures", "checkpoint", "tensorboard", "logs"):
        (tmp_path / "run" / name).mkdir(parents=True)
    for name in (".lock", "logs/worker-1.log", ".part-1-0-0.json"):
        (tmp_path / "run" / name).touch()
    check_replaceable(tmp_path / "run", RUN, overwrite=False)
    remove_own(tmp_path / "run", RUN)
    assert _tree(tmp_path / "run") == []
    (tmp_path / "run" / "checkpoint" / "00001-0000000").mkdir(parents=True)
    with pytest.raises(InputError, match="is not empty and not a run"):
        check_replaceable(tmp_path / "run", RUN, overwrite=True)


def test_folders_in_use_are_not_replaced(make, tmp_path, monkeypatch):
    folder = make(RUN)
    _refused(folder, RUN, "holds the input .*figures", inputs=[folder / "figures"])
    (tmp_path / "link").symlink_to(folder)
    _refused(folder, RUN, "holds the input", inputs=[tmp_path / "link" / "model.keras"])
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(folder / "figures"))
        _refused(folder, RUN, "is .*figures or a folder above it", inputs=[tmp_path])
    monkeypatch.chdir(folder / "figures")
    for out in (folder, ".", ".."):
        with pytest.raises(InputError, match="is .*figures or a folder above it"):
            check_replaceable(out, RUN, overwrite=True)
    with pytest.raises(InputError, match="`out` is empty"):
        check_replaceable("", RUN, overwrite=True)


def test_places_that_can_hold_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for name, message in (("file", "is a file"), ("file/run", "file is not a folder")):
        with pytest.raises(InputError, match=f"`out=.*`.*{message}"):
            check_replaceable(tmp_path / name, RUN, overwrite=True)


def test_free_places(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/deep"):
        check_replaceable(tmp_path / name, BUNDLE, overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["empty"]


def test_a_comparison_shares_its_folder(make):
    folder = make(COMPARISON)
    (folder / "notes.md").touch()
    check_replaceable(folder, COMPARISON, overwrite=True)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (RUN, "config.json"),
        (RUN, "prior.npz"),  # even if it does not exist yet
        (RUN, "figures"),
        (RUN, "figures/samples-00002.png"),
        (BUNDLE, "README.md"),
        (BUNDLE, "saved_model"),
        (SITE, "bundles/é/a"),
        (COMPARISON, "results.json"),
    ],
)
def test_outputs_do_not_replace_what_is_ours(make, tmp_path, kind, name):
    folder = make(kind)
    (tmp_path / "link").symlink_to(folder)
    for place in (folder, tmp_path / "link"):
        with pytest.raises(InputError, match=f"`json=.*` is part of the {kind.name} .*; choose"):
            check_output(place / name, "json")


def test_other_outputs_are_free(make, tmp_path):
    for kind, name in ((RUN, "samples.png"), (RUN, "evaluation.json"), (RUN, "new.png")):
        check_output(make(kind) / name)
    check_output(tmp_path / "prior.npz")

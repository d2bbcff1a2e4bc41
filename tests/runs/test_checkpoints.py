"""A damaged state is recognised, named, and the one before it used."""

import json
import logging
import shutil

import numpy as np
import pytest

from keras_ganvae.data.position import Position
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.runs import checkpoints as state
from keras_ganvae.runs.run import Run
from keras_ganvae.training.train import resume

FILES = ("variables.npz", "memory.json", "manifest.json")
FINGERPRINT = "f" * 64


@pytest.fixture
def checkpoints(tmp_path, make_model):
    """Two states of a small model: at epoch 1 all zeros, at epoch 2 all ones."""
    model = make_model("vae", latent_dim=2)
    for epoch, value in ((1, 0.0), (2, 1.0)):
        for weight in model.trainable_variables:
            weight.assign(np.full(weight.shape, value))
        state.save(tmp_path, model, Position(epoch), {"epoch": epoch}, FINGERPRINT)
    return tmp_path


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def empty(file):
    file.write_bytes(b"")


def delete(file):
    file.unlink()


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, delete])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_named_and_the_state_before_is_used(name, damage, checkpoints, caplog):
    damage(checkpoints / "00002-0000000" / name)
    with caplog.at_level(logging.WARNING, "keras_ganvae"):
        folder, position, memory = state.newest(checkpoints, FINGERPRINT)
    assert (folder.name, position, memory) == ("00001-0000000", Position(1), {"epoch": 1})
    assert "00002-0000000 is damaged" in caplog.text
    assert name in caplog.text


def test_no_bit_of_the_manifest_can_flip_unseen(checkpoints, caplog):
    manifest = checkpoints / "00002-0000000" / "manifest.json"
    whole = manifest.read_bytes()
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        manifest.write_bytes(content)
        _, position, _ = state.newest(checkpoints, FINGERPRINT)
        # Whitespace between the values may change and nothing with it.
        same = position == Position(2) and json.loads(content) == json.loads(whole)
        assert same or position == Position(1), f"bit {bit}"


@pytest.mark.parametrize("name", FILES)
def test_without_a_whole_state_the_run_is_refused(name, checkpoints):
    for folder in list(checkpoints.iterdir()):
        delete(folder / name)
    with pytest.raises(InputError, match="every checkpoint .* is damaged"):
        state.newest(checkpoints, FINGERPRINT)


def test_an_unfinished_state_is_not_seen(checkpoints):
    shutil.copytree(checkpoints / "00002-0000000", checkpoints / ".00003-0000000-x")
    assert state.newest(checkpoints, FINGERPRINT)[1] == Position(2)


def test_only_the_newest_two_are_kept(checkpoints, make_model):
    state.save(checkpoints, make_model("vae", latent_dim=2), Position(2, 5), {}, FINGERPRINT)
    kept = sorted(folder.name for folder in checkpoints.iterdir())
    assert kept == ["00002-0000000", "00002-0000005"]


def test_other_data_are_refused(checkpoints):
    with pytest.raises(InputError, match="written with other data"):
        state.newest(checkpoints, "0" * 64)


def test_another_version_is_refused(checkpoints, monkeypatch):
    monkeypatch.setattr(state.runtime, "versions", lambda: {"keras_ganvae": "99.0"})
    with pytest.raises(InputError, match=r"this is 99\.0; install that version"):
        state.newest(checkpoints, FINGERPRINT)


def test_damaged_states_are_cleared_so_that_they_do_not_count_as_kept(checkpoints):
    state.discard_after(checkpoints, Position(1))
    assert [folder.name for folder in state.folders(checkpoints)] == ["00001-0000000"]


def test_weights_that_are_no_numbers_are_not_saved(checkpoints, make_model):
    model = make_model("vae", latent_dim=2)
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan))
    with pytest.raises(GateFailed, match="NaN"):
        state.save(checkpoints, model, Position(3), {}, FINGERPRINT)
    assert state.newest(checkpoints, FINGERPRINT)[1] == Position(2)


def test_no_state_is_said(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        state.newest(tmp_path, FINGERPRINT)


@pytest.mark.parametrize("arch", ["gan", "vae"])
def test_a_state_holds_every_variable_and_restores_it(arch, tmp_path, make_model):
    model = make_model(arch, latent_dim=2, seed=1)
    state.save(tmp_path, model, Position(1), {}, FINGERPRINT)
    other = make_model(arch, latent_dim=2, seed=2)
    state.restore(tmp_path / "00001-0000000", other)
    for saved, restored in zip(state.variables(model), state.variables(other), strict=True):
        np.testing.assert_array_equal(np.asarray(saved), np.asarray(restored), saved.path)
    names = [variable.name for variable in state.variables(model)]
    assert names.count("seed_generator_state") >= 2
    assert names.count("iteration") == len(model.optimizers)


def test_a_run_goes_on_from_the_state_before_a_damaged_one(run_of, tmp_path, caplog):
    whole = run_of("vae")
    shutil.copytree(whole.path, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    truncate(run.checkpoints / "00002-0000000" / "variables.npz")
    run.model_file.unlink()
    resume(run.path)
    assert "is damaged" in caplog.text
    assert json.loads(json.dumps(drop_times(run))) == drop_times(whole)


def drop_times(run):
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in times} for row in run.history()]

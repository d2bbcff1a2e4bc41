"""A run is lost only when its successor is safe."""

import shutil

import pytest

import keras_ganvae
from keras_ganvae import TrainConfig
from keras_ganvae.errors import GateFailed, InputError, Interrupted
from keras_ganvae.runs import replaced
from keras_ganvae.runs.run import Run, check_free
from keras_ganvae.training import train as training
from keras_ganvae.training.checkpointing import CheckpointSaver

SETTINGS = {"dataset": "synthetic", "limit": 64, "epochs": 1, "batch_size": 16, "latent_dim": 3}
DIVERGES = {"optimizer": "sgd", "learning_rate": 1e30, "schedule": "constant"}


@pytest.fixture
def old(run_of, tmp_path):
    """A finished run of the test's own."""
    return Run.open(shutil.copytree(run_of("vae").path, tmp_path / "run"))


def content(path):
    return {
        file.relative_to(path): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != ".lock"
    }


def test_a_run_that_fails_before_its_first_checkpoint_leaves_the_old_one(old):
    before = content(old.path)
    with pytest.raises(GateFailed, match="epoch 1"):
        training.train(TrainConfig(arch="vae", **SETTINGS, **DIVERGES), old.path, overwrite=True)
    assert content(old.path) == before


def test_a_run_with_a_checkpoint_replaces_the_old_one(old):
    run = training.train(TrainConfig(arch="gan", **SETTINGS), old.path, overwrite=True)
    assert run.config.arch == "gan" and run.is_finished and not run.prior_file.exists()
    assert not (old.path / replaced.NAME).exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_process_that_died_before_the_first_checkpoint(old, overwrite):
    before = content(old.path)
    with replaced.set_aside(old.path):
        # As SIGKILL leaves the folder: the old run set aside, the new one just begun.
        killed = shutil.copytree(old.path, old.path.with_name("killed"))
        shutil.copytree(killed / replaced.NAME / "figures", killed / "figures")
        shutil.copy(killed / replaced.NAME / "config.json", killed / "config.json")
    assert content(old.path) == before
    if overwrite:
        training.train(TrainConfig(arch="gan", **SETTINGS), killed, overwrite=True)
        assert Run.open(killed).config.arch == "gan"
    else:
        with pytest.raises(InputError, match="the old run is restored"):
            training.resume(killed)
        assert content(killed) == before


def test_a_run_without_a_checkpoint_has_nothing_to_lose(old):
    old.model_file.unlink()
    shutil.rmtree(old.checkpoints)
    with replaced.set_aside(old.path):
        # As SIGKILL leaves the folder: the new run just begun, with nothing set aside.
        assert content(old.path) == {}
        killed = shutil.copytree(old.path, old.path.with_name("killed"))
    assert not replaced.recover(killed)


def test_an_empty_path_is_not_the_current_folder():
    with pytest.raises(InputError, match="`out` is empty"):
        training.train(TrainConfig(arch="vae", **SETTINGS), "")


def test_leftovers_of_a_process_that_died_at_once_are_in_nobodys_way(tmp_path):
    for name in (".lock", ".part-0123abcdconfig.json"):
        (tmp_path / name).touch()
    check_free(tmp_path, overwrite=False)


def test_a_run_that_another_process_wrote_meanwhile_is_not_replaced(old, tmp_path, monkeypatch):
    out, build_model = tmp_path / "out", training.build_model

    def slow_build_model(*arguments):
        shutil.copytree(old.path, out)
        return build_model(*arguments)

    monkeypatch.setattr(training, "build_model", slow_build_model)
    with pytest.raises(InputError, match="already holds a run"):
        training.train(TrainConfig(arch="vae", **SETTINGS), out)
    assert content(out) == content(old.path)


def test_a_model_stays_until_the_longer_run_has_its_own(old, monkeypatch):
    model = old.model_file.read_bytes()

    def interrupted(self):
        raise Interrupted("now")

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="now"):
        patch.setattr(CheckpointSaver, "stop_if_asked", interrupted)
        training.resume(old.path, epochs=4)
    run = Run.open(old.path)
    assert run.model_file.read_bytes() == model and not run.is_finished
    assert run.progress() == "epoch 3 of 4, not finished"
    finished = training.resume(old.path)
    assert finished.is_finished and finished.model_file.read_bytes() != model


def test_a_damaged_picture_costs_no_model(old, caplog):
    (old.figures / "samples-00001.png").write_bytes(b"no picture")
    run = training.resume(old.path, epochs=3)
    assert run.is_finished and keras_ganvae.load_run(run.path).model() is not None
    assert (run.figures / "training.gif").exists() and "samples-00001.png is damaged" in caplog.text

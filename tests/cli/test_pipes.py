"""A pipe in the place of a file is one line at once: opening it would wait for a writer."""

import os
import shutil
import signal

import pytest

from keras_ganvae import load_run
from keras_ganvae.errors import InputError
from keras_ganvae.files import readable

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has pipes as files")
PATIENCE = 120  # seconds


@pytest.fixture(autouse=True)
def impatient():
    """Fail, instead of waiting for ever."""

    def fail(number, frame):
        pytest.fail("it waits for a writer")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def copied(run_of, tmp_path):
    """The folder of a run that a test may damage."""
    return shutil.copytree(run_of("vae").path, tmp_path / "run")


def _pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def test_only_regular_files_are_readable(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert readable(tmp_path / name) == tmp_path / name
    with pytest.raises(FileNotFoundError):
        readable(tmp_path / "none")
    for path in (_pipe(tmp_path / "pipe"), "/dev/null"):
        with pytest.raises(OSError, match="not a regular file"):
            readable(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --arch vae --config {}", "can't read config file {}: not a regular file"),
        ("train --arch vae --dataset npz:{}", "There is no file {}"),
        ("sample {} --out {}.png", "can't read {}: not a regular file"),
        ("train --resume {}", "no run folder at {}"),
        ("verify {}", "there is no bundle at {}"),
    ],
    ids=lambda text: text.split()[0],
)
def test_a_pipe_as_an_argument(command, tmp_path, arguments, message):
    path = _pipe(tmp_path / "pipe.tflite")
    code, out, err = command(*arguments.format(path, path).split())
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith(f"keras-ganvae: {message.format(path)}")


def test_a_pipe_in_the_place_of_a_card(command, tmp_path):
    _pipe(tmp_path / "model_card.json")
    code, _, err = command("sample", tmp_path, "--out", tmp_path / "a.png")
    assert (code, err.count("\n")) == (2, 1) and "is not a bundle: it has no model_card.json" in err


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("config.json", "sample RUN --out OUT.png"),
        ("model.keras", "sample RUN --out OUT.png"),
        ("prior.npz", "sample RUN --out OUT.png"),
        ("model.keras", "evaluate RUN"),
        ("evaluation.json", "evaluate RUN"),
    ],
)
def test_a_pipe_in_a_run(command, copied, tmp_path, name, arguments):
    _pipe(copied / name)
    paths = {"RUN": copied, "OUT.png": tmp_path / "out.png"}
    code, out, err = command(*(paths.get(each, each) for each in arguments.split()))
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert name in err and not (tmp_path / "out.png").exists()


def test_a_pipe_in_the_place_of_a_picture_is_left_out(command, copied, tmp_path, caplog):
    _pipe(copied / "figures" / "samples-00001.png")
    code, out, _ = command("animate", copied, "--out", tmp_path / "a.gif")
    assert code == 0 and out.startswith("1 frames from 2 epochs")
    assert "samples-00001.png is damaged and left out" in caplog.text


@pytest.mark.parametrize("name", ["manifest.json", "memory.json", "variables.npz"])
def test_a_pipe_in_a_checkpoint_is_a_damaged_checkpoint(copied, caplog, name):
    (copied / "model.keras").unlink()
    _, newest = sorted((copied / "checkpoint").iterdir())
    _pipe(newest / name)
    assert load_run(copied).model() is not None
    assert f"checkpoint {newest} is damaged" in caplog.text


def test_a_pipe_in_the_place_of_the_history(copied):
    _pipe(copied / "history.csv")
    with pytest.raises(InputError, match="history.csv is missing or damaged.*not a regular file"):
        load_run(copied).history()

"""A run that was stopped and resumed equals one that never was, byte for byte."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.data.position import Position
from keras_ganvae.errors import InputError, Interrupted
from keras_ganvae.runs import lock
from keras_ganvae.runs.lock import exclusive
from keras_ganvae.runs.run import Run
from keras_ganvae.training.checkpointing import CheckpointSaver
from keras_ganvae.training.train import resume, train

EPOCHS = 3
# 100 images in batches of 32: the last batch of an epoch is partial.
SMALL = {"dataset": "synthetic", "limit": 100, "batch_size": 32, "epochs": EPOCHS}
TIMES = ("seconds", "images_per_second")  # the columns that no two runs share


def config(arch, precision="float32", **settings):
    return TrainConfig(arch=arch, precision=precision, **SMALL | settings)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Finished runs that were never stopped, by architecture and precision."""
    made = {}

    def run(arch, precision="float32"):
        if (arch, precision) not in made:
            out = tmp_path_factory.mktemp("whole") / f"{arch}-{precision}"
            made[arch, precision] = train(config(arch, precision), out)
        return made[arch, precision]

    return run


def stop_at(monkeypatch, position):
    """Have a signal arrive in the execution that ends at `position`."""
    on_train_batch_end = CheckpointSaver.on_train_batch_end

    def with_signal(self, batch, logs=None):
        if position == Position(self.position.epoch, self.first_step + batch + 1):
            self.signal = signal.SIGTERM
        on_train_batch_end(self, batch, logs)

    monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", with_signal)


def history(run):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in run.history()]


def final_state(run):
    with np.load(run.checkpoints / f"{EPOCHS:05d}-0000000" / "variables.npz") as arrays:
        return {name: arrays[name].tobytes() for name in arrays}


def assert_same(run, whole):
    assert history(run) == history(whole)
    assert final_state(run) == final_state(whole)
    assert run.model_file.read_bytes() == whole.model_file.read_bytes()
    grids = sorted(path.name for path in whole.figures.glob("samples-*.png"))
    for name in [*grids, "training.gif"]:
        assert (run.figures / name).read_bytes() == (whole.figures / name).read_bytes()
    if whole.is_variational:
        assert run.prior_file.read_bytes() == whole.prior_file.read_bytes()


@pytest.mark.parametrize(
    ("precision", "before", "position", "after"),
    [
        ("float32", 1, Position(1, 1), 2),
        ("float32", 2, Position(1, 2), "auto"),
        ("float32", 7, Position(1, 7), 1),
        ("bfloat16", 1, Position(1, 2), 7),
    ],
    ids=["one", "two", "boundary", "bfloat16"],
)
@pytest.mark.parametrize("arch", architectures.names())
def test_resume_is_exact(
    arch, precision, before, position, after, uninterrupted, tmp_path, monkeypatch
):
    """Whatever the steps per execution, also where one of the other run would span the stop."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="checkpoint saved"):
        stop_at(patch, position)
        train(config(arch, precision, steps_per_execution=before), tmp_path / "run")
    assert not Run.open(tmp_path / "run").model_file.exists()
    resumed = resume(tmp_path / "run", overrides={"steps_per_execution": after})
    assert_same(resumed, uninterrupted(arch, precision))


def test_tensorboard_continues_without_a_gap_or_a_doubled_step(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, Position(1, 2))
        train(config("vae", steps_per_execution=1), tmp_path / "run")
    # What a death after the epoch's pictures and before its state would leave.
    run = Run.open(tmp_path / "run")
    shutil.copytree(run.checkpoints, tmp_path / "kept")
    resume(run.path)
    shutil.rmtree(run.checkpoints)
    shutil.copytree(tmp_path / "kept", run.checkpoints)
    run.model_file.unlink()
    resume(run.path)
    for writer in ("train", "validation"):
        events = EventAccumulator(str(run.tensorboard / writer), {"tensors": 0})
        events.Reload()
        assert [event.step for event in events.Tensors("loss")] == [1, 2, 3]


def test_extending_keeps_the_schedule_and_the_rows(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    extended = resume(run.path, epochs=EPOCHS + 2)
    assert history(extended)[:EPOCHS] == history(uninterrupted("vae"))
    assert [row["epoch"] for row in extended.history()] == [1, 2, 3, 4, 5]
    assert extended.config.schedule_epochs == EPOCHS


def test_resuming_a_finished_run_changes_nothing(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    resume(run.path)
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_another_machine_is_named_and_recorded(uninterrupted, tmp_path, caplog):
    run = copy(uninterrupted("gan"), tmp_path)
    threads = run.record["machine"]["threads"]
    run.record["machine"]["threads"] = threads + 1
    run.write_config()
    resume(run.path, epochs=EPOCHS + 1)
    (warning,) = _warnings(caplog)
    assert f"began on another machine (threads: {threads + 1}, here {threads}):" in warning
    assert "up to rounding, not byte for byte" in warning
    resume(run.path, epochs=EPOCHS + 2)
    recorded = Run.open(run.path).record
    assert recorded["machine"]["threads"] == threads + 1
    assert [each["machine"]["threads"] for each in recorded["resumed_on"]] == [threads]


def test_without_a_record_of_the_machine_there_is_no_warning(uninterrupted, tmp_path, caplog):
    run = copy(uninterrupted("gan"), tmp_path)
    del run.record["machine"]  # as in runs of older releases
    run.write_config()
    assert resume(run.path, epochs=EPOCHS + 1).is_finished
    assert not _warnings(caplog)
    assert not {"machine", "resumed_on"} & Run.open(run.path).record.keys()


def _warnings(caplog):
    return [record.message for record in caplog.records if "machine" in record.message]


def test_a_run_that_died_before_its_first_state_begins_again(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    shutil.rmtree(run.checkpoints)
    (run.path / ".part-x").write_text("half a file")
    run.model_file.unlink()
    run.history_file.unlink()
    assert_same(resume(run.path), uninterrupted("vae"))
    assert not list(run.path.rglob(".part-*"))


def test_a_finished_run_without_checkpoints_keeps_its_model(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    shutil.rmtree(run.checkpoints)
    with pytest.raises(InputError, match="no checkpoint"):
        resume(run.path)
    assert run.model_file.exists()


def test_fewer_epochs_are_refused(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    with pytest.raises(InputError, match="`epochs` can't be less, 2"):
        resume(run.path, epochs=2)


def test_changed_data_are_refused(uninterrupted, tmp_path, monkeypatch):
    run = copy(uninterrupted("vae"), tmp_path)
    settings = run.record["dataset"] | {"fingerprint": "0" * 64}
    monkeypatch.setitem(run.record, "dataset", settings)
    run.extended(EPOCHS).write_config()
    with pytest.raises(InputError, match="has changed"):
        resume(run.path, epochs=EPOCHS + 1)


def test_a_held_run_is_refused(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    with exclusive(run.path), pytest.raises(InputError, match="in use by another process"):
        resume(run.path)


def test_a_dead_process_leaves_no_lock(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path; from keras_ganvae.runs.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="in use"), exclusive(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with exclusive(tmp_path):
        assert os.listdir(tmp_path) == [lock.NAME]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_names_the_command_to_resume(number, tmp_path):
    process = train_process(tmp_path / "run", "--epochs", "500")
    wait_for_state(tmp_path / "run", process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"--resume {tmp_path / 'run'}" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr


def test_a_second_signal_leaves_at_once_and_the_run_still_resumes(tmp_path):
    process = train_process(tmp_path / "run", "--epochs", "60")
    wait_for_state(tmp_path / "run", process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert len(resume(tmp_path / "run").history()) == 60


def test_a_full_disk_stops_the_run_and_leaves_it_valid(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        process = train_process(disk / "run", "--epochs", "40")
        wait_for_state(disk / "run", process)
        with open(disk / "filler", "wb") as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(2**16))
                filler.flush()
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "the disk is full" in stderr.splitlines()[-1]
        assert "Traceback" not in stderr
        (disk / "filler").unlink()
        assert Run.open(disk / "run").history()
        resumed = resume(disk / "run")
        assert [row["epoch"] for row in resumed.history()] == list(range(1, 41))
    finally:
        # Lazy: on a busy machine a process may still be closing its files.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_crash_between_the_first_row_and_its_checkpoint_starts_again(uninterrupted, tmp_path):
    run = copy(uninterrupted("vae"), tmp_path)
    shutil.rmtree(run.checkpoints)
    run.model_file.unlink()
    first_row = run.history_file.read_text().splitlines(keepends=True)[:2]
    run.history_file.write_text("".join(first_row))
    assert_same(resume(run.path), uninterrupted("vae"))


@pytest.mark.slow
def test_twenty_kills_at_random_moments(uninterrupted, tmp_path):
    """SIGKILL while tracing, training, saving, drawing: whatever is under way.

    Each process takes another number of steps per execution.
    """
    moments = random.Random(0)
    out, kills = tmp_path / "run", 0
    options = ("--epochs", str(EPOCHS), "--checkpoint-minutes", "0.00001")
    while kills < 20:
        begun = (out / "checkpoint").is_dir() and any((out / "checkpoint").glob("[0-9]*"))
        steps = ("--steps-per-execution", moments.choice(("1", "3", "7", "auto")))
        if begun:
            process = resume_process(out, *steps)
        else:
            process = train_process(out, *options, *steps, "--overwrite")
        wait_for_log(process, "resuming" if begun else "run folder")
        time.sleep(moments.uniform(0, 3.0))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate()
        if (out / "model.keras").exists():  # it got through: once more from the start
            assert_same(Run.open(out), uninterrupted("vae"))
            shutil.rmtree(out)
    if out.exists():  # else the last one got through as it was killed, and was compared
        process = resume_process(out)
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
        assert_same(Run.open(out), uninterrupted("vae"))


def copy(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "copy")
    return Run.open(tmp_path / "copy")


def train_process(out, *options):
    settings = [f"{k}={v}" for k, v in SMALL.items() if k != "epochs"]
    sets = [word for setting in settings for word in ("--set", setting)]
    return cli_process("train", "--arch", "vae", *sets, "--out", str(out), *options)


def resume_process(out, *options):
    return cli_process("train", "--resume", str(out), "--checkpoint-minutes", "0.00001", *options)


def cli_process(*arguments):
    command = [sys.executable, "-m", "keras_ganvae", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_log(process, text):
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"the process ended before it said '{text}'")


def wait_for_state(out, process):
    while not any((out / "checkpoint").glob("[0-9]*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


def test_rows_are_read_back_as_written(uninterrupted):
    run = uninterrupted("vae")
    with open(run.history_file, newline="") as file:
        assert len(list(csv.DictReader(file))) == len(run.history()) == EPOCHS

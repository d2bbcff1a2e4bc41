"""Workers that find each other, agree, and do not wait for the dead."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from keras_ganvae.distributed import cluster
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.errors import InputError

LAUNCH = Path(__file__).parents[2] / "scripts" / "launch_local.py"
TWO = "127.0.0.1:1,127.0.0.1:2"


def test_flags_name_the_workers_and_this_one():
    found = cluster.from_flags("a:1, b:2", 1)
    assert found == Cluster(("a:1", "b:2"), 1) and not found.is_chief
    assert cluster.from_flags(None, None) is None


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        (TWO, 2, "worker index 2 is not one of the 2 workers"),
        (TWO, -1, "worker index -1"),
        (TWO, None, "go together"),
        (None, 0, "go together"),
        ("a:1,a:1", 0, "listed twice"),
        ("a,b:2", 0, "HOST:PORT, not 'a'"),
        ("a:1,b:x", 0, "HOST:PORT, not 'b:x'"),
        ("a:1,b:70000", 0, "HOST:PORT, not 'b:70000'"),
        ("", 0, "HOST:PORT, not ''"),
    ],
)
def test_lists_that_do_not_fit_are_refused(workers, index, message):
    with pytest.raises(InputError, match=message):
        cluster.from_flags(workers, index)


def _variable(kind, index, **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (_variable("worker", 1, worker=["a:1", "b:2"]), 1),
        (_variable("chief", 0, chief=["a:1"], worker=["b:2"]), 0),
        (_variable("worker", 0, chief=["a:1"], worker=["b:2"]), 1),
        (_variable("worker", "1", worker=["a:1", "b:2"]), 1),
    ],
)
def test_the_variable_of_launchers_is_read(text, index):
    assert cluster.from_environment(text) == Cluster(("a:1", "b:2"), index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "needs --workers"),
        ("", "needs --workers"),
        ("{", "TF_CONFIG can't be used"),
        ("[]", "TF_CONFIG can't be used"),
        ("{}", "TF_CONFIG can't be used"),
        (_variable("evaluator", 0, worker=["a:1"]), "evaluator, which does not train"),
        (_variable("worker", 3, worker=["a:1"]), "lists 1 workers, not 4"),
        (_variable("chief", 0, worker=["a"]), "HOST:PORT"),
    ],
)
def test_a_variable_that_is_wrong_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        cluster.from_environment(text)


def test_a_port_in_use_is_named():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"worker 0 can't listen at 127.0.0.1:{port}"):
            cluster.check_port(Cluster((f"127.0.0.1:{port}",), 0))
    cluster.check_port(Cluster((f"127.0.0.1:{port}",), 0))


# Settings that are refused before anything is waited for.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "multi-worker"], "needs --out"),
        (["--workers", TWO, "--worker-index", "0"], "for --strategy multi-worker"),
        (["--strategy", "mirrored", "--device", "cpu"], "--replicas N"),
        (["--replicas", "2"], "--replicas is for --strategy mirrored"),
        (["--strategy", "mirrored", "--replicas", "3"], "multiple of 3"),
        (["--strategy", "mirrored", "--replicas", "2", "--jit", "on"], "one device"),
        (["--device", "gpu:x"], "--device is auto, cpu"),
        (["--device", "gpu:99"], "no gpu:99"),
        (["--strategy", "miror"], "unknown strategy 'miror'; did you mean 'mirrored'"),
        (["--cache", "disc"], "unknown cache 'disc'; did you mean 'disk'"),
    ],
)
def test_what_can_not_be_placed_is_one_line(terminal, tmp_path, arguments, message):
    out = [] if "needs --out" in message else ["--out", tmp_path / "run"]
    done = terminal(
        "train", "--arch", "vae", "--dataset", "synthetic", "--limit", 200, *arguments, *out
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


# Real processes.

SETTINGS = ("--arch", "vae", "--dataset", "synthetic", "--limit", "400", "--batch-size", "20")


def launch(*arguments):
    command = [sys.executable, LAUNCH, "2", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ended(process):
    """(exit code, what it said)."""
    output, errors = process.communicate(timeout=400)
    return process.returncode, output + errors


def weights(run):
    with zipfile.ZipFile(run / "model.keras") as archive:
        return archive.read("model.weights.h5")


def history(run):
    """Without its two columns of times."""
    rows = (run / "history.csv").read_text().splitlines()
    return [row.split(",")[:1] + row.split(",")[3:] for row in rows]


@pytest.mark.slow
def test_a_killed_worker_stops_the_other_and_all_resume_to_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = (*SETTINGS, "--epochs", 5)
    assert ended(launch(*settings, "--out", whole))[0] == 0
    assert sorted(path.name for path in (whole / "logs").iterdir()) == [
        "worker-0.log",
        "worker-1.log",
    ]
    assert "epoch 5: " in (whole / "logs" / "worker-1.log").read_text()

    process = launch(*settings, "--out", broken)
    wait_for(lambda: (broken / "checkpoint" / "00002-0000000").exists(), process)
    os.kill(worker_pid(process.pid, 1), signal.SIGKILL)
    start = time.monotonic()
    code, said = ended(process)
    assert time.monotonic() - start < 60
    assert code == 128 + signal.SIGKILL
    assert "worker 1 was ended by SIGKILL" in said
    assert (
        f"another worker has stopped answering; go on by starting all again with --resume {broken}"
        in said
    )
    assert not (broken / "model.keras").exists()

    assert ended(launch("--resume", broken))[0] == 0
    assert weights(broken) == weights(whole)
    assert history(broken) == history(whole)
    assert (broken / "prior.npz").read_bytes() == (whole / "prior.npz").read_bytes()


def wait_for(condition, process):
    end = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def worker_pid(parent, index):
    """The process of one worker of a launch."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children}
    wanted = ["--worker-index", str(index)]
    (pid,) = [pid for pid, words in commands.items() if wanted == words[-3:-1]]
    return int(pid)


@pytest.mark.slow
def test_workers_with_other_settings_are_told_before_a_step(tmp_path, free_addresses):
    addresses = free_addresses(2)
    command = [sys.executable, "-m", "keras_ganvae", "train", *SETTINGS, "--epochs", "1"]
    command += ["--strategy", "multi-worker", "--workers", addresses, "--out", tmp_path / "run"]
    workers = [
        subprocess.Popen(
            [*command, "--worker-index", str(i), "--seed", str(i)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    for worker in workers:
        code, said = ended(worker)
        assert code == 2
        assert "the workers differ in their settings: worker 1 from worker 0" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_interrupted_launch_saves_and_says_how_to_go_on(tmp_path):
    process = launch(*SETTINGS, "--epochs", 500, "--out", tmp_path / "run")
    wait_for(lambda: (tmp_path / "run" / "checkpoint" / "00001-0000000").exists(), process)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130, said
    assert "--resume" in said
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert 1 < len(rows) < 400

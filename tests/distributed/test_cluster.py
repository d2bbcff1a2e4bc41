"""Workers find each other, check that they agree, and stop when one of them dies."""

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

from keras_ganvae.distributed.cluster import Cluster, check_port
from keras_ganvae.errors import InputError

LAUNCH = Path(__file__).parents[2] / "scripts" / "launch_local.py"
TWO = "127.0.0.1:1,127.0.0.1:2"


def test_a_cluster_from_a_list_of_addresses():
    found = Cluster.of("a:1, b:2", 1)
    assert found == Cluster(("a:1", "b:2"), 1) and not found.is_chief
    assert found.address == "b:2"
    assert Cluster.of("a:1, b:2", 0).is_chief
    assert Cluster.of(None, None) is None


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        (TWO, 2, "`worker_index` 2 is out of range: `workers` lists 2, numbered 0 to 1"),
        (TWO, -1, "`worker_index` -1"),
        (TWO, None, "`workers` and `worker_index` must be given together"),
        (None, 0, "`workers` and `worker_index` must be given together"),
        ("a:1,a:1", 0, "`workers` lists an address twice"),
        ("a,b:2", 0, "HOST:PORT,..., not 'a'"),
        ("a:1,b:x", 0, "HOST:PORT,..., not 'b:x'"),
        ("a:1,b:70000", 0, "HOST:PORT,..., not 'b:70000'"),
        ("", 0, "HOST:PORT,..., not ''"),
    ],
)
def test_an_invalid_list_is_an_error(workers, index, message):
    with pytest.raises(InputError, match=message):
        Cluster.of(workers, index)


def _tf_config(kind, index, **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (_tf_config("worker", 1, worker=["a:1", "b:2"]), 1),
        (_tf_config("chief", 0, chief=["a:1"], worker=["b:2"]), 0),
        (_tf_config("worker", 0, chief=["a:1"], worker=["b:2"]), 1),
        (_tf_config("worker", "1", worker=["a:1", "b:2"]), 1),
    ],
)
def test_a_cluster_from_tf_config(text, index):
    assert Cluster.from_tf_config(text) == Cluster(("a:1", "b:2"), index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "needs `workers`"),
        ("", "needs `workers`"),
        ("{", "TF_CONFIG is invalid"),
        ("[]", "TF_CONFIG is invalid"),
        ("{}", "TF_CONFIG is invalid"),
        (
            _tf_config("evaluator", 0, worker=["a:1"]),
            "this process is evaluator, which does not train",
        ),
        (_tf_config("worker", 3, worker=["a:1"]), "TF_CONFIG has no worker 3; it lists 1"),
        (_tf_config("chief", 0, worker=["a"]), "HOST:PORT"),
    ],
)
def test_an_invalid_tf_config_is_an_error(text, message):
    with pytest.raises(InputError, match=message):
        Cluster.from_tf_config(text)


def test_the_error_names_a_port_in_use():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"worker 0 can't listen at 127.0.0.1:{port}"):
            check_port(Cluster((f"127.0.0.1:{port}",), 0))
    check_port(Cluster((f"127.0.0.1:{port}",), 0))


MISSING = """
import time
from keras_ganvae.distributed import cluster
cluster.START_MINUTES, cluster.REMIND_SECONDS = 0, 0.01
workers = ("a\\x1b[2J:1", "a..b:1", "here:1")
with cluster.start_timeout(cluster.Cluster(workers, 2)):
    time.sleep(100)
"""


def test_workers_that_never_start_cannot_control_the_terminal():
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("keras-ganvae: workers a\\x1b[2J:1, a..b:1, here:1 did not start")
    assert done.stderr.count("\n") == 1


# Errors before any waiting.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "multi-worker"], "needs --out"),
        (["--workers", TWO, "--worker-index", "0"], "--workers needs --strategy multi-worker"),
        (["--strategy", "mirrored", "--device", "cpu"], "set --replicas to N"),
        (["--replicas", "2"], "--replicas needs --strategy mirrored"),
        (["--strategy", "mirrored", "--replicas", "3"], "multiple of 3"),
        (["--strategy", "mirrored", "--replicas", "2", "--jit", "on"], "one device"),
        (["--device", "gpu:x"], "--device must be auto, cpu"),
        (["--device", "gpu:99"], "no gpu:99"),
        (["--strategy", "miror"], "unknown --strategy 'miror'; did you mean 'mirrored'"),
        (["--cache", "disc"], "unknown --cache 'disc'; did you mean 'disk'"),
    ],
)
def test_an_impossible_placement_is_one_line(terminal, tmp_path, arguments, message):
    out = [] if "needs --out" in message else ["--out", tmp_path / "run"]
    done = terminal(
        "train", "--arch", "vae", "--dataset", "synthetic", "--limit", 200, *arguments, *out
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


# Two worker processes.

SETTINGS = ("--arch", "vae", "--dataset", "synthetic", "--limit", "400", "--batch-size", "20")


def launch(*arguments):
    command = [sys.executable, LAUNCH, "2", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ended(process):
    """(exit code, stdout and stderr)."""
    output, errors = process.communicate(timeout=400)
    return process.returncode, output + errors


def weights(run):
    with zipfile.ZipFile(run / "model.keras") as archive:
        return archive.read("model.weights.h5")


def history(run):
    """The rows of history.csv without the two columns of times."""
    rows = (run / "history.csv").read_text().splitlines()
    return [row.split(",")[:1] + row.split(",")[3:] for row in rows]


@pytest.mark.slow
def test_a_killed_worker_stops_the_others_and_resuming_gives_the_same_bytes(tmp_path):
    uninterrupted, broken = tmp_path / "uninterrupted", tmp_path / "broken"
    settings = (*SETTINGS, "--epochs", 5)
    assert ended(launch(*settings, "--out", uninterrupted))[0] == 0
    assert sorted(path.name for path in (uninterrupted / "logs").iterdir()) == [
        "worker-0.log",
        "worker-1.log",
    ]
    assert "epoch 5: " in (uninterrupted / "logs" / "worker-1.log").read_text()

    process = launch(*settings, "--out", broken)
    wait_for(lambda: (broken / "checkpoint" / "00002-0000000").exists(), process)
    os.kill(worker_pid(process.pid, 1), signal.SIGKILL)
    start = time.monotonic()
    code, said = ended(process)
    assert time.monotonic() - start < 60
    assert code == 128 + signal.SIGKILL
    assert "worker 1 was killed by SIGKILL" in said
    assert "another worker does not respond; restart all workers" in said
    assert f"--resume {broken}" in said
    assert not (broken / "model.keras").exists()

    assert ended(launch("--resume", broken))[0] == 0
    assert weights(broken) == weights(uninterrupted)
    assert history(broken) == history(uninterrupted)
    assert (broken / "prior.npz").read_bytes() == (uninterrupted / "prior.npz").read_bytes()


def wait_for(condition, process):
    end = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def worker_pid(parent, index):
    """The process id of one worker of a launch."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children}
    wanted = ["--worker-index", str(index)]
    (pid,) = [pid for pid, words in commands.items() if wanted == words[-3:-1]]
    return int(pid)


@pytest.mark.slow
def test_workers_with_different_settings_stop_before_the_first_step(tmp_path, free_addresses):
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
def test_an_interrupted_launch_saves_and_says_how_to_resume(tmp_path):
    process = launch(*SETTINGS, "--epochs", 500, "--out", tmp_path / "run")
    wait_for(lambda: (tmp_path / "run" / "checkpoint" / "00001-0000000").exists(), process)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130, said
    assert "--resume" in said
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert 1 < len(rows) < 400

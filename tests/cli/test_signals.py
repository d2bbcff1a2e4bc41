import signal
import subprocess
import sys

import pytest

WRITER = """
import signal, sys, time
from keras_ganvae.cli.signals import stopping_cleanly
from keras_ganvae.files import replacing_folder
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[2]))
with stopping_cleanly(), replacing_folder(sys.argv[1]):
    print("writing", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def _stopped(path, number, hangup="SIG_DFL", seconds=60):
    """The exit code of a process that got a signal while it wrote a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, hangup, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(number)
        return process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_temporary_folder(tmp_path, number):
    assert _stopped(tmp_path / "folder", number) != 0
    assert not list(tmp_path.iterdir())


def test_nohup_is_respected(tmp_path):
    assert _stopped(tmp_path / "folder", signal.SIGHUP, "SIG_IGN", seconds=1) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]

"""Signals, standard streams and the environment of the whole process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "keras_ganvae"]

posix = pytest.mark.skipif(os.name != "posix", reason="redirects as a POSIX shell does")


def _call(command, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(
        [str(each) for each in command], cwd=ROOT, text=True, timeout=300, check=False, **options
    )


@pytest.fixture
def shell():
    """`shell(redirection, *arguments)`: the command with a shell's redirection, such as 2>&-."""

    def call(redirection, *arguments):
        return _call(["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *arguments])

    return call


@pytest.fixture
def closed_pipe():
    """The end to write to of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


# Streams


@posix
@pytest.mark.parametrize("arguments", [["--version"], ["verify", "no-bundle"]])
def test_a_closed_stdout_is_an_error_of_its_own(shell, arguments):
    done = shell(">&-", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("keras-ganvae: standard output is closed")
    assert done.stderr.count("\n") == 1


@posix
def test_a_closed_stderr_changes_no_result(shell, tiny_bundle):
    done = shell("2>&-", "verify", tiny_bundle("vae"))
    assert done.returncode == 0 and "all verified" in done.stdout
    assert shell("2>&-", "verify", "no-bundle").returncode == 2


@posix
@pytest.mark.parametrize("arguments", [["--version"], ["train", "--help"]])
def test_results_that_cannot_be_written_are_an_error(arguments):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    with full.open("w") as stdout:
        done = _call([*COMMAND, *arguments], stdout=stdout)
    expected = "keras-ganvae: can't write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, expected)


@posix
def test_results_that_do_not_fit_do_not_fail_a_bundle(tiny_bundle):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    with full.open("w") as stdout:
        done = _call([*COMMAND, "verify", tiny_bundle("vae")], stdout=stdout)
    assert done.returncode == 2 and "can't write to standard output" in done.stderr


@posix
@pytest.mark.parametrize("arguments", [["--version"], ["train", "--help"]])
def test_a_closed_pipe_ends_the_command_quietly(closed_pipe, arguments):
    done = _call([*COMMAND, *arguments], stdout=closed_pipe)
    assert (done.returncode, done.stderr) == (141, "")


@posix
def test_logs_that_nobody_reads_do_not_end_training(closed_pipe, tmp_path):
    """As in `train 2>&1 | head`."""
    arguments = "train --arch vae --dataset synthetic --limit 64 --epochs 1 --batch-size 32"
    out = tmp_path / "run"
    done = _call([*COMMAND, *arguments.split(), "--out", out], stderr=closed_pipe)
    assert done.returncode == 0 and str(out) in done.stdout
    assert (out / "model.keras").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("name", ["kürbis", "数字"])
def test_names_print_in_any_encoding(encoding, name):
    done = subprocess.run(
        [*COMMAND, "sample", f"/none/{name}", "--out", "a.png"],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 2 and done.stderr.startswith(b"keras-ganvae: no run folder at /none/")
    assert done.stderr.count(b"\n") == 1


# Signals

# Sends a signal to the process when it imports a module.
INTERRUPTED = """
import signal, sys, time

class Swallowing:
    def __del__(self):
        signal.raise_signal(NUMBER)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return
        sys.meta_path.remove(self)
        if HOW == "raised":
            signal.raise_signal(NUMBER)
        elif HOW == "converted":
            try:
                signal.raise_signal(NUMBER)
            except KeyboardInterrupt:
                raise ImportError("initialization failed") from None
        else:
            Swallowing()
            time.sleep(1000)

sys.meta_path.insert(0, Interrupting())
from keras_ganvae.__main__ import main
sys.exit(main())
"""


def _interrupted(module, *arguments, number=signal.SIGINT, how="raised"):
    settings = f"MODULE, NUMBER, HOW = {module!r}, {int(number)}, {how!r}"
    done = _call([sys.executable, "-c", f"{settings}{INTERRUPTED}", *arguments])
    return done.returncode, done.stdout, done.stderr


STOPPED = (130, "", "keras-ganvae: interrupted\n")


@pytest.mark.parametrize(
    "module",
    ["keras_ganvae.cli.process", "contextlib", "keras_ganvae.cli.main", "keras_ganvae.cli.train"],
)
def test_an_interrupt_at_start_is_one_line(module):
    assert _interrupted(module, "--version") == STOPPED


# As the script that pip installs, until it calls `main`.
SCRIPT = """
import sys
sys.argv[0] = "/bin/keras-ganvae"
from keras_ganvae.__main__ import main
import signal

class Swallowing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

{interrupt}
sys.exit(main())
"""


@posix
@pytest.mark.parametrize(
    "interrupt", ["signal.raise_signal(signal.SIGINT)", "Swallowing()"], ids=["raised", "swallowed"]
)
def test_an_interrupt_before_main_is_one_line(interrupt):
    done = _call([sys.executable, "-c", SCRIPT.format(interrupt=interrupt), "--version"])
    assert (done.returncode, done.stdout, done.stderr) == STOPPED


@posix
def test_other_programs_keep_their_handlers():
    code = "import signal, keras_ganvae.__main__; print(signal.getsignal(signal.SIGINT))"
    done = _call([sys.executable, "-c", code])
    assert "default_int_handler" in done.stdout


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("how", ["raised", "converted", "swallowed"])
def test_an_interrupt_is_one_line_whatever_an_import_makes_of_it(number, how):
    assert _interrupted("numpy", "verify", "no-bundle", number=number, how=how) == STOPPED


@pytest.mark.parametrize("module", ["tensorflow", "keras", "keras_ganvae.training.train"])
@pytest.mark.parametrize("how", ["raised", "converted"])
def test_an_interrupt_while_tensorflow_is_imported_is_one_line(module, how, tmp_path):
    arguments = ["train", "--arch", "vae", "--dataset", "synthetic", "--out", tmp_path / "run"]
    assert _interrupted(module, *arguments, how=how) == STOPPED
    assert not (tmp_path / "run").exists()


@posix
def test_signals_that_the_parent_ignores_stay_ignored():
    """`nohup` has SIGHUP ignored, a shell SIGINT in its background jobs."""
    code = f"""
import signal, subprocess, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.exit(subprocess.call([sys.executable, "-c", {"MODULE, NUMBER, HOW = 'numpy', 1, 'raised'"!r}
    + {INTERRUPTED!r}, "verify", "no-bundle"]))
"""
    done = _call([sys.executable, "-c", code])
    assert done.returncode == 2 and "no-bundle" in done.stderr


# Interrupts the writing of the second picture, and the removal of the pictures again.
INTERRUPTED_TWICE = """
import shutil, signal, sys, time
from keras_ganvae.cli import process
from keras_ganvae.plots import output

save_png, rmtree = output.save_png, shutil.rmtree

def interrupted_save(path, *arguments):
    save_png(path, *arguments)
    if path.stem == "1":
        signal.raise_signal(NUMBER)

def interrupted_rmtree(*arguments, **options):
    signal.raise_signal(NUMBER)
    time.sleep(SLEEP)
    rmtree(*arguments, **options)

process.GRACE = GRACE
output.save_png, shutil.rmtree = interrupted_save, interrupted_rmtree
sys.exit(process.run())
"""


def _interrupted_twice(number, grace, sleep, *arguments):
    settings = f"NUMBER, GRACE, SLEEP = {int(number)}, {grace}, {sleep}"
    done = _call([sys.executable, "-c", f"{settings}{INTERRUPTED_TWICE}", *arguments])
    return done.returncode, done.stdout, done.stderr


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_interrupt_the_removal_of_temporary_files(
    tiny_bundle, tmp_path, number
):
    arguments = ["sample", tiny_bundle("vae"), "--count", "4", "--out", f"{tmp_path}/pictures/"]
    assert _interrupted_twice(number, 60, 0, *arguments) == STOPPED
    assert not list(tmp_path.iterdir())


@posix
def test_a_later_signal_ends_a_removal_that_hangs(tiny_bundle, tmp_path):
    arguments = ["sample", tiny_bundle("vae"), "--count", "4", "--out", f"{tmp_path}/pictures/"]
    assert _interrupted_twice(signal.SIGTERM, 0, 1000, *arguments) == STOPPED


# Limits of the process


@posix
def test_too_little_memory_for_tensorflow_is_one_line(run_of, tmp_path):
    arguments = ["sample", run_of("vae").path, "--out", tmp_path / "a.png"]
    done = _call(["sh", "-c", 'ulimit -v 1500000; "$@"', "sh", *COMMAND, *arguments])
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("keras-ganvae: ") and done.stderr.count("\n") == 1
    assert "limited to 1.5 GB (ulimit -v)" in done.stderr


@posix
def test_a_file_size_limit_is_one_line(run_of, tmp_path):
    (tmp_path / "a.npz").write_text("old")
    arguments = ["sample", run_of("vae").path, "--out", tmp_path / "a.npz"]
    done = _call(["sh", "-c", 'ulimit -f 1; "$@"', "sh", *COMMAND, *arguments])
    assert (done.returncode, done.stdout) == (2, "")
    assert "size limit (ulimit -f)" in done.stderr and done.stderr.count("\n") == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


# The environment

TRAIN = "train --arch vae --dataset synthetic --limit 64 --epochs 2 --batch-size 32 --json"


@pytest.fixture
def trained_with(tmp_path):
    """`trained_with(name, environment)`: what a training run in a process of its own prints."""

    def train(name, environment):
        done = _call(
            [*COMMAND, *TRAIN.split(), "--out", tmp_path / name], env=os.environ | environment
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr and "Warning" not in done.stderr
        final = json.loads(done.stdout)["final"]
        return {key: final[key] for key in final.keys() - {"seconds", "images_per_second"}}

    return train


def test_the_environment_changes_no_result(trained_with, tmp_path):
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1})
    )
    odd = {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": "jax",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "MPLBACKEND": "junk",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "ascii",
        "PYTHONHASHSEED": "7",
    }
    assert trained_with("kürbis", odd) == trained_with("plain", {})
    models = [(tmp_path / name / "model.keras").read_bytes() for name in ("kürbis", "plain")]
    assert models[0] == models[1]


def test_a_keras_json_that_keras_rejects_is_one_line(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "junk"}')
    done = _call(
        [*COMMAND, *TRAIN.split(), "--out", tmp_path / "run"],
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and f"{tmp_path}/keras.json" in done.stderr
    assert not (tmp_path / "run").exists()

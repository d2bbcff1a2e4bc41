import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import cache_folder

SCRIPT = Path(__file__).parents[2] / "scripts" / "verify_on_arm.py"
TOOLS = ("apt-get", "dpkg", ("qemu-aarch64-static", "qemu-aarch64"))

if sys.platform != "linux":
    pytest.skip("QEMU's user emulation is of Linux", allow_module_level=True)


@pytest.fixture(scope="module")
def arm():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("verify_on_arm", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """`programs(name=text, ...)`: the only programs that there are, as scripts of the shell."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(**texts):
        for name, text in texts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

    return write


# An emulator that takes QEMU's options and runs this machine's Python: all but -S, without
# which it finds its own packages.
PASSES_ON = f'while [ "$1" != -m ]; do shift; done; exec {sys.executable} "$@"'


@pytest.fixture
def cache(arm, tmp_path):
    """A finished Arm system, of nothing."""
    cache = tmp_path / "cache"
    (cache / "system/usr/bin").mkdir(parents=True)
    (cache / "system/usr/bin/python3").symlink_to("python3.11")
    releases = [arm.importlib.metadata.version(name) for name in arm.WHEELS]
    (cache / arm.MARK).touch()
    for name in ("system", "-".join(["python3.11", *releases])):
        (cache / name).mkdir(exist_ok=True)
        (cache / name / arm.DONE).touch()
    return cache


@pytest.fixture
def call(arm, capsys):
    """`call(*arguments)`: (exit code, stdout, stderr)."""

    def run(*arguments):
        capsys.readouterr()
        code = arm.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


# With the tools


def _missing():
    several = [names if isinstance(names, tuple) else (names,) for names in TOOLS]
    return [names[0] for names in several if not any(map(shutil.which, names))]


@pytest.mark.slow
@pytest.mark.skipif(bool(_missing()), reason=f"needs {', '.join(_missing())}")
def test_a_bundle_is_proved_on_emulated_arm(bundle, call):
    # Kept from one run of the tests to the next, outside the repository.
    code, out, err = call(bundle, "--cache", cache_folder("tests", "arm64"))
    if code == 2 and "is the network there?" in err:
        pytest.skip(err.strip())
    assert code == 0, err
    lines = out.splitlines()
    measured = {tuple(line.split()[:3]): float(line.split()[3]) for line in lines[1:-2]}
    assert measured[("model.tflite", "decode", "image")] <= 1e-5
    assert measured[("sampler.tflite", "sample", "image")] <= 1e-4
    assert len(measured) == 4 + 7  # of model*.tflite, of sampler.tflite
    assert re.search("7: at most [01] of 255 grey levels", lines[-1])


# Without them


def test_a_bundle_that_passes(bundle, cache, call, programs):
    programs(qemu_aarch64_static=PASSES_ON)
    code, out, err = call(bundle, "--cache", cache)
    assert (code, err) == (0, "")
    assert "sampler.tflite decode_16 image" in out and "at most 0 of 255 grey levels" in out
    assert max(map(len, out.replace(str(bundle), "BUNDLE").splitlines())) <= 80


def test_a_bundle_that_fails_there(bundle, cache, call, programs, tmp_path):
    programs(qemu_aarch64_static=PASSES_ON)
    bad = shutil.copytree(bundle, tmp_path / "bad")
    (bad / "model.tflite").write_bytes(b"x")
    code, out, err = call(bad, "--cache", cache)
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert err.startswith("verify_on_arm: on Arm: ") and "model.tflite has 1 bytes" in err


def test_an_emulator_that_crashes(bundle, cache, call, programs):
    programs(qemu_aarch64_static="echo qemu: uncaught target signal 11 >&2; exit 139")
    assert call(bundle, "--cache", cache) == (
        1,
        "",
        "verify_on_arm: on Arm: qemu: uncaught target signal 11\n",
    )


def test_a_processor_that_qemu_does_not_know(bundle, cache, call, programs):
    programs(qemu_aarch64_static='echo "qemu-aarch64-static: no CPU $2" >&2; exit 1')
    assert call(bundle, "--cache", cache, "--cpu", "6502") == (
        2,
        "",
        "verify_on_arm: on Arm: qemu-aarch64-static: no CPU 6502\n",
    )


def test_samples_that_differ(arm, bundle, cache, programs, monkeypatch):
    import numpy as np

    programs(qemu_aarch64_static=PASSES_ON)
    proved = arm.open_source

    class Other:
        def __init__(self, path):
            self.source = proved(path)

        def sample(self, count, seed):
            return self.source.sample(count, seed).astype(np.int16) + 2

    monkeypatch.setattr(arm, "open_source", Other)
    with pytest.raises(GateFailed, match="seed 7 draws other images .* 2 grey levels apart"):
        arm.check(arm.Bundle.open(bundle), cache)


def test_what_is_missing_is_said_in_one_line(bundle, call, programs, tmp_path):
    cache = tmp_path / "cache"
    assert call(bundle, "--cache", cache) == (
        2,
        "",
        "verify_on_arm: qemu-aarch64-static is missing; Debian and Ubuntu: apt-get install"
        " qemu-user-static\n",
    )
    programs(qemu_aarch64="exit 0")
    code, _, err = call(bundle, "--cache", cache)
    assert code == 2 and "apt-get is missing" in err
    code, _, err = call(tmp_path / "none", "--cache", cache)
    assert (code, err) == (2, f"verify_on_arm: there is no bundle at {tmp_path / 'none'}\n")
    (tmp_path / "file").write_text("")
    code, _, err = call(bundle, "--cache", tmp_path / "file")
    assert code == 2 and "file" in err and err.count("\n") == 1


def test_a_cache_is_no_folder_of_something_else(bundle, call, programs, tmp_path):
    programs(qemu_aarch64="exit 0")
    (tmp_path / "home/system").mkdir(parents=True)
    (tmp_path / "home/system/thesis.tex").write_text("kept")
    code, out, err = call(bundle, "--cache", tmp_path / "home")
    assert (code, out) == (2, "") and "is not empty and not a cache" in err
    assert (tmp_path / "home/system/thesis.tex").read_text() == "kept"


def test_what_cannot_be_fetched_is_said_in_one_line(arm, bundle, call, programs, tmp_path):
    fails = "echo Reading lists; echo 'E: Failed to fetch it' >&2; echo 'E: Too bad' >&2; exit 100"
    programs(qemu_aarch64="exit 0", dpkg="exit 0", apt_get=fails)
    code, out, err = call(bundle, "--cache", tmp_path / "cache")
    assert (code, out) == (2, "")
    assert err.splitlines()[1:] == [
        "verify_on_arm: apt-get failed, is the network there? E: Failed to fetch it"
    ]
    # Nothing of the failed attempt counts as done, nor stays in its way.
    left = {each.name for each in (tmp_path / "cache").iterdir()}
    assert left == {arm.MARK, "system"} and not any((tmp_path / "cache/system").iterdir())


def test_apt_is_asked_for_another_machine_in_folders_of_its_own(arm, programs, tmp_path):
    log = tmp_path / "asked"
    programs(dpkg="exit 0", apt_get=f'echo "$@" >> {log}')
    system = arm.once(tmp_path / "cache/system", arm.unpack_system)
    update, install = log.read_text().splitlines()
    for asked in (update, install):
        assert "-oAPT::Architecture=arm64" in asked
        state = Path(re.search(r"-oDir::State=(\S+)", asked)[1])
        assert state.parent == system and not state.exists()
    assert update.endswith(" update") and "--download-only" in install
    assert "CPU implementer" in (system / "proc/cpuinfo").read_text()
    assert (system / "sys/devices/system/cpu/possible").read_text() == "0\n"


def test_an_interruption_is_resumed(arm, tmp_path):
    made = []

    def make(folder):
        (folder / "a").write_text("")
        made.append(sorted(each.name for each in folder.iterdir()))
        if len(made) == 1:
            (folder / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        arm.once(tmp_path / "system", make)
    assert arm.once(tmp_path / "system", make) == tmp_path / "system"
    arm.once(tmp_path / "system", make)
    assert made == [["a"], ["a"]]


def test_ctrl_c_ends_it_with_130(arm, bundle, programs, tmp_path):
    started = tmp_path / "started"
    programs(
        qemu_aarch64="exit 0",
        dpkg="exit 0",
        apt_get=f"echo > {started}; exec {shutil.which('sleep', path=os.defpath)} 600",
    )
    process = subprocess.Popen(
        [sys.executable, SCRIPT, bundle, "--cache", tmp_path / "cache"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not started.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(120) == 130
        assert process.stderr.read().splitlines()[-1].startswith("verify_on_arm: interrupted")
    finally:
        process.kill()
        process.communicate()
    assert {each.name for each in (tmp_path / "cache").iterdir()} == {arm.MARK, "system"}


def test_nothing_of_this_machine_leaks_in(arm, programs, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    programs(
        qemu=f'exec {sys.executable} -c "import json, os; print(json.dumps(dict(os.environ)))"'
    )
    (tmp_path / "system").mkdir()
    emulator = [tmp_path / "programs/qemu"]
    out = arm.run_there(emulator, tmp_path / "system", tmp_path / "wheels", tmp_path / "pyc", [])
    seen = json.loads(out)
    assert not {"PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "VIRTUAL_ENV"} & seen.keys()
    assert seen["PYTHONPATH"] == f"{tmp_path / 'wheels'}:{arm.ROOT}"


def test_wheels_are_of_this_machines_releases(arm, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(arm, "fetch", lambda *command: asked.extend(map(str, command)))
    arm.unpack_wheels(tmp_path, {"numpy": "2.4.6"}, "3.12")
    assert asked[-1] == "numpy==2.4.6" and "--python-version=3.12" in asked
    assert "--only-binary=:all:" in asked and "--platform=manylinux_2_28_aarch64" in asked
    assert not any("index" in each or "://" in each for each in asked)


def test_the_last_word_of_a_program_is_kept(arm):
    with pytest.raises(InputError, match="sh failed, is the network there\\? it said nothing"):
        arm.fetch("/bin/sh", "-c", "exit 3")
    with pytest.raises(InputError, match="is the network there\\? ERROR: none"):
        arm.fetch("/bin/sh", "-c", "echo a; echo ERROR: none; echo b; exit 3")

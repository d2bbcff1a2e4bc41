"""Prove a bundle on an emulated 64-bit Arm machine: a stand-in for a phone's CPU.

    scripts/verify_on_arm BUNDLE [--cache DIR] [--cpu NAME]

`keras-ganvae verify` and `keras-ganvae sample` run there as they are, with LiteRT's wheels for
Arm, under QEMU's user emulation. Every file must give the images of golden.npz, and a seed
must draw what it draws on this machine. The first time fetches 60 MB of Debian or Ubuntu
packages and Python wheels.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from filelock import FileLock

from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import open_source
from keras_ganvae.cli.messages import PROGRAM, explain
from keras_ganvae.errors import GateFailed, InputError, UserError
from keras_ganvae.files import cache_folder

ROOT = Path(__file__).parents[1]
MARK = ".keras-ganvae-arm64"  # identifies a cache folder, and is its lock
DONE = ".done"  # marks a folder that is complete
QEMU = ("qemu-aarch64-static", "qemu-aarch64")
CPU = "cortex-a72"  # of a Raspberry Pi 4
PACKAGES = ("python3", "libstdc++6")  # and what they need
WHEELS = ("ai-edge-litert", "flatbuffers", "numpy", "pillow", "rfc8785")  # that it imports
GLIBC = (17, 24, 26, 27, 28, 31, 34)  # minor versions that wheels ask for (PEP 600)
# LiteRT reads these when it starts, and crashes on those of another kind of processor. QEMU
# looks for a file in the unpacked system first.
MACHINE = {
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n"
    "Features\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
    "CPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n",
    **{f"sys/devices/system/cpu/{name}": "0\n" for name in ("possible", "present", "online")},
}
COUNT, SEED = 16, 7
MOST_GREY = 1  # levels of 255 between the two machines' samples: float32 sums may round apart


def main(argv=None) -> int:
    """Exit code: 0 proved, 1 a check failed, 2 bad input or a tool is missing, 130."""
    args = parse(argv)
    try:
        bundle = Bundle.open(args.bundle)
        print(check(bundle, Path(args.cache).expanduser().absolute(), args.cpu))
        return 0
    except UserError as error:
        message, code = explain(error)
    except KeyboardInterrupt:
        message, code = "interrupted; what was complete is kept", 130
    except OSError as error:
        message, code = str(error), 2
    print(f"verify_on_arm: {message}", file=sys.stderr)
    return code


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="scripts/verify_on_arm",
        description=__doc__.partition("\n\n    ")[0] + __doc__.partition("NAME]\n")[2],
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder that export made")
    parser.add_argument(
        "--cache",
        default=cache_folder("arm64"),
        metavar="DIR",
        help="folder of the Arm system (default %(default)s)",
    )
    parser.add_argument(
        "--cpu",
        default=CPU,
        metavar="NAME",
        # QEMU 7.2 computes SME's SMOPA wrong, and LiteRT's 8-bit products with it.
        help=f"of QEMU's (default {CPU}, a Raspberry Pi 4's; neoverse-n1 has dot products, as"
        " most phones do; max,sme=off has matrix products, too)",
    )
    return parser.parse_args(argv)


def check(bundle, cache, cpu=CPU) -> str:
    """What was proved.

    Raises:
        InputError: a tool is missing, or something can't be fetched.
        GateFailed: the bundle does not pass there, or draws something else.
    """
    emulator = tool(*QEMU, package="qemu-user-static")
    with locked(cache):
        system = once(cache / "system", unpack_system)
        version = python_version(system)
        releases = {name: importlib.metadata.version(name) for name in WHEELS}
        named = "-".join([f"python{version}", *releases.values()])
        wheels = once(cache / named, lambda folder: unpack_wheels(folder, releases, version))

    def keras_ganvae(*arguments):
        return run_there([emulator, "-cpu", cpu], system, wheels, cache / "pycache", arguments)

    path = bundle.path.absolute()
    report = json.loads(keras_ganvae("verify", path, "--json"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "samples.npz"
        keras_ganvae("sample", path, "--count", COUNT, "--seed", SEED, "--out", out)
        with np.load(out) as archive:
            there = archive["samples"].astype(int)
    here = open_source(bundle.path).sample(COUNT, SEED).astype(int)
    apart = np.abs(there - here).max()
    if apart > MOST_GREY:
        raise GateFailed(
            f"seed {SEED} draws other images on Arm than here: up to {apart} grey levels apart"
        )
    return (
        f"{table(report['models'])}\n"
        f"{bundle.path}: {report['files']} files, all verified on Arm\n"
        f"{COUNT} samples of seed {SEED}: at most {apart} of 255 grey levels from this machine's"
    )


def table(models) -> str:
    """What was measured there: the distance from the Keras model's outputs."""
    lines = [f"{'file, signature, output':52}{'max error':>11}{'mean error':>12}"]
    lines += [
        f"{f'{name} {signature} {output}':52}{parity['max_error']:>11.2g}"
        f"{parity['mean_error']:>12.2g}"
        for name, model in models.items()
        for signature, outputs in model["parity"].items()
        for output, parity in outputs.items()
    ]
    return "\n".join(lines)


def tool(*names, package):
    """The path of the first of these programs that there is."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise InputError(f"{names[0]} is missing; Debian and Ubuntu: apt-get install {package}")


@contextlib.contextmanager
def locked(cache):
    """Create the cache folder and lock it, so that only one process unpacks there.

    Raises:
        InputError: the folder holds something else, which `once` might remove.
    """
    if not (cache / MARK).exists() and cache.exists() and any(cache.iterdir()):
        raise InputError(f"--cache {cache} is not empty and not a cache; choose another folder")
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / MARK):
        yield


def once(folder, make):
    """The folder, created by `make` unless it is complete."""
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        (folder / DONE).touch()
    return folder


def unpack_system(folder):
    """Python and the C library for Arm, as this machine's own release has them."""
    apt, dpkg = tool("apt-get", package="apt"), tool("dpkg", package="dpkg")
    say("Fetching the Arm system's packages.")
    with tempfile.TemporaryDirectory(dir=folder) as state:
        state = Path(state)
        for each in ("lists/partial", "archives/partial"):
            (state / each).mkdir(parents=True)
        # An empty machine of another kind, that shares this one's sources and keys.
        (state / "status").touch()
        settings = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Sandbox::User": "",
            "APT::Update::Error-Mode": "any",
            "Dir::State": state,
            "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::Cache": state,
            "Dir::Cache::archives": state / "archives",
        }
        options = ["-q", *(f"-o{name}={value}" for name, value in settings.items())]
        fetch(apt, *options, "update")
        only = ("--download-only", "--no-install-recommends", "--yes")
        fetch(apt, *options, *only, "install", *PACKAGES)
        for package in sorted((state / "archives").glob("*.deb")):
            fetch(dpkg, "-x", package, folder)
    for name, text in MACHINE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def unpack_wheels(folder, releases, python):
    """LiteRT and what else `keras_ganvae` imports there, of this machine's own releases."""
    say("Fetching the wheels for Arm.")
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC]
    options = ("--no-input", "--disable-pip-version-check", "--no-compile", "--no-cache-dir")
    fetch(
        *(sys.executable, "-m", "pip", "install", *options, "--only-binary=:all:"),
        *(f"--target={folder}", f"--python-version={python}", "--platform=manylinux2014_aarch64"),
        *platforms,
        *(f"{name}=={version}" for name, version in releases.items()),
    )


def python_version(system):
    """Of the Arm system, such as "3.11"."""
    return (system / "usr/bin/python3").readlink().name.removeprefix("python")


def run_there(emulator, system, wheels, pycache, arguments):
    """The output of `keras-ganvae` on the emulated machine.

    Raises:
        UserError: as it failed there.
    """
    python = system / "usr/bin/python3"
    command = [*emulator, "-L", system, python, "-S", "-m", "keras_ganvae", *arguments]
    # Nothing of this machine's own settings.
    settings = {
        "PYTHONPATH": f"{wheels}{os.pathsep}{ROOT}",
        "PYTHONPYCACHEPREFIX": str(pycache),
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [*map(str, command)], env=settings, cwd=system, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip().splitlines() or [f"it stopped with {done.returncode}"]
    unknown_cpu = said[-1].startswith(f"{Path(emulator[0]).name}: ")  # QEMU's own refusal
    kind = InputError if done.returncode == 2 or unknown_cpu else GateFailed
    raise kind(f"on Arm: {said[-1].removeprefix(f'{PROGRAM}: ')}")


def fetch(*command):
    """Run one program quietly; InputError with its last word if it fails."""
    done = subprocess.run(
        [*map(str, command)],
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["it said nothing"]
        first = next((line for line in lines if line.startswith(("E:", "ERROR:"))), lines[-1])
        raise InputError(f"{Path(command[0]).name} failed, is the network there? {first}")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

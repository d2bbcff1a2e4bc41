"""The package works where POSIX-only modules do not exist, as on Windows."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

SCRIPT = """
import builtins, sys

MISSING = {"fcntl", "grp", "pwd", "resource", "termios", "tty"}
original = builtins.__import__

def without_posix(name, globals=None, *args, **kwargs):
    # Hidden from this package only: Python's own library chooses for the present system.
    importer = (globals or {}).get("__name__") or ""
    if importer.partition(".")[0] == "keras_ganvae" and name.partition(".")[0] in MISSING:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return original(name, globals, *args, **kwargs)

builtins.__import__ = without_posix

import importlib, os, pkgutil

del os.pread
import keras_ganvae
from keras_ganvae.cli.main import main

keras_ganvae.runtime.start()
for module in pkgutil.walk_packages(keras_ganvae.__path__, "keras_ganvae."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
folder = sys.argv[1]
train = "train --arch vae --epochs 1 --batch-size 16 --latent-dim 4"
for command in (
    f"{train} --dataset synthetic --limit 64 --out {folder}/run",
    f"sample {folder}/run --count 4 --out {folder}/samples.png",
    f"sample {folder}/run --count 40 --out {folder}/images/",
    f"{train} --dataset folder:{folder}/images --cache disk --out {folder}/cached",
    f"export {folder}/run --out {folder}/bundle --formats float32 sampler",
    f"verify {folder}/bundle",
):
    assert main(command.split()) == 0, command
"""


def test_it_trains_samples_and_exports_without_posix_modules(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path],
        cwd=ROOT,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "samples.png").exists()

"""Commands of keras-ganvae one after another, for the scripts here that run several."""

import shlex
import subprocess
import sys

from keras_ganvae.errors import InputError
from keras_ganvae.training.run import Run


def train(folder, settings, epochs=None):
    """Bring one run to its last epoch, whatever there is of it already.

    Args:
        settings: options of `train`.
        epochs: how many there are to be; None leaves it to the run, or to the preset.
    """
    asked = () if epochs is None else ("--epochs", str(epochs))
    try:
        run = Run.open(folder)
    except InputError:
        call("train", *settings, *asked, "--out", str(folder))
        return
    if epochs is not None and run.config.epochs > epochs:
        sys.exit(f"{folder} has {run.config.epochs} epochs; --epochs can't make them fewer")
    longer = epochs is not None and run.config.epochs < epochs
    if longer or not run.model_file.exists():
        call("train", "--resume", str(folder), *asked)


def call(*arguments):
    """Run a command of keras-ganvae; stop with its exit code if it fails."""
    print("keras-ganvae " + shlex.join(arguments), file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "keras_ganvae", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)

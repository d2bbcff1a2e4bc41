"""Commands of keras-ganvae one after another, for the scripts here that run several."""

import dataclasses
import shlex
import subprocess
import sys

from keras_ganvae import architectures
from keras_ganvae.cli.main import parse
from keras_ganvae.cli.train import train_config
from keras_ganvae.errors import InputError
from keras_ganvae.runs.run import Run

# Where the data lies; and colour images choose a binarization of their own.
MAY_DIFFER = ("data_dir", "binarize")


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
    check_settings(run, settings, epochs)
    if epochs is not None and run.config.epochs > epochs:
        sys.exit(f"{folder} has {run.config.epochs} epochs; --epochs can't make them fewer")
    longer = epochs is not None and run.config.epochs < epochs
    if longer or not run.model_file.exists():
        call("train", "--resume", str(folder), *asked)


def check_settings(run, settings, epochs):
    """Stop unless an existing run is the one that is asked for."""
    asked = architectures.resolve(train_config(parse(["train", *settings])))
    free = MAY_DIFFER if epochs is None else (*MAY_DIFFER, "epochs", "schedule_epochs")
    for each in dataclasses.fields(asked):
        there, wanted = getattr(run.config, each.name), getattr(asked, each.name)
        if each.name not in free and there != wanted:
            sys.exit(
                f"{run.path} was trained with {each.name} {there}, not {wanted};"
                " move it away, or choose another folder"
            )


def call(*arguments):
    """Run a command of keras-ganvae; stop with its exit code if it fails."""
    print("keras-ganvae " + shlex.join(arguments), file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "keras_ganvae", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)

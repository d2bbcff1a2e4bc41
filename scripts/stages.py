"""Commands of keras-ganvae in sequence, for the scripts that run several of them."""

import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_ganvae import architectures
from keras_ganvae.cli.main import parse
from keras_ganvae.cli.train import train_config
from keras_ganvae.errors import InputError
from keras_ganvae.runs.run import Run

# The location of the data, and what training resolves from the data itself.
MAY_DIFFER = ("data_dir", "binarize")


def train(folder: Path, settings: Sequence[str], epochs: int | None = None) -> None:
    """Train a run to its last epoch: create it, resume it, or keep it if it is finished.

    Args:
        folder: the run folder.
        settings: options of `keras-ganvae train`.
        epochs: number of epochs; None takes the run's own, or the preset's.
    """
    epoch_options = () if epochs is None else ("--epochs", str(epochs))
    try:
        run = Run.open(folder)
    except InputError:
        call("train", *settings, *epoch_options, "--out", str(folder))
        return
    check_settings(run, settings, epochs)
    trained = run.config.epochs or 0
    if epochs is not None and trained > epochs:
        sys.exit(f"{folder} has {trained} epochs; --epochs {epochs} cannot shorten it")
    if (epochs is not None and trained < epochs) or not run.is_finished:
        call("train", "--resume", str(folder), *epoch_options)


def check_settings(run: Run, settings: Sequence[str], epochs: int | None) -> None:
    """Exit unless an existing run has the given settings."""
    wanted = architectures.resolve(train_config(parse(["train", *settings])))
    ignored = MAY_DIFFER if epochs is None else (*MAY_DIFFER, "epochs", "schedule_epochs")
    for field in dataclasses.fields(wanted):
        found, expected = getattr(run.config, field.name), getattr(wanted, field.name)
        if field.name not in ignored and found != expected:
            sys.exit(
                f"{run.path} was trained with {field.name} {found}, not {expected};"
                " move it away or choose another folder"
            )


def call(*arguments: str) -> None:
    """Run a keras-ganvae command; exit with its exit code if it fails."""
    print("keras-ganvae " + shlex.join(arguments), file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "keras_ganvae", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)

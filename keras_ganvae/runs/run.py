"""A run folder: what training leaves behind, and the way back to the model."""

import csv
import dataclasses
import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from keras_ganvae import runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.distributed.cluster import LOGS
from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import replacing, write_json
from keras_ganvae.priors import MixturePrior, NormalPrior


@dataclass(frozen=True)
class Run:
    """One run folder. `record` is the whole of its config.json."""

    path: Path
    config: TrainConfig
    record: dict

    @classmethod
    def create(cls, path, job) -> "Run":
        """Empty the folder and write config.json: enough to repeat the run.

        The folder must be one that `check_free` passed, and be locked.

        Args:
            job: `recipe.Job`.
        """
        path = Path(path)
        config = job.config
        record = {
            "arch": config.arch,
            "config": config.to_dict(),
            "dataset": dataset_record(job.dataset),
            "trained_on": job.placement.described(),
            "versions": runtime.versions(),
            "command": shlex.join(["keras-ganvae", *sys.argv[1:]]),
        }
        for old in path.iterdir():
            if old.name != LOGS:  # workers are writing there already
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for folder in ("figures", "checkpoint", "tensorboard"):
            (path / folder).mkdir()
        write_json(path / "config.json", record)
        return cls(path, config, record)

    def extended(self, epochs: int, write=True) -> "Run":
        """The run with more epochs to train, recorded in its config.json unless not `write`."""
        config = dataclasses.replace(self.config, epochs=epochs)
        record = self.record | {"config": config.to_dict()}
        if write:
            write_json(self.path / "config.json", record)
        return Run(self.path, config, record)

    @classmethod
    def open(cls, path) -> "Run":
        """Read a run folder's config.json.

        Raises:
            InputError: there is no run, or its config.json is damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"no run folder at {path}")
        try:
            record = json.loads((path / "config.json").read_text())
            config = _recorded_config(record)
        except FileNotFoundError as error:
            raise InputError(f"{path} is not a run folder: it has no config.json") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path / 'config.json'} is damaged: {error}") from error
        return cls(path, config, record)

    @property
    def history_file(self):
        return self.path / "history.csv"

    @property
    def checkpoints(self):
        return self.path / "checkpoint"

    @property
    def figures(self):
        return self.path / "figures"

    @property
    def tensorboard(self):
        return self.path / "tensorboard"

    @property
    def model_file(self):
        return self.path / "model.keras"

    @property
    def prior_file(self):
        return self.path / "prior.npz"

    @property
    def is_variational(self) -> bool:
        return self.config.beta is not None

    def history(self) -> list[dict]:
        """The rows of history.csv: int epochs, float values.

        Raises:
            InputError: there is none, or it is damaged.
        """
        try:
            with open(self.history_file, newline="") as file:
                rows = [
                    {k: int(v) if k == "epoch" else float(v) for k, v in row.items()}
                    for row in csv.DictReader(file)
                ]
            if not rows:
                raise ValueError("it has no rows")
            return rows
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{self.history_file} is missing or damaged: {error}") from error

    def finished_epochs(self) -> int:
        """Rows of history.csv; 0 if there is none yet."""
        return len(self.history()) if self.history_file.exists() else 0

    def dataset(self, cache="memory"):
        """Load the data set that the run was trained on.

        Args:
            cache: where its images are kept; evaluation wants them in memory.

        Raises:
            InputError: it can't be found, or its content has changed.
        """
        dataset = load_dataset(self.config, cache)
        recorded = self.record["dataset"]["fingerprint"]
        if dataset.fingerprint != recorded:
            raise InputError(
                f"{self.config.dataset} has changed since {self.path} was trained on it"
                f" (fingerprint {dataset.fingerprint[:12]}, then {recorded[:12]})"
            )
        return dataset

    def check_finished(self):
        """InputError unless the run has its trained model."""
        if not self.model_file.exists():
            raise InputError(
                f"{self.path} is not finished: it has no model.keras;"
                f" go on with: keras-ganvae train --resume {self.path}"
            )

    def model(self):
        """Load the trained model.

        Raises:
            InputError: the run is not finished, or the file is damaged.
        """
        import keras

        import keras_ganvae.models  # noqa: F401 (registers the classes)

        self.check_finished()
        try:
            return keras.saving.load_model(self.model_file)
        except Exception as error:  # Keras raises whatever its zip and HDF5 readers do
            raise InputError(
                f"{self.model_file} is damaged ({first_line(error).rstrip('.')}); delete it, and"
                f" train --resume {self.path} makes it again"
            ) from error

    def prior(self, name=None):
        """What to sample from: "normal", "mixture", or None for the run's own default.

        Raises:
            InputError: a GAN has no mixture; the file is missing or damaged.
        """
        name = name or self.config.sampling_prior or "normal"
        if name == "normal":
            return NormalPrior(self.config.latent_dim)
        if not self.is_variational:
            raise InputError(f"{self.path} holds a {self.config.arch}, whose prior is N(0, I)")
        try:
            return MixturePrior.load(self.prior_file)
        except FileNotFoundError as error:
            raise InputError(f"{self.path} is not finished: it has no prior.npz") from error
        except Exception as error:  # numpy raises whatever its zip reader does
            raise InputError(
                f"{self.prior_file} is damaged ({first_line(error).rstrip('.')}); delete"
                f" {self.model_file}, and train --resume {self.path} makes both again"
            ) from error

    def save_model(self, model):
        with replacing(self.model_file) as beside:
            model.save(beside)


def _recorded_config(record):
    """The config of a config.json that has what the rest of this package reads of it."""
    missing = {"name", "fingerprint"} - set(record["dataset"])
    config = TrainConfig.from_dict(record["config"])
    if missing or config.batch_size is None:
        raise ValueError("it lacks settings that a run has")
    return config


def load_dataset(config, cache="memory"):
    """The data set that a config names, at its size, limit and validation split."""
    from keras_ganvae import data

    return data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        limit=config.limit,
        validation_size=config.validation_size,
        cache=cache,
    )


def dataset_record(dataset) -> dict:
    """What config.json says of the data."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_shape": list(dataset.image_shape),
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
    }


def check_free(path, overwrite):
    """Refuse a folder whose content a new run would destroy.

    Raises:
        InputError: `path` holds a run and `overwrite` is false, holds something that is
            not a run, or can't be written.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path} is a file")
    if path.is_dir() and any(path.iterdir()):
        if not (path / "config.json").exists():
            raise InputError(f"--out {path} is not empty and not a run; choose another folder")
        if not overwrite:
            raise InputError(
                f"--out {path} already holds a run; --overwrite replaces it, --resume continues it"
            )
    # Asked, not tried: a run that is refused later leaves nothing behind.
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"can't write to --out {path}: {nearest} is not a writable folder")

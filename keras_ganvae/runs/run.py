"""A run folder: what training writes, and how to load the model from it.

TensorFlow and Keras are imported only when a model is loaded.
"""

import contextlib
import csv
import dataclasses
import logging
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ganvae import architectures, data, runtime
from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.config import TrainConfig
from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import readable, replacing, sha256_of, write_json
from keras_ganvae.ownership import RUN, check_replaceable
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.runs import checkpoints, identity, lock, machine, model_file, records

log = logging.getLogger("keras_ganvae")

FOLDERS = ("figures", "checkpoint", "tensorboard")
# Present while model.keras is of an earlier epoch than the run plans.
UNFINISHED = ".unfinished"
HISTORY = {"epoch", "seconds", "images_per_second"}  # the columns that every run has


@dataclass(frozen=True)
class Run:
    """One run folder. `record` is the whole of its config.json."""

    path: Path
    config: ResolvedConfig
    record: dict

    @classmethod
    def create(
        cls, path: Path, config: ResolvedConfig, dataset: data.Dataset, trained_on: str
    ) -> "Run":
        """Write config.json: enough to repeat the run.

        The caller has checked the folder with `check_free`, holds its lock and has set an old
        run aside.

        Args:
            config: resolved.
            trained_on: the devices, for the record.
        """
        record = {
            "arch": config.arch,
            "config": config.to_dict(),
            "dataset": records.dataset_record(dataset),
            "trained_on": trained_on,
            **machine.here(),
            "command": shlex.join(["keras-ganvae", *sys.argv[1:]]),
        }
        # First, so that a folder that a crash leaves is known as a run.
        write_json(path / "config.json", record)
        for folder in FOLDERS:
            (path / folder).mkdir()
        return cls(path, config, record)

    def extended(self, epochs: int) -> "Run":
        """The run with more epochs to train; `write_config` records it."""
        config = dataclasses.replace(self.config, epochs=epochs)
        return Run(self.path, config, self.record | {"config": config.to_dict()})

    def record_machine(self) -> None:
        """Warn, and record it, if this is not the machine that the run began on."""
        changes = machine.differences(self.record)
        if not changes:
            return
        log.warning(
            "%s began on another machine (%s): it will equal an uninterrupted run up to rounding,"
            " not byte for byte",
            self.path,
            "; ".join(changes),
        )
        others, now = self.record.get("resumed_on"), machine.here()
        others = others if isinstance(others, list) else []
        if now not in others:
            self.record["resumed_on"] = [*others, now]
            self.write_config()

    def write_config(self) -> None:
        write_json(self.path / "config.json", self.record)

    @classmethod
    def open(cls, path: str | os.PathLike) -> "Run":
        """Read a run folder's config.json.

        Raises:
            InputError: there is no run, or its config.json is damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"no run folder at {path}")
        file = path / "config.json"
        if not file.is_file():
            raise InputError(f"{path} is not a run folder: it has no config.json")
        record, config = records.read(file)
        return cls(path, config, record)

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoint"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def model_file(self) -> Path:
        return self.path / "model.keras"

    @property
    def prior_file(self) -> Path:
        return self.path / "prior.npz"

    @property
    def is_variational(self) -> bool:
        return architectures.kind_of(self.config.arch) == "variational"

    @property
    def is_finished(self) -> bool:
        return self.model_file.exists() and not (self.path / UNFINISHED).exists()

    def mark_unfinished(self) -> None:
        """Keep a model.keras, but as one that training has yet to replace."""
        if self.model_file.exists():
            (self.path / UNFINISHED).touch()

    def history(self) -> list[dict]:
        """The rows of history.csv: int epochs, float values.

        Raises:
            InputError: there is none, or it is damaged.
        """
        try:
            with open(readable(self.history_file), newline="") as file:
                rows = [
                    {k: int(v) if k == "epoch" else float(v) for k, v in row.items()}
                    for row in csv.DictReader(file)
                ]
            if not rows or not rows[0].keys() >= HISTORY:
                raise ValueError("rows or columns are missing")
            return rows
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise InputError(f"{self.history_file} is missing or damaged: {error}") from error

    def finished_epochs(self) -> int:
        """The number of rows in history.csv; 0 if there is none yet."""
        return len(self.history()) if self.history_file.exists() else 0

    def progress(self) -> str | None:
        """ "epoch 12 of 30, not finished"; None for a finished run."""
        if self.is_finished:
            return None
        return f"epoch {self.finished_epochs()} of {self.config.epochs}, not finished"

    def dataset(self, cache: str = "memory") -> data.Dataset:
        """Load the data set that the run was trained on.

        Args:
            cache: where decoded images are kept; evaluation needs them in memory.

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

    def check_finished(self) -> None:
        """Raise InputError unless the run has its trained model."""
        if not self.is_finished:
            if lock.is_held(self.path):
                raise InputError(f"{self.path} is being trained; wait until it is finished")
            raise InputError(f"{self.path} is not finished: no model.keras", resume=self.path)

    def model(self) -> Any:
        """Load the trained model; of an unfinished run, the model of its newest checkpoint.

        Raises:
            InputError: there is neither, or the file is damaged.
        """
        if not self.is_finished:
            return self._model_in_training()
        import keras

        import keras_ganvae.models  # noqa: F401 (registers the classes)

        # Not of `self.record`: the run may have been extended since it was opened.
        recorded = Run.open(self.path).record.get(identity.KEY)
        try:
            identity.check_file(self.model_file, recorded)
            model = keras.saving.load_model(readable(self.model_file))
            shape = tuple(self.record["dataset"]["image_shape"])
            identity.check_model(model, self.config, shape)
            if recorded is None:
                identity.check_layers(model, self.config, shape)
            return model
        except Exception as error:  # whatever Keras's zip and HDF5 readers raise
            self.check_finished()
            damage = f"{self.model_file} is damaged ({first_line(error).rstrip('.')})"
            if not checkpoints.folders(self.checkpoints):
                remedy = "there is no checkpoint to write it again from: train the run again"
                raise InputError(f"{damage}; {remedy}") from error
            raise InputError(
                f"{damage}; delete it and resume the run to write it again", resume=self.path
            ) from error

    def _model_in_training(self):
        dataset = self.record["dataset"]
        with runtime.dtype_policy(self.config.precision):
            model = architectures.build(self.config, dataset["image_shape"])
        for _ in range(3):
            folder, *_ = checkpoints.newest(self.checkpoints, dataset["fingerprint"])
            # Training may delete the checkpoint while it is being read.
            with contextlib.suppress(FileNotFoundError):
                checkpoints.restore_weights(folder, model)
                return model
        raise InputError(f"can't read a checkpoint of {self.path} while it trains; try again")

    def prior(self, name: str | None = None) -> NormalPrior | MixturePrior:
        """The distribution to sample latents from.

        Args:
            name: "normal" or "mixture"; None is the run's default. An unfinished run has no
                mixture yet and defaults to N(0, I).

        Raises:
            InputError: the run has no mixture, or its file is damaged.
        """
        default = self.config.sampling_prior if self.is_finished else None
        name = name or default or "normal"
        if name == "normal":
            return NormalPrior(self.config.latent_dim)
        if not self.is_variational:
            raise InputError(f"{self.path} is a {self.config.arch}; its prior is N(0, I)")
        if not self.is_finished:
            raise InputError(
                f"{self.path} is not finished: it has no mixture yet", resume=self.path
            )
        try:
            prior = MixturePrior.load(self.prior_file)
            if prior.latent_dim != self.config.latent_dim:
                raise ValueError(f"its latents have {prior.latent_dim} dimensions")
            return prior
        except FileNotFoundError as error:
            raise InputError(
                f"{self.path} is not finished: no prior.npz", resume=self.path
            ) from error
        except Exception as error:  # whatever numpy's zip reader raises
            raise InputError(
                f"{self.prior_file} is damaged ({first_line(error).rstrip('.')});"
                f" delete {self.model_file} and resume the run to write both again",
                resume=self.path,
            ) from error

    def save_model(self, model: Any) -> None:
        """Write model.keras, which marks the run as finished, and its checksum in config.json."""
        with replacing(self.model_file) as beside:
            model_file.save(model, beside)
            # Before the file has its name: a crash in between leaves an unfinished run.
            self.record[identity.KEY] = sha256_of(beside)
            self.write_config()
        (self.path / UNFINISHED).unlink(missing_ok=True)


def load_dataset(config: TrainConfig, cache: str = "memory") -> data.Dataset:
    """Load the data set that a config names, with its image size, limit and splits."""
    return data.load(
        config.dataset,
        data_dir=config.data_dir,
        image_size=config.image_size,
        limit=config.limit,
        validation_size=config.validation_size,
        cache=cache,
    )


def check_free(path: str | os.PathLike, overwrite: bool, config: TrainConfig | None = None) -> None:
    """Refuse a folder whose content a new run would destroy.

    Args:
        path: the run folder.
        overwrite: whether a run there may be replaced.
        config: settings of the new run; its data are not to be destroyed.

    Raises:
        InputError: see `check_replaceable`.
    """
    check_replaceable(path, RUN, overwrite, inputs=_data_paths(config) if config else ())


def _data_paths(config):
    """The file or folder of the images, and the folder of TFDS data sets."""
    scheme, _, path = config.dataset.partition(":")
    if scheme in ("folder", "npz"):
        yield Path(path).expanduser()
    if config.data_dir:
        yield Path(config.data_dir)

"""A run's config.json: enough to repeat the run."""

import json
from pathlib import Path

from keras_ganvae import architectures, data
from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.config import MAX_INT, TrainConfig
from keras_ganvae.data.splits import SPLITS
from keras_ganvae.errors import InputError
from keras_ganvae.files import readable

# Settings that older runs lack.
LATER = ("gradient_penalty", "match_contrast")


def read(file: Path) -> tuple[dict, ResolvedConfig]:
    """The whole record, and its settings.

    Raises:
        InputError: the file is damaged.
    """
    try:
        record = json.loads(readable(file).read_text())
        _check(record)
        return record, _config(record["config"])
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{file} is damaged: {error}") from error
    except RecursionError as error:
        raise InputError(f"{file} is damaged: it is nested too deeply") from error


def dataset_record(dataset: data.Dataset) -> dict:
    """The entry `dataset` of config.json."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_shape": list(dataset.image_shape),
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
    }


def _check(record):
    """Check the parts of a config.json that are read later; ValueError if one is damaged."""
    if not isinstance(record, dict):
        raise ValueError("it is not an object")
    if not all(isinstance(record.get(name), dict) for name in ("config", "dataset")):
        raise ValueError("`config` or `dataset` is missing")
    if not isinstance(record.get("command"), str):
        raise ValueError("`command` is missing")
    dataset = record["dataset"]
    for name in ("name", "fingerprint"):
        if not isinstance(dataset.get(name), str):
            raise ValueError(f"the data set's {name} is missing")
    shape = dataset.get("image_shape")
    if not isinstance(shape, list) or len(shape) != 3:
        raise ValueError("the data set's image_shape is missing")
    if not all(_is_size(size) for size in (*shape, *(dataset.get(name) for name in SPLITS))):
        raise ValueError("the data set's sizes are missing or out of range")


def _is_size(value):
    return type(value) is int and 0 < value <= MAX_INT


def _config(values):
    """The config in a config.json; ValueError or InputError if it is incomplete."""
    config = TrainConfig.from_dict(values)
    module = architectures.load(config.arch)
    for name in (*module.PRESETS[config.preset], "schedule_epochs"):
        if getattr(config, name) is None and name not in LATER:
            raise ValueError(f"`{name}` is missing")
    return config

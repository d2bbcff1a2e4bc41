"""The protocol of a measurement: metrics compare only under equal protocols."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_ganvae import runtime
from keras_ganvae.config import BINARIZATIONS, check_range, nearest, shown
from keras_ganvae.errors import InputError

if TYPE_CHECKING:  # both load TensorFlow
    from keras_ganvae.data import Dataset
    from keras_ganvae.metrics.features import Features

RESULT = "evaluation.json"  # in the run folder
# Burda et al. 2016 evaluate with 5,000; so many already take days.
MAX_IMPORTANCE_SAMPLES = 1_000_000


def _setting(default: Any, help: str) -> Any:
    """A field of `Settings` with its text for --help."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Settings:
    """The settings of `evaluate` and `compare`; the command line makes a flag of each field."""

    samples: int = _setting(10_000, "samples drawn from each prior")
    neighbours: int = _setting(5, "k of precision, recall, density and coverage")
    importance_samples: int = _setting(
        1_000, "importance samples per image of the IWAE bound on log p(x)"
    )
    bound_images: int = _setting(1_000, "test images that the IWAE bound is computed on")
    binarize: tuple[str, ...] = _setting(
        ("stochastic",),
        f"binarization of the pixels in the likelihood, one or more of {', '.join(BINARIZATIONS)}",
    )
    features: str | None = _setting(
        None, "digits, classifier (trained on the data's labels) or inception (default by data set)"
    )
    seed: int = _setting(0, "random seed of samples, binarization, noise and bootstrap")

    def __post_init__(self):
        for name in ("samples", "neighbours", "bound_images"):
            check_range(name, getattr(self, name), least=1)
        check_range("importance_samples", self.importance_samples, 1, most=MAX_IMPORTANCE_SAMPLES)
        check_range("seed", self.seed, least=0)
        for name in self.binarize:
            if name not in BINARIZATIONS:
                raise InputError(f"unknown `binarize` {shown(name)}{nearest(name, BINARIZATIONS)}")


def describe(settings: Settings, dataset: "Dataset", features: "Features") -> dict:
    """The protocol of a measurement, for JSON."""
    return dataclasses.asdict(settings) | {
        "binarize": list(settings.binarize),
        "features": {
            "name": features.name,
            "hash": features.hash,
            "dimensions": features.dimensions,
            "note": features.note,
        },
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "image_shape": list(dataset.image_shape),
            "train": len(dataset.train),
            "test": len(dataset.test),
        },
        "split": "test",
        # As many as there are samples if possible: the bias of a Fréchet distance depends on it.
        "floor_images": min(settings.samples, len(dataset.train)),
        "bound_images": min(settings.bound_images, len(dataset.test)),
        "versions": runtime.versions(),
    }


def check_equal(protocols: Mapping[str, dict]) -> None:
    """Check that models were measured under one protocol.

    Args:
        protocols: name of the model -> protocol.

    Raises:
        InputError: two protocols differ; the message says where.
    """
    (first_name, first), *others = protocols.items()
    for name, protocol in others:
        for key in first:
            if protocol[key] != first[key]:
                raise InputError(
                    f"{first_name} and {name} are not comparable: they differ in {key}"
                    f" ({_short(first[key])}, {_short(protocol[key])})"
                )


def _short(value):
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."

"""What a number was measured by: numbers compare only where this is equal."""

import dataclasses
from dataclasses import dataclass, field

from keras_ganvae import runtime
from keras_ganvae.config import BINARIZATIONS, nearest
from keras_ganvae.errors import InputError

RESULT = "evaluation.json"  # of a run, in its folder


def asked(default, help):
    """A field with what `--help` says of it."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Settings:
    """What `evaluate` and `compare` may be asked for; their flags are made from the fields."""

    samples: int = asked(10_000, "samples drawn from each prior")
    neighbours: int = asked(5, "k of precision, recall, density and coverage")
    importance_samples: int = asked(
        1_000, "importance samples per image of the IWAE bound on log p(x)"
    )
    bound_images: int = asked(1_000, "test images that the IWAE bound is computed on")
    binarize: tuple[str, ...] = asked(
        ("stochastic",),
        f"binarization of the pixels in the likelihood, one or more of {', '.join(BINARIZATIONS)}",
    )
    features: str | None = asked(
        None, "digits, classifier (trained on the data's labels) or inception (default by data set)"
    )
    seed: int = asked(0, "random seed of samples, binarization, noise and bootstrap")

    def __post_init__(self):
        for name in ("samples", "neighbours", "importance_samples", "bound_images"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"`seed` must be from 0 to {2**31 - 1}, not {self.seed}")
        for name in self.binarize:
            if name not in BINARIZATIONS:
                raise InputError(f"unknown `binarize` '{name}'{nearest(name, BINARIZATIONS)}")


def describe(settings: Settings, dataset, features) -> dict:
    """The protocol of a measurement, as it stands beside every number.

    Args:
        dataset: `data.Dataset`.
        features: `features.Features`.
    """
    chosen = dataclasses.asdict(settings)
    chosen["binarize"] = list(settings.binarize)
    return chosen | {
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
        # Of as many as the samples, if there are so many: a Fréchet distance falls as they grow.
        "floor_images": min(settings.samples, len(dataset.train)),
        "bound_images": min(settings.bound_images, len(dataset.test)),
        "versions": runtime.versions(),
    }


def check_equal(protocols: dict):
    """Refuse numbers that were not measured alike.

    Args:
        protocols: name of the model -> its protocol.

    Raises:
        InputError: two differ; the message names them and what differs.
    """
    (first_name, first), *others = protocols.items()
    for name, protocol in others:
        for key in first:
            if protocol[key] != first[key]:
                raise InputError(
                    f"{first_name} and {name} do not compare: their {key} differ"
                    f" ({_short(first[key])}, {_short(protocol[key])})"
                )


def _short(value):
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."

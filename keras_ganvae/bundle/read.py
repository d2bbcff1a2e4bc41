"""Read a bundle without TensorFlow."""

import math
import os
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.latent import component_seeds, mixture
from keras_ganvae.config import MAX_SIZE
from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import sha256_of
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.tflite.read import ModelFile, read_model
from keras_ganvae.tflite.run import LoadedModel, open_model
from keras_ganvae.tflite.signatures import golden_arrays

MAX_CARD_BYTES = 2**26
REMEDY = "export the run again"


@dataclass(frozen=True)
class Bundle:
    """A bundle folder and its validated model_card.json."""

    path: Path
    card: dict

    @classmethod
    def open(cls, path: str | os.PathLike) -> "Bundle":
        """Read the card of a bundle; its files are checked when they are used.

        Raises:
            InputError: there is no bundle, or its card is damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"there is no bundle at {path}")
        file = path / card.NAME
        if not file.is_file():
            raise InputError(f"{path} is not a bundle: it has no {card.NAME}; {REMEDY}")
        if file.stat().st_size > MAX_CARD_BYTES:
            raise InputError(f"{file} is larger than {MAX_CARD_BYTES} bytes; {REMEDY}")
        try:
            bundle = cls(path, card.read(file))
        except OverflowError as error:  # an integer of hundreds of digits
            raise InputError(f"{file} is damaged: {error}; {REMEDY}") from error
        if max(bundle.latent_dim, *bundle.image_shape) > MAX_SIZE:
            raise InputError(f"{file} is damaged: its latents or images are too large; {REMEDY}")
        bundle.prior()  # a damaged mixture fails now, not after a minute of work
        return bundle

    @property
    def name(self) -> str:
        return self.card["name"]

    @property
    def latent_dim(self) -> int:
        return self.card["latent"]["size"]

    @property
    def image_shape(self) -> tuple:
        return tuple(self.card["image"]["shape"])

    @property
    def files(self) -> dict:
        """What the card says about each file, by name."""
        return self.card["files"]

    @property
    def variants(self) -> dict:
        """The .tflite file of each variant. The name decides, whatever the card calls it."""
        return {card.MODELS[name]: name for name in self.files if name in card.MODELS}

    def file(self, name: str) -> Path:
        """The path of a file, after comparing size and checksum with the card.

        Raises:
            InputError: the card does not list the file, or it is missing or altered.
        """
        path = self.path / name
        if name not in self.files:
            raise InputError(f"{self.path} has no {name}; {REMEDY}")
        facts = self.files[name]
        try:
            # A link may lead out of the bundle.
            inside = path.resolve().is_relative_to(self.path.resolve())
            if not inside or not path.is_file():
                raise InputError(f"{path} is missing; {REMEDY}")
            size = path.stat().st_size
            if size != facts["bytes"]:
                raise InputError(f"{path} has {size} bytes instead of {facts['bytes']}; {REMEDY}")
            if sha256_of(path) != facts["sha256"]:
                raise InputError(
                    f"{path} is not the file that its card lists (SHA-256 differs); {REMEDY}"
                )
        except (OSError, ValueError) as error:
            raise InputError(f"can't read {path}: {error}") from error
        return path

    def check_files(self, unless: Collection[str] = ()) -> None:
        """Compare every file with the card, except those named.

        Raises:
            InputError: a file is missing or altered.
        """
        for name in self.files:
            if name not in unless:
                self.file(name)

    def prior(self, name: str | None = None) -> NormalPrior | MixturePrior:
        """The distribution to sample from: "normal", "mixture", or None for the bundle's own.

        Raises:
            InputError: the bundle has no mixture, or a damaged one.
        """
        latent = self.card["latent"]
        name = name or latent["distribution"]
        if name == "normal":
            return NormalPrior(self.latent_dim)
        if "mixture" not in latent:
            raise InputError(f"{self.path} draws from N(0, I) and has no mixture")
        try:
            return mixture(latent)
        except InputError as error:
            raise InputError(f"{self.path / card.NAME} is damaged: {error}; {REMEDY}") from error

    def model(self, variant: str = "float32", threads: int = 1) -> LoadedModel:
        """Load the .tflite file of a variant after comparing its checksum.

        Raises:
            InputError: there is no such variant, or its file is missing, altered or damaged.
        """
        return open_model(self.model_file(variant), threads)

    def model_file(self, variant: str) -> ModelFile:
        """Read the .tflite file of a variant; raises as `model` does."""
        if variant not in self.variants:
            has = ", ".join(self.variants) or "none"
            raise InputError(f"{self.path} has no variant {variant}; it has {has}")
        return read_model(self.file(self.variants[variant]))

    def golden(self) -> dict[str, np.ndarray]:
        """The arrays of golden.npz: float32, except for int32 seeds.

        Raises:
            InputError: the file is missing, altered or damaged, or of another mixture.
        """
        return read_golden(self.file(GOLDEN), self.prior(), self.image_shape)


def read_golden(
    path: str | os.PathLike, prior: NormalPrior | MixturePrior, image_shape: tuple
) -> dict[str, np.ndarray]:
    """Read a golden.npz, checking names, types and shapes.

    Raises:
        InputError: the file can't be read, or an array is missing, unknown or has the wrong
            type or shape.
    """
    draws = len(component_seeds(prior)) if isinstance(prior, MixturePrior) else 0
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            wanted = golden_arrays(prior.latent_dim, image_shape, "means" in names, draws)
            if ("component_seeds" in names) != (draws > 0):
                raise ValueError("it is of another distribution than its card describes")
            if sorted(names) != sorted(wanted):
                raise ValueError(f"it holds {', '.join(names)}")
            arrays = {name: _array(archive, name, *wanted[name]) for name in wanted}
    # zipfile and numpy raise whatever their layers below do.
    except Exception as error:
        reason = first_line(error)
        raise InputError(f"{path} is damaged: {reason}; {REMEDY}") from error
    return arrays


def _array(archive, name, shape, type_name):
    """Read one array, its header first: a wrong one could ask for all the memory."""
    dtype = np.dtype(type_name)
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} has an unknown version")
        header = np.lib.format.read_array_header_1_0(file)
        if header != (shape, False, dtype):
            raise ValueError(f"{name} is {header[2]} {list(header[0])}, not {dtype} {list(shape)}")
        content = file.read(dtype.itemsize * math.prod(shape) + 1)
    array = np.frombuffer(content, dtype).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    return array

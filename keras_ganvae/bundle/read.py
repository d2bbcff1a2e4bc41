"""Reading a bundle, or a bare .tflite file, without TensorFlow."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import sha256_of
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite import read as flatbuffer
from keras_ganvae.tflite import run as interpreter

MOST_CARD_BYTES = 2**26
MOST_SIDE = 4096  # of latents and images
MANY = card.BATCH  # images that decode_16 makes at once
GOLDEN_COUNT = 16
AGAIN = "export the run again"


@dataclass(frozen=True)
class Bundle:
    """One bundle folder. `card` is the whole of its model_card.json, validated."""

    path: Path
    card: dict

    @classmethod
    def open(cls, path) -> "Bundle":
        """Read a bundle's card; its files are checked when they are used.

        Raises:
            InputError: there is no bundle, or its card is damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"there is no bundle at {path}")
        file = path / card.NAME
        if not file.is_file():
            raise InputError(f"{path} is no bundle: it has no {card.NAME}; {AGAIN}")
        if file.stat().st_size > MOST_CARD_BYTES:
            raise InputError(f"{file} is larger than {MOST_CARD_BYTES} bytes; {AGAIN}")
        try:
            bundle = cls(path, card.read(file))
        except OverflowError as error:  # a whole number of hundreds of digits
            raise InputError(f"{file} is damaged: {error}; {AGAIN}") from error
        if max(bundle.latent_dim, *bundle.image_shape) > MOST_SIDE:
            raise InputError(f"{file} is damaged: its latents or images are too large; {AGAIN}")
        bundle.prior()  # refused now rather than after a minute of work
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
        """name -> what the card says of the file."""
        return self.card["files"]

    @property
    def variants(self) -> dict:
        """variant -> name of its .tflite file."""
        return {each["variant"]: name for name, each in self.files.items() if "variant" in each}

    def file(self, name: str) -> Path:
        """The path of a file whose size and SHA-256 are those of the card.

        Raises:
            InputError: the card does not list it, or it is missing or altered.
        """
        path = self.path / name
        if name not in self.files:
            raise InputError(f"{self.path} has no {name}; {AGAIN}")
        facts = self.files[name]
        try:
            # A link may lead out of the bundle.
            inside = path.resolve().is_relative_to(self.path.resolve())
            if not inside or not path.is_file():
                raise InputError(f"{path} is missing; {AGAIN}")
            size = path.stat().st_size
            if size != facts["bytes"]:
                raise InputError(f"{path} has {size} bytes instead of {facts['bytes']}; {AGAIN}")
            if sha256_of(path) != facts["sha256"]:
                raise InputError(f"{path} is not the file of its card (SHA-256 differs); {AGAIN}")
        except (OSError, ValueError) as error:
            raise InputError(f"can't read {path}: {error}") from error
        return path

    def prior(self, name=None):
        """What to sample from: "normal", "mixture", or None for the bundle's own.

        Raises:
            InputError: it has no mixture, or a damaged one.
        """
        latent = self.card["latent"]
        name = name or latent["distribution"]
        if name == "normal":
            return NormalPrior(self.latent_dim)
        if "mixture" not in latent:
            raise InputError(f"{self.path} draws from N(0, I) and has no mixture")
        return _mixture(latent["mixture"], self.latent_dim, self.path / card.NAME)

    def model(self, variant="float32", threads=1) -> interpreter.Model:
        """The loaded .tflite file of a variant, its hash checked.

        Raises:
            InputError: there is none, or it is missing, altered or damaged.
        """
        return interpreter.open_model(self.parsed(variant), threads)

    def parsed(self, variant) -> flatbuffer.Model:
        """What that file says; raises as `model` does."""
        if variant not in self.variants:
            has = ", ".join(self.variants) or "none"
            raise InputError(f"{self.path} has no variant {variant}; it has {has}")
        return flatbuffer.read(self.file(self.variants[variant]))

    def golden(self) -> dict[str, np.ndarray]:
        """The arrays of golden.npz: float32, but for int32 seeds.

        Raises:
            InputError: it is missing, altered or damaged.
        """
        return read_golden(self.file(GOLDEN), self.latent_dim, self.image_shape)


def read_golden(path, latent_dim, image_shape) -> dict[str, np.ndarray]:
    """The arrays of a golden.npz, each of the type and shape that it must have.

    Raises:
        InputError: it can't be read, or an array is missing, unknown or of another shape.
    """
    codes, pictures = (GOLDEN_COUNT, latent_dim), (GOLDEN_COUNT, *image_shape)
    wanted = {"latents": codes, "images": pictures, "seeds": (GOLDEN_COUNT,)}
    wanted |= {"seed_latents": codes, "seed_images": pictures}
    encoder = {"encode_images": pictures, "means": codes}
    encoder |= {"log_variances": codes, "reconstructions": pictures}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if "means" in names:
                wanted |= encoder
            if sorted(names) != sorted(wanted):
                raise ValueError(f"it holds {', '.join(names)}")
            arrays = {name: _array(archive, name, wanted[name]) for name in wanted}
    # zipfile and numpy raise whatever their layers below do.
    except Exception as error:
        reason = first_line(error)
        raise InputError(f"{path} is damaged: {reason}; {AGAIN}") from error
    return arrays


def _array(archive, name, shape):
    """One array. Its header is read first: a false one could ask for all the memory."""
    dtype = np.dtype(np.int32 if name == "seeds" else np.float32)
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} is of an unknown version")
        header = np.lib.format.read_array_header_1_0(file)
        if header != (shape, False, dtype):
            raise ValueError(f"{name} is {header[2]} {list(header[0])}, not {dtype} {list(shape)}")
        content = file.read(dtype.itemsize * math.prod(shape) + 1)
    array = np.frombuffer(content, dtype).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    return array


def _mixture(record, size, path):
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        weights, means, lower = (
            np.asarray(record[name], np.float32) for name in ("weights", "means", "factors")
        )
    if not (weights >= 0).all() or not abs(weights.sum() - 1) < 1e-3:
        raise InputError(f"{path} is damaged: the mixture's weights do not sum to 1; {AGAIN}")
    rows, columns = np.tril_indices(size)
    factors = np.zeros((len(weights), size, size), np.float32)
    factors[:, rows, columns] = lower
    if not (np.isfinite(means).all() and np.isfinite(factors).all()):
        raise InputError(f"{path} is damaged: the mixture is not finite; {AGAIN}")
    return MixturePrior(weights, means, factors, {})


# Drawing


@dataclass(frozen=True)
class Sampler:
    """Draws from a bundle, or from one .tflite file.

    `bundle` is None for a file that no bundle lists; `file` is None for a bundle.
    """

    path: Path
    bundle: Bundle | None
    file: flatbuffer.Model | None

    def sample(self, count, seed, prior=None, variant=None) -> np.ndarray:
        """uint8 images (N, H, W, C); the same seed draws what it draws from the run.

        Args:
            prior: "normal", "mixture", or None for the model's own.
            variant: of a bundle: "float32", "float16", "dynamic_int8", "int8", "sampler";
                None takes the one that draws fastest.

        Raises:
            InputError: the source lacks the prior or the variant, or is damaged.
        """
        model = self.model(variant)
        if not _decodes(model) and prior is not None:
            raise InputError(f"{model.path} draws from its own prior; leave out --prior")
        if self._draws_itself(model, prior):
            seeds = noise.image_seeds(seed, count)
            pixels = [model.run("sample", seed=seeds[i : i + 1])["image"] for i in range(count)]
            return _to_uint8(np.concatenate(pixels), model)
        z = self.prior(prior, model).sample(count, seed)
        return _to_uint8(decode(model, z), model)

    def _draws_itself(self, model, prior):
        """Whether its signature `sample` knows best what to draw z from."""
        alone = self.bundle is None and prior is None
        return not _decodes(model) or (alone and "sample" in model.signatures)

    def model(self, variant=None) -> interpreter.Model:
        """The loaded file to draw from.

        Raises:
            InputError: see `sample`.
        """
        if self.file is not None:
            if variant is not None:
                raise InputError(f"{self.path} is one file and has no variants")
            return interpreter.open_model(self.file)
        # The sampler decodes sixteen at a time.
        order = [each for each in ("sampler", "float32") if each in self.bundle.variants]
        fastest = next(iter([*order, *self.bundle.variants]), "float32")
        return interpreter.open_model(_checked(self.bundle.parsed(variant or fastest)))

    def prior(self, name, model):
        """What z is drawn from; raises as `sample` does."""
        if self.bundle is not None:
            return self.bundle.prior(name)
        if name == "mixture":
            raise InputError(f"{self.path} has no mixture beside it: draw from its bundle")
        return NormalPrior(_latent_dim(model))

    def describe(self, prior=None, variant=None) -> str:
        """What draws, and from which prior, for a caption."""
        name = self.bundle.name if self.bundle else self.path.name
        if self.bundle is not None:
            chosen = self.bundle.prior(prior)
            parts = f" of {chosen.components} components" if chosen.name == "mixture" else ""
            source = f"mixture{parts}" if chosen.name == "mixture" else "N(0, I)"
        else:
            source = "its own prior" if self._draws_itself(self.file, prior) else "N(0, I)"
        return f"{name}, {variant}, {source}" if variant else f"{name}, {source}"


def open_source(path) -> Sampler:
    """A bundle folder or a .tflite file to draw from.

    A file draws as its bundle, if a model_card.json beside it lists the file; else by its own
    signature `sample`, or from N(0, I) where it has none.

    Raises:
        InputError: it is neither, or damaged, or has neither `decode` nor `sample`.
    """
    path = Path(path)
    if path.is_dir():
        return Sampler(path, Bundle.open(path), None)
    return Sampler(path, _bundle_of(path), _checked(flatbuffer.read(path)))


def decode(model: interpreter.Model, latents) -> np.ndarray:
    """z (N, J) -> float32 images (N, H, W, C) in [0, 1], sixteen at a time where it can."""
    latents = np.asarray(latents, np.float32)
    batch = MANY if f"decode_{MANY}" in model.signatures else 1
    signature = f"decode_{MANY}" if batch == MANY else "decode"
    expected = model.signatures[signature].inputs["latent"].shape[1]
    if latents.shape[1] != expected:
        raise InputError(f"{model.path} takes latents of {expected}, not {latents.shape[1]}")
    # A last batch that is not full is filled up, so that an image depends on its z alone.
    padded = np.pad(latents, ((0, -len(latents) % batch), (0, 0)))
    parts = [
        model.run(signature, latent=padded[start : start + batch])["image"]
        for start in range(0, len(padded), batch)
    ]
    return np.concatenate(parts)[: len(latents)]


def _decodes(parsed):
    return "decode" in parsed.signatures or f"decode_{MANY}" in parsed.signatures


def _latent_dim(model):
    name = "decode" if "decode" in model.signatures else f"decode_{MANY}"
    return model.signatures[name].inputs["latent"].shape[1]


# Signature -> its one input and how many it takes at once.
_PORTS = {"decode": ("latent", 1), f"decode_{MANY}": ("latent", MANY), "sample": ("seed", 1)}


def _checked(parsed):
    """The file itself; InputError unless it draws by signatures that this package exports."""
    if not _PORTS.keys() & parsed.signatures.keys():
        has = ", ".join(parsed.signatures) or "none"
        raise InputError(f"{parsed.path} has no signature decode or sample; it has {has}")
    for name, (port, count) in _PORTS.items():
        if name not in parsed.signatures:
            continue
        inputs, outputs = parsed.tensors(name, "inputs"), parsed.tensors(name, "outputs")
        fits = (
            list(inputs) == [port]
            and len(inputs[port].shape) == (1 if port == "seed" else 2)
            and inputs[port].shape[0] == count
            and inputs[port].dtype == ("INT32" if port == "seed" else "FLOAT32")
            and "image" in outputs
            and len(outputs["image"].shape) == 4
            and outputs["image"].shape[0] == count
            and outputs["image"].shape[3] in (1, 3)
            and outputs["image"].dtype == "FLOAT32"
        )
        if not fits:
            raise InputError(
                f"{parsed.path} is no model of this package: its {name} does not make images"
                f" of a {port}"
            )
    return parsed


def _bundle_of(path):
    """The bundle that lists a file of this name, or None.

    Raises:
        InputError: the bundle is damaged, or the file is not the one it lists.
    """
    if not (path.parent / card.NAME).is_file():
        return None
    bundle = Bundle.open(path.parent)
    if path.name not in bundle.files:
        return None
    bundle.file(path.name)
    return bundle


def _to_uint8(pixels, model):
    from keras_ganvae.plots import images  # with Pillow, which verify has no need of

    try:
        return images.to_uint8(pixels)
    except ValueError as error:
        raise InputError(f"{model.path} does not draw images: {error}; {AGAIN}") from error

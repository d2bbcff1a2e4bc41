"""Draw images from a bundle or from one .tflite file, without TensorFlow."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.bundle import card
from keras_ganvae.bundle.read import REMEDY, Bundle
from keras_ganvae.errors import InputError
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite.read import NUMPY, ModelFile, SignatureTensors, read_model
from keras_ganvae.tflite.run import LoadedModel, open_model
from keras_ganvae.tflite.signatures import DRAWING, Signature

FASTEST = ("sampler", "float32")  # the sampler decodes sixteen latents at once


@dataclass(frozen=True)
class Sampler:
    """Draws images from a bundle, or from one .tflite file.

    `bundle` is None for a file that no bundle lists; `file` is None for a bundle.
    """

    path: Path
    bundle: Bundle | None
    file: ModelFile | None = None

    def sample(
        self, count: int, seed: int, prior: str | None = None, variant: str | None = None
    ) -> np.ndarray:
        """Draw uint8 images (N, H, W, C), the same as the run draws with this seed.

        Args:
            prior: "normal", "mixture", or None for the model's own.
            variant: variant of a bundle, a key of `VARIANTS`; None takes the fastest.

        Raises:
            InputError: the source lacks the prior or the variant, or is damaged.
        """
        model = self.model(variant)
        if not _decoders(model) and prior is not None:
            raise InputError(f"{model.path} draws from its own prior; leave out `prior`")
        if self._draws_latents_itself(model, prior):
            seeds = noise.image_seeds(seed, count)
            pixels = [model.run("sample", seed=seeds[i : i + 1])["image"] for i in range(count)]
            return _to_uint8(np.concatenate(pixels), model)
        latents = self._prior(prior, model).sample(count, seed)
        return _to_uint8(decode(model, latents), model)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        if self.bundle is not None:
            return self.bundle.image_shape
        assert self.file is not None
        name = next(name for name in DRAWING if name in self.file.signatures)
        return tuple(self.file.signatures[name].outputs["image"].shape[1:])

    def model(self, variant: str | None = None) -> LoadedModel:
        """Load the file to draw from; raises as `sample` does."""
        if self.file is not None:
            if variant is not None:
                raise InputError(f"{self.path} is one file and has no variants")
            return open_model(self.file)
        assert self.bundle is not None
        order = [*FASTEST, *self.bundle.variants]
        fastest = next((each for each in order if each in self.bundle.variants), "float32")
        return open_model(_checked(self.bundle.model_file(variant or fastest)))

    def describe(self, prior: str | None = None, variant: str | None = None) -> str:
        """The model and its prior, for a caption."""
        name = self.bundle.name if self.bundle else self.path.name
        if self.bundle is not None:
            chosen = self.bundle.prior(prior)
            source = "N(0, I)"
            if isinstance(chosen, MixturePrior):
                source = f"mixture of {chosen.components} components"
        else:
            source = "its own prior" if self._draws_latents_itself(self.file, prior) else "N(0, I)"
        return f"{name}, {variant}, {source}" if variant else f"{name}, {source}"

    def _draws_latents_itself(self, model, prior):
        """Whether to run the signature `sample`, which knows the prior of a file without card."""
        alone = self.bundle is None and prior is None
        return not _decoders(model) or (alone and "sample" in model.signatures)

    def _prior(self, name, model):
        if self.bundle is not None:
            return self.bundle.prior(name)
        if name == "mixture":
            raise InputError(f"{self.path} has no mixture beside it: draw from its bundle")
        return NormalPrior(_latent_dim(model))


def open_source(path: str | os.PathLike) -> Sampler:
    """Open a bundle folder or a .tflite file to draw from.

    A file draws as its bundle does if a model_card.json beside it lists the file; else with
    its own signature `sample`, or from N(0, I) if it has none.

    Raises:
        InputError: `path` is neither, is damaged, or has neither `decode` nor `sample`.
    """
    path = Path(path)
    if path.is_dir():
        return Sampler(path, Bundle.open(path))
    return Sampler(path, _bundle_of(path), _checked(read_model(path)))


def decode(model: LoadedModel, latents: np.ndarray) -> np.ndarray:
    """z (N, J) -> float32 images (N, H, W, C) in [0, 1], in the largest batches there are."""
    latents = np.asarray(latents, np.float32)
    signature = _decoders(model)[-1]
    expected = _latent_dim(model)
    if latents.shape[1] != expected:
        raise InputError(f"{model.path} takes latents of {expected}, not {latents.shape[1]}")
    batch = signature.batch
    # Padding the last batch makes an image depend on its latent alone.
    padded = np.pad(latents, ((0, -len(latents) % batch), (0, 0)))
    parts = [
        model.run(signature.name, latent=padded[start : start + batch])["image"]
        for start in range(0, len(padded), batch)
    ]
    return np.concatenate(parts)[: len(latents)]


def _decoders(model: LoadedModel | ModelFile) -> list[Signature]:
    """The signatures from latents to images, smallest batch first."""
    found = [each for name, each in DRAWING.items() if name in model.signatures]
    decoders = [each for each in found if "latent" in each.inputs]
    return sorted(decoders, key=lambda each: each.batch)


def _latent_dim(model: LoadedModel) -> int:
    return model.signatures[_decoders(model)[-1].name].inputs["latent"].shape[1]


def _checked(file: ModelFile) -> ModelFile:
    """Return the file if it draws by signatures that this package exports.

    Raises:
        InputError: it does not.
    """
    if not DRAWING.keys() & file.signatures.keys():
        found = ", ".join(file.signatures) or "none"
        raise InputError(f"{file.path} has no signature decode or sample; it has {found}")
    for name, signature in DRAWING.items():
        if name not in file.signatures:
            continue
        if not _fits(file.signatures[name], signature):
            raise InputError(
                f"{file.path} is not a model of this package: its signature {name} does not"
                f" make images from a {signature.input[0]}"
            )
    return file


def _fits(tensors: SignatureTensors, signature: Signature) -> bool:
    """Whether a file's signature takes what it should and returns a batch of images."""
    if list(tensors.inputs) != list(signature.inputs) or "image" not in tensors.outputs:
        return False
    (key, spec), image = signature.input, tensors.outputs["image"]
    given = tensors.inputs[key]
    return (
        NUMPY.get(given.dtype) == spec.dtype
        and len(given.shape) == len(spec.shape(signature.batch, 0, ()))
        and NUMPY.get(image.dtype) == np.float32
        and len(image.shape) == 4
        and given.shape[0] == image.shape[0] == signature.batch
        and image.shape[3] in (1, 3)
    )


def _bundle_of(path):
    """The bundle that lists the file, or None.

    Raises:
        InputError: the bundle is damaged, or the file is not the one that it lists.
    """
    if not (path.parent / card.NAME).is_file():
        return None
    bundle = Bundle.open(path.parent)
    if path.name not in bundle.files:
        return None
    bundle.file(path.name)
    return bundle


def _to_uint8(pixels, model):
    from keras_ganvae.plots import images  # Pillow

    try:
        return images.to_uint8(pixels)
    except ValueError as error:
        raise InputError(f"{model.path} does not draw images: {error}; {REMEDY}") from error

"""The C files of a bundle: what its model files give, and a check that draws with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganvae.bundle import latent
from keras_ganvae.bundle.formats import VARIANTS, C, Tolerance
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.c import compiler, source
from keras_ganvae.c.compiler import Drawn
from keras_ganvae.c.source import EXAMPLE, FLOAT32, HEADER, INT8, Generator
from keras_ganvae.errors import GateFailed
from keras_ganvae.files import write_text
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.priors import Prior
from keras_ganvae.tflite.read import ModelFile
from keras_ganvae.tflite.run import LoadedModel, open_model

# Variant -> its C file.
FILES = {"int8": INT8, "float32": FLOAT32}
TOLERANCES = {
    "int8": Tolerance("integers, bit-equal to LiteRT's reference kernels", 0.0),
    "float32": Tolerance("the same float32 weights; only the order of sums differs", 1e-5),
}
LATENT_ERROR = 2e-5  # of z before it is rounded to int8; float32 itself has errors of 1e-6


@dataclass(frozen=True)
class CSource:
    """The C files of a bundle, and the generators among them by variant."""

    texts: dict[str, str]
    generators: dict[str, Generator]

    def write(self, bundle: Path) -> None:
        """Write the files into the folder `c` of a bundle."""
        for name, text in self.texts.items():
            write_text(bundle / C / name, text)

    def facts(self) -> dict[str, dict[str, Any]]:
        """What a card's `files` has on the generators beyond their size and checksum."""
        return {
            f"{C}/{FILES[variant]}": {
                "weights": variant,
                "flash_bytes": each.flash_bytes,
                "ram_bytes": each.ram_bytes,
                "work_bytes": each.work_bytes,
                "tolerance": TOLERANCES[variant].record(),
            }
            for variant, each in self.generators.items()
        }

    def check_limits(self, max_flash: int | None, max_ram: int | None) -> None:
        """Check that the int8 file fits a device.

        Args:
            max_flash, max_ram: bytes that the device has for it; None is no limit.

        Raises:
            GateFailed: it does not.
        """
        needs = self.generators["int8"]
        limits = {"flash": (needs.flash_bytes, max_flash), "ram": (needs.ram_bytes, max_ram)}
        for name, (bytes_, limit) in limits.items():
            if limit is not None and bytes_ > limit:
                raise GateFailed(
                    f"{INT8} takes {bytes_:,} bytes of {name}, {bytes_ - limit:,} more than"
                    f" `max_{name}={limit}`"
                )


def generate(
    models: Mapping[str, ModelFile], prior: Prior, image_shape: tuple[int, ...]
) -> CSource:
    """The C files for the model files of a bundle.

    Args:
        models: variant -> its file; int8, and float32 if there is to be a float32 generator.

    Raises:
        InputError: there is no C for an operator.
    """
    generators = {"int8": source.int8(models["int8"], prior, image_shape)}
    if "float32" in models:
        generators["float32"] = source.float32(models["float32"], prior, image_shape)
    texts = {HEADER: source.header(prior, image_shape), EXAMPLE: source.example()}
    texts |= {FILES[variant]: each.text for variant, each in generators.items()}
    return CSource(texts, generators)


def check(bundle: Bundle, same_release: bool) -> dict[str, Any]:
    """Check that a bundle's C files are those that its models give, and draw with them.

    Only text that this function generated itself is compiled: a bundle may come from anywhere.

    Args:
        same_release: whether this release made the bundle; another one may write other C.

    Returns:
        `compiler`: its path, None if there is none here or another release made the files;
        `seeds`: how many images were compared; `error`: the largest difference by variant.

    Raises:
        GateFailed: a file or an image differs, or the model of a file is missing.
    """
    listed = {name.removeprefix(f"{C}/") for name in bundle.files if name.startswith(f"{C}/")}
    unchecked: dict[str, Any] = {"compiler": None, "seeds": 0, "error": {}}
    if not same_release:
        return unchecked
    models = {variant: _model(bundle, variant) for variant in _variants(listed)}
    made = generate(models, bundle.prior(), bundle.image_shape)
    _check_texts(bundle, made, listed)
    command = compiler.compiler()
    if command is None:
        return unchecked
    seeds = bundle.golden()["seeds"]
    errors = {
        variant: _check_images(bundle, made, models[variant], variant, command, seeds)
        for variant in made.generators
    }
    return {"compiler": command, "seeds": len(seeds), "error": errors}


def _variants(listed):
    return [variant for variant, name in FILES.items() if name in listed or variant == "int8"]


def _model(bundle, variant):
    if variant not in bundle.variants:
        raise GateFailed(
            f"{bundle.path} has the folder {C}, but not {VARIANTS[variant].file}, from which it is"
            " made; export the run again"
        )
    return bundle.model_file(variant)


def _check_texts(bundle, made, listed):
    if listed != made.texts.keys():
        raise GateFailed(
            f"{bundle.path / C} has {', '.join(sorted(listed))} instead of"
            f" {', '.join(sorted(made.texts))}; export the run again"
        )
    for name, text in made.texts.items():
        path = bundle.path / C / name
        if path.read_bytes() != text.encode():
            raise GateFailed(f"{path} is not what the models give; export the run again")
    for name, facts in made.facts().items():
        for key, value in facts.items():
            if bundle.files[name][key] != value:
                raise GateFailed(
                    f"{bundle.path}: the card states another {key} of {name} than"
                    f" {value}; export the run again"
                )


def _check_images(bundle, made, model, variant, command, seeds):
    """The largest difference of the images of one C file to its model's."""
    name = FILES[variant]
    with compiler.compiled(command, made.texts, name) as program:
        drawn = compiler.draw(program, seeds, bundle.latent_dim, bundle.image_shape)
    expected = bundle.prior().draw(seeds)
    try:
        reference = open_model(model, reference=True)
        return compare(drawn, made.generators[variant], reference, expected)
    except GateFailed as error:
        raise GateFailed(f"{bundle.path / C / name}: {error}") from error


def compare(drawn: Drawn, generator: Generator, model: LoadedModel, latents: np.ndarray) -> float:
    """Compare what a C file drew with its model file.

    Args:
        generator: the C file.
        model: the .tflite file that it is made from, with reference kernels.
        latents: what the prior draws for the same seeds, float32 (N, J).

    Returns:
        The largest difference of a pixel in [0, 1]; for int8 that of rounded pixels.

    Raises:
        GateFailed: a latent or an image is beyond its tolerance.
    """
    z = generator.real_latents(drawn.latents)
    _check_latents(z, generator, latents)
    images = np.concatenate([model.run("decode", latent=each[None])["image"] for each in z])
    if generator.is_integer:
        limit, most_levels = TOLERANCES["int8"].max_error, 0
        error = np.abs(to_uint8(images) / 255 - drawn.decoded / 255).max()
    else:
        limit, most_levels = TOLERANCES["float32"].max_error, 1  # a half rounds either way
        error = np.abs(images - drawn.decoded).max()
    levels = np.abs(to_uint8(images).astype(int) - drawn.images).max()
    if limit is None or not error <= limit:
        raise GateFailed(f"a pixel differs by {error:.2g} from its model's, not by {limit:g}")
    if levels > most_levels:
        raise GateFailed(f"the image of a seed differs by {levels} levels from its model's")
    return float(error)


def _check_latents(z, generator, latents):
    """Compare the latents with those of the prior, as far as int8 can hold them."""
    if generator.is_integer:
        low, high = generator.real_latents(np.array([-128, 127]))
        distance = np.abs(z - latents.clip(low, high)).max()
        failed = not distance <= (high - low) / 255 / 2 + LATENT_ERROR
    else:
        failed = latent.first_difference(z, latents) is not None
    if failed:
        raise GateFailed("it draws other latents than the prior")

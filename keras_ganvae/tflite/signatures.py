"""The signatures of an exported model, in one table: the rest of the export derives from it.

TensorFlow functions, SavedModel, converter, model card, `verify` and the sampler all read
`SIGNATURES`. Shapes are per example here: a signature's static batch size comes first.
"""

import functools
import operator
from dataclasses import dataclass

DECODE_BATCH = 16  # static batch size of `decode_16`
GOLDEN_COUNT = 16  # examples in golden.npz, a multiple of every batch size
PORTABLE, SAMPLER, SAVED_MODEL = "portable", "sampler", "saved_model"  # kinds of file


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    golden: the array of golden.npz that an input takes and that an output must equal.
    """

    content: str  # "latent", "image" or "seed"
    golden: str

    @property
    def dtype(self) -> str:
        return "int32" if self.content == "seed" else "float32"

    @property
    def is_image(self) -> bool:
        return self.content == "image"

    def shape(self, batch: int, latent_dim: int, image_shape: tuple) -> tuple:
        """(batch, J) of latents, (batch, H, W, C) of images, (batch,) of seeds."""
        sizes = {"latent": (latent_dim,), "image": tuple(image_shape), "seed": ()}
        return (batch, *sizes[self.content])


@dataclass(frozen=True)
class Signature:
    """What one signature maps to what.

    files: the kinds of file that have it. needs_encoder: whether only VAEs have it.
    """

    name: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    files: frozenset[str]
    batch: int = 1
    needs_encoder: bool = False

    @property
    def input(self) -> tuple[str, TensorSpec]:
        """Name and spec of the only input."""
        (item,) = self.inputs.items()
        return item

    @property
    def golden(self) -> dict[str, TensorSpec]:
        """The arrays of golden.npz that a check of this signature reads."""
        return {spec.golden: spec for spec in (*self.inputs.values(), *self.outputs.values())}


_DECODE = (
    {"latent": TensorSpec("latent", "latents")},
    {"image": TensorSpec("image", "images")},
)
_ONE_IMAGE = {"image": TensorSpec("image", "encode_images")}

_TABLE = (
    Signature("decode", *_DECODE, frozenset({PORTABLE, SAMPLER, SAVED_MODEL})),
    Signature(f"decode_{DECODE_BATCH}", *_DECODE, frozenset({SAMPLER}), batch=DECODE_BATCH),
    Signature(
        "sample",
        {"seed": TensorSpec("seed", "seeds")},
        {
            "image": TensorSpec("image", "seed_images"),
            "latent": TensorSpec("latent", "seed_latents"),
        },
        frozenset({SAMPLER, SAVED_MODEL}),
    ),
    Signature(
        "encode",
        _ONE_IMAGE,
        {
            "mean": TensorSpec("latent", "means"),
            "log_variance": TensorSpec("latent", "log_variances"),
        },
        frozenset({SAMPLER, SAVED_MODEL}),
        needs_encoder=True,
    ),
    Signature(
        "reconstruct",
        _ONE_IMAGE,
        {"reconstruction": TensorSpec("image", "reconstructions")},
        frozenset({SAMPLER, SAVED_MODEL}),
        needs_encoder=True,
    ),
)
SIGNATURES = {each.name: each for each in _TABLE}
# Those that draw: from a latent or a seed to the output `image`.
DRAWING = {name: each for name, each in SIGNATURES.items() if "image" in each.outputs}


def in_file(kind: str, has_encoder: bool = True) -> list[str]:
    """Names of the signatures in one kind of file, in the table's order.

    Args:
        kind: `PORTABLE`, `SAMPLER` or `SAVED_MODEL`.
        has_encoder: whether the model is a VAE.
    """
    return [
        each.name
        for each in _TABLE
        if kind in each.files and (has_encoder or not each.needs_encoder)
    ]


def golden_arrays(
    latent_dim: int, image_shape: tuple, has_encoder: bool, component_draws: int = 0
) -> dict[str, tuple[tuple, str]]:
    """name -> (shape, dtype) of the arrays of golden.npz.

    Args:
        component_draws: number of draws from a mixture's components: their seeds and latents,
            without images. 0 without a mixture.
    """
    used = [each.golden for each in _TABLE if has_encoder or not each.needs_encoder]
    specs = functools.reduce(operator.or_, used)
    arrays = {
        name: (spec.shape(GOLDEN_COUNT, latent_dim, image_shape), spec.dtype)
        for name, spec in specs.items()
    }
    if component_draws:
        arrays["component_seeds"] = ((component_draws,), "int32")
        arrays["component_latents"] = ((component_draws, latent_dim), "float32")
    return arrays

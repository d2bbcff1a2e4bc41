"""The C files of a generator, from the graphs of its .tflite files and its prior."""

from dataclasses import dataclass

import numpy as np

from keras_ganvae.c import operators, quantized, seed
from keras_ganvae.c.operators import Layer
from keras_ganvae.c.text import Array, rendered
from keras_ganvae.errors import InputError
from keras_ganvae.priors import Prior
from keras_ganvae.tflite import operators as tflite_operators
from keras_ganvae.tflite.read import ModelFile, Operator, Tensor

HEADER, INT8, FLOAT32, EXAMPLE = "generator.h", "generator.c", "generator_float.c", "main.c"
# What the instructions take at most, compiled for a Cortex-M with -Os: 2.5 to 4 KB.
CODE_BYTES = 6000
PIXEL_SCALE, PIXEL_ZERO = 1 / 256, -128  # of the int8 images that LOGISTIC makes


@dataclass(frozen=True)
class Generator:
    """One C file, and what it takes.

    Attributes:
        text: its content.
        constant_bytes: weights, tables and mixture, in flash.
        work_bytes: its static buffer.
        ram_bytes: the buffer, the caller's image, and the local arrays.
        quantization: scale and zero point of the int8 latents; None in float32.
    """

    text: str
    constant_bytes: int
    work_bytes: int
    ram_bytes: int
    quantization: tuple[np.float32, int] | None

    @property
    def is_integer(self) -> bool:
        return self.quantization is not None

    @property
    def flash_bytes(self) -> int:
        """An upper bound: the constants, and instructions for a Cortex-M."""
        return self.constant_bytes + CODE_BYTES

    def real_latents(self, latents: np.ndarray) -> np.ndarray:
        """The real values of latents that the file drew: float32 (...)."""
        if self.quantization is None:
            return latents.astype(np.float32)
        scale, zero_point = self.quantization
        return scale * (latents.astype(np.float32) - np.float32(zero_point))


def int8(model: ModelFile, prior: Prior, image_shape: tuple[int, ...]) -> Generator:
    """The generator in integers, bit-equal to LiteRT's reference kernels.

    Args:
        model: model_int8.tflite, read.
        prior: the distribution of its latents.
        image_shape: (H, W, C).

    Raises:
        InputError: there is no C for an operator, or it is no such graph.
    """
    chain, latent = _chain(model)
    if len(chain) < 3 or chain[0].name != "QUANTIZE" or chain[-1].name != "DEQUANTIZE":
        raise InputError(f"`formats=c` needs a model in int8, and {model.path} is not one")
    (first,), (last,) = chain[0].outputs, chain[-1].inputs
    if last is None or first.dtype != "INT8" or last.dtype != "INT8":
        raise InputError(f"`formats=c` needs a model in int8, and {model.path} is not one")
    if float(quantized.scale(last)) != PIXEL_SCALE or quantized.zero_point(last) != PIXEL_ZERO:
        raise operators.lacking("images of another scale than LOGISTIC's")
    layers = _layers(chain[1:-1], first)
    quantization = quantized.scale(first), quantized.zero_point(first)
    drawn = seed.int8(prior, float(quantization[0]), quantization[1])
    return _generator("generator_int8.c", drawn, layers, latent, image_shape, quantization)


def float32(model: ModelFile, prior: Prior, image_shape: tuple[int, ...]) -> Generator:
    """The generator in float32, with math.h; arguments and errors as in `int8`."""
    chain, latent = _chain(model)
    layers = _layers(chain, latent)
    return _generator("generator_float.c", seed.float32(prior), layers, latent, image_shape, None)


def header(prior: Prior, image_shape: tuple[int, ...]) -> str:
    """The header of both files."""
    height, width, channels = image_shape
    return rendered(
        "generator.h", height=height, width=width, channels=channels, size=prior.latent_dim
    )


def example() -> str:
    """A program that draws the image of a seed in a terminal."""
    return rendered("main.c")


def _chain(model: ModelFile) -> tuple[list[Operator], Tensor]:
    """The operators of `decode`, each of which takes the result of the one before it."""
    signature = tflite_operators.check(model).signatures["decode"]
    (latent,) = signature.inputs.values()
    (image,) = signature.outputs.values()
    chain = list(model.graphs[signature.graph].operators)
    current = latent
    for op in chain:
        given = [each for each in op.inputs if each is not None and not each.is_constant]
        if len(given) != 1 or given[0] is not current or len(op.outputs) != 1:
            raise operators.lacking(f"a graph that branches at {op.name}")
        current = op.outputs[0]
    if current is not image or latent.shape[0] != 1:
        raise operators.lacking("a graph whose result is not its image")
    return chain, latent


def _layers(chain: list[Operator], x: Tensor) -> list[Layer]:
    """The operators in C, with neighbouring tables made one."""
    layers: list[Layer] = []
    for op in chain:
        layer = operators.translate(op, x, len(layers) + 1)
        last = layers[-1] if layers else None
        if last is not None and last.table is not None and layer.table is not None:
            joined = layer.table[last.table.astype(int) + 128]
            title = f"{last.title}; {layer.title}"
            layers[-1] = operators.lookup(title, layer.size, joined, len(layers))
        else:
            layers.append(layer)
        (x,) = op.outputs
    return layers


def _generator(
    template: str,
    drawn: seed.LatentSource,
    layers: list[Layer],
    latent: Tensor,
    image_shape: tuple[int, ...],
    quantization: tuple[np.float32, int] | None,
) -> Generator:
    height, width, channels = image_shape
    image_size = height * width * channels
    if layers[-1].size != image_size:
        raise operators.lacking(f"images of {layers[-1].size} numbers")
    places, work_size = _placed(layers)
    work_bytes = work_size * (4 if quantization is None else 1)
    arrays: list[Array] = [*drawn.arrays, *(each for layer in layers for each in layer.arrays)]
    constants = sum(each.bytes for each in arrays)
    text = rendered(
        template,
        latent=drawn.code,
        layers=[
            {"number": i, "layer": layer, "x": x, "y": y}
            for i, (layer, (x, y)) in enumerate(zip(layers, places, strict=True), 1)
        ],
        pixels=places[-1][1],
        size=latent.size,
        image_size=image_size,
        shape=f"{height}x{width}x{channels}",
        work_size=work_size,
        work_bytes=work_bytes,
        constants=constants,
        stack_bytes=drawn.stack_bytes,
        once=any("rescaled_once(" in each.code for each in layers),
        twice=any("rescaled(" in each.code for each in layers),
    )
    ram_bytes = work_bytes + image_size + drawn.stack_bytes
    return Generator(text, constants, work_bytes, ram_bytes, quantization)


def _placed(layers: list[Layer]) -> tuple[list[tuple[str, str]], int]:
    """Where each layer reads and writes, as C, and the numbers of the work buffer.

    Results lie at the two ends of the buffer in turn, so that the largest pair of neighbours
    fills it.
    """
    pairs, before = [0], 0
    for layer in layers:
        if not layer.in_place or before == 0:
            pairs.append(before + layer.size)
        before = layer.size
    size = max(pairs)
    places, current, at_end = [], "z", True
    for layer in layers:
        if layer.in_place and current != "z":
            target = current
        else:
            at_end = not at_end
            start = size - layer.size if at_end else 0
            target = f"work + {start}" if start else "work"
        places.append((current, target))
        current = target
    return places, size

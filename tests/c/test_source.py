"""Generated C draws what LiteRT draws, under every warning and sanitizer."""

import dataclasses
import re

import numpy as np
import pytest

from keras_ganvae.bundle import c_source
from keras_ganvae.c import operators, source
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite.run import open_model

STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
SEEDS = np.append(noise.image_seeds(3, 8), np.array([-1, 0, -(2**31), 2**31 - 1], np.int32))
GREY, COLOUR = (12, 8, 1), (8, 12, 3)
PAPER = {
    "gan": (COLOUR, 0),
    "dcgan": (GREY, 0),
    "vae": (GREY, 1),
    "cvae": (COLOUR, 0),
}


def check(one, variant, **options):
    """The images are those of LiteRT's reference kernels."""
    drawn = one.draw(variant, SEEDS, **options)
    kernels = open_model(one.models[variant], reference=True)
    error = c_source.compare(drawn, one.generator(variant), kernels, one.prior.draw(SEEDS))
    assert error <= (0 if variant == "int8" else 1e-5)
    assert drawn.images.std() > 5  # not all the same


@pytest.mark.parametrize(
    ("arch", "variant"),
    [
        *((arch, "int8") for arch in PAPER),
        *((arch, "float32") for arch in ("dcgan", "vae", "cvae")),
    ],
)
def test_images_of_the_paper_presets(made, arch, variant):
    check(made(arch, "paper", *PAPER[arch]), variant)


@pytest.mark.parametrize("arch", PAPER)
def test_images_of_the_reference_models(reference, arch):
    check(reference(arch), "int8")


@pytest.mark.parametrize("variant", ["int8", "float32"])
def test_images_in_colour_from_a_mixture(small, variant):
    check(small, variant)


@pytest.mark.parametrize("variant", ["int8", "float32"])
def test_clang_takes_it_too(small, variant):
    check(small, variant, command="clang", flags=STRICT)  # its sanitizers are another package


def test_a_wrong_weight_or_seed_is_found(small):
    one = small
    generator, latents = one.generator("int8"), one.prior.draw(SEEDS)
    reference = open_model(one.models["int8"], reference=True)
    drawn = one.draw("int8", SEEDS)
    with pytest.raises(GateFailed, match="other latents"):
        c_source.compare(drawn, generator, reference, latents[::-1])
    number = re.search(r"bias_3\[\d+\] = {(-?\d+)", generator.text)
    other = generator.text[: number.start(1)] + "99" + generator.text[number.end(1) :]
    texts = one.c.texts | {source.INT8: other}
    changed = dataclasses.replace(one, c=dataclasses.replace(one.c, texts=texts))
    with pytest.raises(GateFailed, match="a pixel differs by"):
        c_source.compare(changed.draw("int8", SEEDS), generator, reference, latents)


@pytest.mark.parametrize("variant", ["int8", "float32"])
def test_sizes_are_those_of_the_source(small, variant):
    generator = small.generator(variant)
    sizes = {"int8_t": 1, "int16_t": 2, "int32_t": 4, "uint32_t": 4, "float": 4}
    constants = 0
    for kind, shape in re.findall(r"^static const (\w+) \w+((?:\[\d+\])+) =", generator.text, re.M):
        constants += sizes[kind] * np.prod([int(n) for n in re.findall(r"\d+", shape)])
    assert constants == generator.constant_bytes
    kind, size = re.search(r"^static (\w+) work\[(\d+)\];", generator.text, re.M).groups()
    assert sizes[kind] * int(size) == generator.work_bytes < generator.ram_bytes
    assert not re.search(r"malloc|memcpy|stdio|stdlib", generator.text)
    assert ("#include <math.h>" in generator.text) == (variant == "float32")


def test_one_nest_for_each_layer_with_its_shape(small):
    text = small.generator("int8").text
    titles = re.findall(r"^/\* (\w+.*: \S+ -> \S+) \*/\nstatic void layer_", text, re.M)
    assert titles == [
        "FULLY_CONNECTED, RELU: 5 -> 192",
        "CONV_2D 3x3, stride 1, RELU: 2x3x32 -> 2x3x64",
        "DEPTH_TO_SPACE: 2x3x64 -> 4x6x16",
        "CONV_2D 3x3, stride 1, RELU: 4x6x16 -> 4x6x32",
        "CONV_2D 5x5, stride 1, RELU: 4x6x32 -> 4x6x12",
        "ADD: 4x6x12 -> 4x6x12; LOGISTIC: 4x6x12 -> 4x6x12",
        "DEPTH_TO_SPACE: 4x6x12 -> 8x12x3",
    ]


def test_the_same_model_gives_the_same_text(small):
    again = c_source.generate(small.models, small.prior, small.image_shape)
    assert again.texts == small.c.texts


def test_another_model_than_int8_is_rejected(small):
    with pytest.raises(InputError, match="float32 is not one"):
        source.int8(small.models["float32"], small.prior, small.image_shape)


def test_an_operator_without_c_is_named(small):
    op = small.models["float32"].graphs[0].operators[0]
    x = op.inputs[0]
    for change, what in (
        ({"name": "SQRT"}, "no C for SQRT;"),
        ({"options": op.options | {"fusedActivationFunction": 3}}, "FULLY_CONNECTED with RELU6"),
        ({"inputs": (x, x, None)}, "FULLY_CONNECTED with weights that are not constant"),
    ):
        with pytest.raises(InputError, match=what):
            operators.translate(dataclasses.replace(op, **change), x, 1)


def test_limits(small):
    flash, ram = (getattr(small.generator("int8"), f"{each}_bytes") for each in ("flash", "ram"))
    small.c.check_limits(flash, ram)
    small.c.check_limits(None, None)
    with pytest.raises(GateFailed, match=rf"bytes of flash, 1 more than `max_flash={flash - 1}`"):
        small.c.check_limits(flash - 1, ram)
    with pytest.raises(GateFailed, match=rf"bytes of ram, 9 more than `max_ram={ram - 9}`"):
        small.c.check_limits(flash, ram - 9)

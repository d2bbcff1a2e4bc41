"""The table of signatures."""

import pytest

from keras_ganvae.tflite.signatures import (
    DRAWING,
    GOLDEN_COUNT,
    PORTABLE,
    SAMPLER,
    SAVED_MODEL,
    SIGNATURES,
    golden_arrays,
    in_file,
)


def test_files():
    assert in_file(PORTABLE) == ["decode"]
    assert in_file(SAMPLER) == list(SIGNATURES)
    assert in_file(SAMPLER, has_encoder=False) == ["decode", "decode_16", "sample"]
    assert in_file(SAVED_MODEL) == ["decode", "sample", "encode", "reconstruct"]
    assert list(DRAWING) == ["decode", "decode_16", "sample"]


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=lambda each: each.name)
def test_golden_examples_fill_whole_batches(signature):
    assert GOLDEN_COUNT % signature.batch == 0
    arrays = golden_arrays(4, (28, 28, 1), has_encoder=True)
    for name, spec in signature.golden.items():
        shape, dtype = arrays[name]
        assert shape == (GOLDEN_COUNT, *spec.shape(signature.batch, 4, (28, 28, 1))[1:])
        assert dtype == spec.dtype


def test_golden_arrays_of_a_gan():
    assert golden_arrays(4, (8, 12, 3), has_encoder=False) == {
        "latents": ((16, 4), "float32"),
        "images": ((16, 8, 12, 3), "float32"),
        "seeds": ((16,), "int32"),
        "seed_images": ((16, 8, 12, 3), "float32"),
        "seed_latents": ((16, 4), "float32"),
    }


def test_golden_arrays_of_a_mixture():
    mixture = golden_arrays(4, (8, 12, 3), has_encoder=True, component_draws=12)
    normal = golden_arrays(4, (8, 12, 3), has_encoder=True)
    assert mixture == normal | {
        "component_seeds": ((12,), "int32"),
        "component_latents": ((12, 4), "float32"),
    }

"""The exported TensorFlow functions, before any conversion."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae.models import latents
from keras_ganvae.priors import NormalPrior
from keras_ganvae.tflite.functions import exported, for_int8, image_network, in_float32

CASES = [
    (arch, preset) for arch in ("gan", "dcgan", "vae", "cvae") for preset in ("default", "paper")
]


@pytest.fixture
def z():
    """`z(model)`: sixteen latents."""
    return lambda model: NormalPrior(model.latent_dim).sample(16, 3)


def _specs(function):
    concrete = function.get_concrete_function()
    inputs = concrete.structured_input_signature[0]
    specs = {each.name: (tuple(each.shape), each.dtype) for each in inputs}
    return specs | {
        name: (tuple(each.shape), each.dtype) for name, each in concrete.structured_outputs.items()
    }


def test_names_shapes_and_types(make_model):
    image, latent = ((1, 8, 12, 3), tf.float32), ((1, 4), tf.float32)
    wanted = {
        "decode": {"latent": latent, "image": image},
        "decode_16": {"latent": ((16, 4), tf.float32), "image": ((16, 8, 12, 3), tf.float32)},
        "sample": {"seed": ((1,), tf.int32), "latent": latent, "image": image},
        "encode": {"image": image, "mean": latent, "log_variance": latent},
        "reconstruct": {"image": image, "reconstruction": image},
    }
    for arch, names in (("cvae", list(wanted)), ("dcgan", ["decode", "decode_16", "sample"])):
        model = make_model(arch, image_shape=(8, 12, 3), latent_dim=4)
        module = exported(model, NormalPrior(4))
        assert {name: _specs(each) for name, each in module.functions.items()} == {
            name: wanted[name] for name in names
        }


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_images_are_the_models_own(make_model, z, case):
    model = make_model(*case)
    before = model.get_weights()
    module = exported(model, NormalPrior(model.latent_dim))
    images = module.functions["decode_16"](z(model))["image"].numpy()
    np.testing.assert_allclose(images, latents.decode(model, z(model)), rtol=0, atol=2e-6)
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 1e-3
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_ema_weights_are_exported(make_model, z):
    model = make_model("gan")
    model.generator.set_weights([0 * each for each in model.generator.get_weights()])
    images = exported(model, NormalPrior(64)).functions["decode_16"](z(model))["image"]
    assert images.numpy().std() > 0.01


def test_the_contrast_is_exported(make_model, z):
    model = make_model("cvae")
    plain = latents.decode(model, z(model))
    model.contrast = 1.5
    module = exported(model, NormalPrior(model.latent_dim))
    images = module.functions["decode_16"](z(model))["image"]
    np.testing.assert_allclose(images, latents.decode(model, z(model)), rtol=0, atol=2e-6)
    assert np.abs(images - plain).max() > 1e-3


def test_sample_draws_from_the_prior(make_model, mixture):
    model, prior = make_model("vae", latent_dim=4), mixture(5, 4)
    sample = exported(model, prior).functions["sample"]
    for seed in np.int32([0, 7, -3]):
        found = sample(tf.constant([seed]))
        wanted = prior.draw(seed[None])
        np.testing.assert_allclose(found["latent"], wanted, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found["image"], latents.decode(model, wanted), rtol=0, atol=1e-5)


@pytest.mark.parametrize("binarize", ["stochastic", "threshold", "none"])
def test_the_encoder_rounds_if_it_was_trained_on_0_and_1(make_model, binarize):
    model = make_model("vae", latent_dim=4, binarize=binarize)
    image = np.random.default_rng(0).random((1, 28, 28, 1), dtype=np.float32)
    image[0, 0, 0, 0] = 0.5  # not above a half
    functions = exported(model, NormalPrior(4)).functions
    found = functions["encode"](image)
    rounded = image if binarize == "none" else np.float32(image > 0.5)
    mean, log_variance = model.encode(rounded)
    np.testing.assert_allclose(found["mean"], mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["log_variance"], log_variance, rtol=0, atol=1e-5)
    reconstruction = functions["reconstruct"](image)["reconstruction"]
    np.testing.assert_allclose(reconstruction, model.decode(mean), rtol=0, atol=1e-5)


@pytest.mark.parametrize("arch", ["dcgan", "cvae"])
def test_mixed_precision_is_exported_in_float32(make_model, z, arch):
    plain = make_model(arch)
    try:
        mixed = make_model(arch, precision="bfloat16")
        mixed.set_weights(plain.get_weights())
        copy = in_float32(mixed)
        images = exported(mixed, NormalPrior(24)).functions["decode_16"]
        found = images(z(mixed)[:, : mixed.latent_dim])["image"].numpy()
    finally:
        keras.config.set_dtype_policy("float32")
    wanted = latents.decode(plain, z(plain))
    assert abs(latents.decode(mixed, z(plain)) - wanted).max() > 1e-5
    np.testing.assert_array_equal(latents.decode(copy, z(plain)), wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)


def test_logits_are_bounded_for_int8_only(make_model, z):
    model = make_model("vae")
    bias = model.decoder.layers[-2].bias
    bias.assign(tf.concat([tf.fill([392], -50.0), tf.fill([392], 5.0)], axis=0))
    module = exported(model, NormalPrior(32))
    wanted = latents.decode(model, z(model)[:1])
    top = module.functions["decode"](z(model)[:1])["image"][0, :14].numpy()
    assert top.max() < 1e-15
    bounded = for_int8(module).functions["decode"](z(model)[:1])["image"].numpy()
    np.testing.assert_allclose(bounded[0, :14], 1 / (1 + np.exp(8)), rtol=1e-4)
    np.testing.assert_allclose(bounded[0, 14:], wanted[0, 14:], rtol=0, atol=2e-6)


def test_a_network_that_ends_in_another_way_is_left_alone(make_model, z):
    model = make_model("gan")
    for network in (model.generator, model.averaged_generator):
        network.layers[-1].offset = 0.25
        network.layers[-1].scale = 0.25
    images = image_network(model)(z(model))
    np.testing.assert_array_equal(images, latents.decode(model, z(model)))
    assert images.numpy().max() < 0.5

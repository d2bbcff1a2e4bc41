"""Every architecture and preset: parameter counts, shapes, ranges, seeds, image sizes."""

import numpy as np
import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.config import PRESETS
from keras_ganvae.errors import InputError

CASES = [(arch, preset) for arch in architectures.names() for preset in PRESETS]
CONVOLUTIONAL = [case for case in CASES if case[0] in ("cvae", "dcgan")]
SHAPES = [(28, 28, 1), (32, 32, 3)]


def dense(inputs, outputs):
    return inputs * outputs + outputs


def conv(size, inputs, outputs, bias=True):
    return size * size * inputs * outputs + bias * outputs


def norm(features):
    return 4 * features  # scale, offset, moving mean, moving variance


# Parameter counts of (generator, discriminator) or (encoder, decoder) for 28x28x1 images,
# batch-norm statistics included. Those of the paper preset are counted by hand from the
# paper's table of layers. A 3x3 convolution at stride 2 without padding maps 28 to 13 to 6.
PARAMETERS = {
    ("gan", "paper"): (
        dense(100, 128) + dense(128, 256) + dense(256, 512) + dense(512, 784),
        dense(784, 512) + dense(512, 512) + dense(512, 256) + dense(256, 128) + dense(128, 1),
    ),
    ("dcgan", "paper"): (
        dense(128, 7 * 7 * 256)
        + norm(7 * 7 * 256)
        + conv(3, 256, 128, bias=False)
        + norm(128)
        + conv(3, 128, 64, bias=False)
        + norm(64)
        + conv(3, 64, 1, bias=False),
        conv(3, 1, 64) + norm(64) + conv(3, 64, 128) + dense(6 * 6 * 128, 64) + dense(64, 1),
    ),
    ("vae", "paper"): (
        dense(784, 256) + dense(256, 2 * 3),
        dense(3, 256) + dense(256, 784),
    ),
    ("cvae", "paper"): (
        conv(3, 1, 64) + conv(3, 64, 128) + dense(6 * 6 * 128, 2 * 3),
        dense(3, 7 * 7 * 16) + conv(3, 16, 64) + conv(3, 64, 32) + conv(3, 32, 1),
    ),
    # Pinned to catch unintended changes. For an intended one, copy the line from the failure.
    ("gan", "default"): (207760, 533505),
    ("dcgan", "default"): (358852, 435041),
    ("vae", "default"): (343656, 339280),
    ("cvae", "default"): (541736, 59268),
}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_parameter_counts(make_model, case):
    assert case in PARAMETERS, f"pin the parameter counts of {case} in PARAMETERS"
    found = tuple(network.count_params() for network in make_model(*case).networks)
    assert found == PARAMETERS[case], f"    {case}: {found},".replace("'", '"')


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_weights_per_pixel_are_a_lower_bound(case):
    arch, preset = case
    weights = architectures.load(arch).WEIGHTS_PER_PIXEL[preset]
    assert weights * 28 * 28 < sum(PARAMETERS[case])


def test_every_pinned_architecture_exists():
    assert set(PARAMETERS) == set(CASES)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_model_is_of_the_architectures_kind(make_model, case):
    kind = architectures.kind_of(case[0])
    assert kind in ("adversarial", "variational")
    assert make_model(*case).kind == kind


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_shapes_and_ranges(make_model, case, shape):
    """Pixels are in [0, 1] even for latents far from the prior."""
    model = make_model(*case, shape)
    latent_dim = model.latent_dim
    config = architectures.resolve(TrainConfig(arch=case[0], preset=case[1]))
    assert latent_dim == config.latent_dim and tuple(model.image_shape) == shape
    generator = np.random.default_rng(0)
    for spread in (1, 100):
        z = spread * generator.standard_normal((5, latent_dim), dtype=np.float32)
        images = np.asarray(model.decode(z))
        assert images.shape == (5, *shape) and images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1
    assert images.std() > 0.01, "different latents and pixels differ"
    first, second = model.networks
    pixels = generator.random((3, *shape), dtype=np.float32)
    if model.kind == "adversarial":
        assert second(pixels).shape == (3, 1), "one logit each"
        assert model(z).shape == (5, *shape)
    else:
        assert [part.shape for part in model.encode(pixels)] == [(3, latent_dim)] * 2
        assert second(z).shape == (5, *shape) and first(pixels).shape == (3, 2 * latent_dim)
        assert model(pixels).shape == (3, *shape)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_weight_belongs_to_one_network(make_model, case):
    model = make_model(*case)
    owned = [id(w) for network in model.networks for w in network.trainable_weights]
    assert len(owned) == len(set(owned))
    assert sorted(owned) == sorted(id(w) for w in model.trainable_weights)
    assert len(model.optimizers) == len(model.optimizer_names)
    assert all(optimizer.built for optimizer in model.optimizers)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_weights_depend_on_the_seed_alone(make_model, case):
    first, again, other = (make_model(*case, seed=seed).get_weights() for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("shape", [(30, 28, 1), (28, 31, 3), (5, 5, 1)], ids=str)
@pytest.mark.parametrize("case", CONVOLUTIONAL, ids="-".join)
def test_sides_that_are_not_multiples_of_four(make_model, case, shape):
    with pytest.raises(InputError, match=f"multiples of 4, not {shape[0]}x{shape[1]}"):
        make_model(*case, shape)


@pytest.mark.parametrize("arch", ["cvae", "dcgan"])
def test_images_that_are_too_small_for_the_papers_convolutions(make_model, arch):
    """Of 4x4 pixels, two convolutions without padding leave none."""
    with pytest.raises(InputError, match="4x4"):
        make_model(arch, "paper", (4, 4, 1))


@pytest.mark.parametrize("arch", ["gan", "vae"])
@pytest.mark.parametrize("shape", [(30, 27, 1), (5, 9, 3)], ids=str)
def test_dense_models_accept_any_image_size(make_model, arch, shape):
    model = make_model(arch, image_shape=shape)
    assert model.decode(np.zeros((2, model.latent_dim), np.float32)).shape == (2, *shape)


@pytest.mark.parametrize("shape", [(4, 4, 1), (8, 24, 3)], ids=str)
@pytest.mark.parametrize("arch", ["cvae", "dcgan"])
def test_convolutional_models_accept_oblong_and_tiny_images(make_model, arch, shape):
    model = make_model(arch, image_shape=shape)
    assert model.decode(np.zeros((2, model.latent_dim), np.float32)).shape == (2, *shape)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 8, 3), (28, 2, 1)], ids=str)
@pytest.mark.parametrize("arch", architectures.names())
def test_images_that_are_too_small_to_model(make_model, arch, shape):
    with pytest.raises(InputError, match="are too small: at least 4 by 4 .* `image_size`"):
        make_model(arch, image_shape=shape)


def test_batches_beyond_the_memory(make_model, monkeypatch):
    monkeypatch.setattr("keras_ganvae.data.resources.available_memory", lambda: 10**9)
    message = "images of 1024x1024 at `batch_size` 20 takes more than 6.38 GB .* 405 at most"
    with pytest.raises(InputError, match=message):
        make_model("cvae", image_shape=(1024, 1024, 3), batch_size=20)


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize("arch", ["gan", "dcgan"])
def test_dropout_can_be_turned_off(make_model, arch, preset):
    def dropouts(model):
        layers = model.discriminator.layers
        return [layer.rate for layer in layers if type(layer).__name__ == "Dropout"]

    assert dropouts(make_model(arch, preset, dropout=False)) == []
    rates = dropouts(make_model(arch, preset, dropout=True))
    if preset == "paper":
        assert rates == {"gan": [0.3, 0.3, 0.2], "dcgan": [0.3, 0.2, 0.1]}[arch]
    assert rates and all(0 < rate < 1 for rate in rates)

import keras
import pytest
from keras import layers

from keras_ganvae import architectures
from keras_ganvae.models.adversarial import AdversarialNetwork
from keras_ganvae.models.variational import VariationalAutoencoder
from keras_ganvae.training.cost import multiply_adds

SHAPE = (4, 4, 1)
LATENT = 2


def _network(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack])


def _decoder():
    return _network((LATENT,), layers.Dense(16), layers.Reshape(SHAPE))


def _variational(*encoder):
    model = VariationalAutoencoder(
        _network(SHAPE, *encoder, layers.Flatten(), layers.Dense(2 * LATENT)), _decoder()
    )
    model.compile(keras.optimizers.SGD())
    return model


# The decoder's dense 2 -> 16: forward, its kernel's gradient, its input's gradient.
DECODER = 3 * 2 * 16


def test_a_dense_autoencoder():
    # The encoder's dense 16 -> 4: forward and kernel; the gradient of the pixels is not used.
    assert multiply_adds(_variational(), SHAPE) == 2 * 16 * 4 + DECODER


def test_a_convolutional_autoencoder():
    convolution = layers.Conv2D(3, 3, strides=2, padding="same")
    # To 2x2x3: each of 12 results takes 3x3x1 products; forward and kernel. Then, of the
    # dense 12 -> 4, forward, kernel and input.
    expected = 2 * (2 * 2 * 3) * (3 * 3 * 1) + 3 * 12 * 4 + DECODER
    assert multiply_adds(_variational(convolution), SHAPE) == expected


def test_a_transposed_convolution_costs_what_the_convolution_it_undoes_costs():
    down = layers.Conv2D(3, 3, strides=2, padding="same")
    up = layers.Conv2DTranspose(1, 3, strides=2, padding="same")
    # Down: forward and kernel; up: forward, kernel and input: 108 each. Dense 16 -> 4.
    expected = (2 + 3) * (2 * 2 * 3) * (3 * 3 * 1) + 3 * 16 * 4 + DECODER
    assert multiply_adds(_variational(down, up), SHAPE) == expected


def test_a_dense_gan():
    model = AdversarialNetwork(
        _network((LATENT,), layers.Dense(16), layers.Reshape(SHAPE)),
        _network(SHAPE, layers.Flatten(), layers.Dense(1)),
    )
    model.compile(keras.optimizers.SGD(), keras.optimizers.SGD())
    generator, discriminator = 2 * 16, 16
    # G: forward, kernel. D: forward and kernel for real and generated images each, and
    # the gradient that it hands G through the generated ones.
    assert multiply_adds(model, SHAPE) == 2 * generator + 5 * discriminator


def test_the_batch_does_not_matter():
    assert multiply_adds(_variational(), SHAPE, 2) == multiply_adds(_variational(), SHAPE, 32)


# The convolutional ones are held to a budget; dense ones are a fraction of it.
@pytest.mark.parametrize(
    ("arch", "most"), [("cvae", 15e6), ("dcgan", 30e6), ("vae", 5e6), ("gan", 10e6)]
)
def test_default_presets_keep_their_budget(make_model, arch, most):
    assert 1e5 < multiply_adds(make_model(arch), (28, 28, 1)) <= most


@pytest.mark.parametrize("arch", architectures.names())
def test_the_papers_presets_have_the_known_cost(make_model, arch):
    """About 25 million for the paper's CVAE and 76 for its DCGAN."""
    found = multiply_adds(make_model(arch, "paper"), (28, 28, 1)) / 1e6
    low, high = {"cvae": (20, 30), "dcgan": (60, 90), "gan": (4, 10), "vae": (1, 2)}[arch]
    assert low < found < high

import numpy as np
import pytest

from keras_ganvae.metrics.smoothness import smoothness


class _Decoder:
    """Images that jump where z crosses zero, or change in proportion to z."""

    latent_dim, image_shape, networks = 2, (1, 1, 1), ()

    def __init__(self, jumps):
        self.jumps = jumps

    def decode(self, z):
        z = np.asarray(z)[:, :1]
        image = np.sign(z) if self.jumps else z
        return image.reshape(-1, 1, 1, 1).astype(np.float32)


class _TwoPoints:
    """A prior whose walks are straight and cross zero."""

    name, latent_dim = "mixture", 2

    @staticmethod
    def sample(count, seed):
        side = np.float32([[-1, 0]] * (count // 2) + [[1, 0]] * (count // 2))
        return side + np.float32(0.01)


@pytest.mark.parametrize(("jumps", "order"), [(True, 0), (False, 1)])
def test_smoothness_is_the_order_of_the_largest_change(jumps, order):
    assert smoothness(_Decoder(jumps), _TwoPoints, seed=0).value == pytest.approx(order, abs=1e-3)

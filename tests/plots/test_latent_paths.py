import numpy as np
import pytest

from keras_ganvae.plots import latent_paths
from keras_ganvae.priors import NormalPrior


class _TwoPixels:
    """A decoder whose pixels show dimension 0 weakly, 2 strongly, and 1 not at all."""

    latent_dim, image_shape, networks = 3, (1, 2, 1), ()

    def decode(self, z):
        z = np.asarray(z)
        pixels = np.stack([0.5 + 0.01 * z[:, 0], 0.5 + 0.1 * z[:, 2]], axis=1)
        return pixels.clip(0, 1).reshape(-1, 1, 2, 1)


def test_the_most_active_dimension_comes_first():
    draws = NormalPrior(3).sample(500, 0)
    assert latent_paths.most_active(_TwoPixels(), draws).tolist() == [2, 0, 1]


def test_a_traversal_varies_one_dimension_from_low_to_high():
    chosen, z = latent_paths.traversals(_TwoPixels(), NormalPrior(3), 2, 5, seed=0)
    assert chosen.tolist() == [2, 0] and z.shape == (2, 5, 3)
    for path, dimension in zip(z, chosen, strict=True):
        assert (np.diff(path[:, dimension]) > 0).all()
        np.testing.assert_allclose(path[[0, -1], dimension], [-2.33, 2.33], atol=0.2)
        others = np.delete(path, dimension, axis=1)
        np.testing.assert_array_equal(others, others[:1].repeat(5, axis=0))


def test_a_plane_varies_the_two_most_active_dimensions():
    across, down, z = latent_paths.plane(_TwoPixels(), NormalPrior(3), 4, seed=0)
    z = z.reshape(4, 4, 3)
    assert (across, down) == (2, 0)
    assert (np.diff(z[..., across], axis=1) > 0).all() and (np.diff(z[..., down], axis=0) > 0).all()
    assert np.ptp(z[..., 1]) == 0 and np.ptp(z[0, :, down]) == np.ptp(z[:, 0, across]) == 0


def test_slerp_stays_on_the_sphere():
    start, end = np.random.default_rng(0).standard_normal((2, 4, 10))
    start, end = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (start, end))
    np.testing.assert_allclose(latent_paths.slerp(start, end, 0.0), start, atol=1e-6)
    np.testing.assert_allclose(latent_paths.slerp(start, end, 1.0), end, atol=1e-6)
    for fraction in (0.25, 0.5):
        between = latent_paths.slerp(start, end, fraction)
        np.testing.assert_allclose(np.linalg.norm(between, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(latent_paths.slerp(start, start, 0.5), start, atol=1e-6)


@pytest.mark.parametrize("kind", ["normal", "mixture"])
def test_walks_join_draws_from_the_prior(mixture, kind):
    prior = NormalPrior(3) if kind == "normal" else mixture(4, 3)
    z = latent_paths.walks(prior, 5, 7, seed=2)
    assert z.shape == (5, 7, 3) and z.dtype == np.float32
    draws = prior.sample(10, 2)
    np.testing.assert_allclose(z[:, [0, -1]].swapaxes(0, 1).reshape(10, 3), draws, atol=1e-5)
    straight = np.ptp(np.diff(z, axis=1), axis=1).max() < 1e-5
    assert straight == (kind == "mixture")

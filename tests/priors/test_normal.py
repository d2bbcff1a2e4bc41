import math

import numpy as np

from keras_ganvae.priors import NormalPrior


def test_draws_and_density_of_the_standard_normal():
    prior = NormalPrior(3)
    z = prior.sample(50_000, 1)
    assert (z.shape, z.dtype, prior.latent_dim) == ((50_000, 3), np.float32, 3)
    assert (np.abs(z.mean(axis=0)) < 5 / math.sqrt(50_000)).all()
    assert (np.abs(z.var(axis=0) - 1) < 5 * math.sqrt(2 / 50_000)).all()
    at = prior.log_density(np.float32([[0, 0, 0], [1, 2, 0]]))
    constant = -1.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(at, [constant, constant - 2.5], rtol=1e-6)

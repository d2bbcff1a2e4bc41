import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from keras_ganvae.models import latents
from keras_ganvae.plots import images
from keras_ganvae.priors import NormalPrior
from keras_ganvae.training.contrast import LIMITS, fit_contrast


class Even:
    """A model whose logits are z itself."""

    image_shape, networks = (5, 10, 1), ()

    def logits(self, z):
        return tf.reshape(z, (-1, 5, 10, 1))


PRIOR = NormalPrior(50)


def shown(contrast, seed):
    return images.to_uint8(expit(contrast * latents.logits(Even(), PRIOR.sample(1000, seed))))


@pytest.mark.parametrize("contrast", [0.8, 1, 1.45, 3])
def test_the_contrast_of_images_is_recovered(contrast):
    found = fit_contrast(Even(), PRIOR, shown(contrast, seed=1), seed=2)
    assert found == pytest.approx(contrast, rel=0.03)


@pytest.mark.parametrize("level, limit", [(0, 0), (255, 0), (None, 1)])
def test_the_contrast_stays_within_its_limits(level, limit):
    """Images that never vary, and images that vary more than any sigmoid can."""
    flat = np.full((100, 5, 10, 1), level or 0, np.uint8)
    flat[::2] = 255 if level is None else level
    found = fit_contrast(Even(), PRIOR, flat, seed=2)
    assert found == pytest.approx(LIMITS[limit], abs=0.01)


def test_a_finished_run_has_a_contrast_unless_disabled(run_of, train_tiny):
    model = run_of("vae").model()
    assert run_of("vae").config.match_contrast and model.contrast != 1
    z = run_of("vae").prior().sample(3, 0)
    expected = expit(model.contrast * latents.logits(model, z))
    np.testing.assert_allclose(latents.decode(model, z), expected, atol=1e-6)
    assert train_tiny("vae", match_contrast=False, epochs=1).model().contrast == 1


def test_the_loss_does_not_depend_on_the_contrast(make_model, digits):
    model = make_model("vae", binarize="threshold")
    noise = tf.zeros((len(digits), model.latent_dim))
    x = model.binarize(tf.constant(digits, tf.float32) / 255, None)
    before = model.terms(x, noise, training=False)["loss"]
    model.contrast = 2.0
    np.testing.assert_array_equal(model.terms(x, noise, training=False)["loss"], before)

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from keras_ganvae import images
from keras_ganvae.models import latents
from keras_ganvae.training.contrast import LIMITS, fit_contrast


class Even:
    """A model whose logits are z itself, spread alike for any image."""

    def binarise(self, pixels, seed):
        return pixels

    def encode(self, pixels):
        return tf.zeros(pixels.shape[:1] + (50,)), tf.fill(pixels.shape[:1] + (50,), 1.0)

    def logits(self, z):
        return tf.reshape(z, (-1, 5, 10, 1))


def shown(contrast, seed):
    z = latents.draw_posterior(Even(), np.zeros((1000, 5, 10, 1), np.uint8), seed)
    return images.to_uint8(expit(contrast * latents.logits(Even(), z)))


@pytest.mark.parametrize("contrast", [0.8, 1, 1.45, 3])
def test_the_contrast_that_images_were_made_with_is_found_again(contrast):
    assert fit_contrast(Even(), shown(contrast, seed=1), seed=2) == pytest.approx(
        contrast, abs=0.03
    )


def test_it_stays_within_its_limits():
    black = np.zeros((100, 5, 10, 1), np.uint8)
    assert LIMITS[0] <= fit_contrast(Even(), black, seed=2) <= LIMITS[1]


def test_a_finished_run_has_it_where_it_was_asked_for(run_of, train_tiny):
    model = run_of("vae").model()
    assert run_of("vae").config.match_contrast and model.contrast != 1
    z = run_of("vae").prior().sample(3, 0)
    expected = expit(model.contrast * latents.logits(model, z))
    np.testing.assert_allclose(latents.decode(model, z), expected, atol=1e-6)
    assert train_tiny("vae", match_contrast=False, epochs=1).model().contrast == 1


def test_the_loss_does_not_see_it(make_model, digits):
    model = make_model("vae", binarize="threshold")
    noise = tf.zeros((len(digits), model.latent_dim))
    x = model.binarise(tf.constant(digits, tf.float32) / 255, None)
    before = model.terms(x, noise, training=False)["loss"]
    model.contrast = 2.0
    np.testing.assert_array_equal(model.terms(x, noise, training=False)["loss"], before)

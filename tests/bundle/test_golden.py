"""Golden numbers are outputs of the Keras model."""

import numpy as np
import pytest

from keras_ganvae.bundle import golden
from keras_ganvae.models import latents
from keras_ganvae.priors import random as noise


@pytest.mark.parametrize("arch", ["vae", "gan"])
def test_arrays(run_of, arch):
    run = run_of(arch)
    model, prior = run.model(), run.prior()
    arrays = golden.make(model, prior)
    image, latent = (16, 28, 28, 1), (16, 4)
    shapes = {"latents": latent, "images": image, "seeds": (16,)}
    shapes |= {"seed_latents": latent, "seed_images": image}
    if arch == "vae":
        shapes |= {"encode_images": image, "means": latent, "log_variances": latent}
        shapes |= {"reconstructions": image}
        draws = 4 * prior.components
        shapes |= {"component_seeds": (draws,), "component_latents": (draws, 4)}
    assert {name: array.shape for name, array in arrays.items()} == shapes
    types = {name: array.dtype.name for name, array in arrays.items()}
    assert {name for name in types if types[name] != "float32"} == {
        name for name in types if name.endswith("seeds")
    }
    assert types["seeds"] == "int32"

    np.testing.assert_array_equal(arrays["images"], latents.decode(model, arrays["latents"]))
    np.testing.assert_array_equal(arrays["seed_latents"], prior.draw(arrays["seeds"]))
    decoded = latents.decode(model, arrays["seed_latents"])
    np.testing.assert_array_equal(arrays["seed_images"], decoded)
    assert not np.array_equal(arrays["latents"], arrays["seed_latents"])


def test_the_draws_of_a_mixture_touch_every_component(run_of, mixture):
    prior = mixture(40, 4)
    arrays = golden.make(run_of("vae").model(), prior)
    thresholds = noise.choice_thresholds(prior.weights)
    drawn = noise.choices(arrays["component_seeds"], thresholds, 4)
    assert (np.bincount(drawn) == np.full(40, 4)).all()
    np.testing.assert_array_equal(
        arrays["component_latents"], prior.draw(arrays["component_seeds"])
    )


def test_encoder_outputs(run_of):
    run = run_of("cvae")  # trained on 0 and 1
    model = run.model()
    arrays = golden.make(model, run.prior())
    pixels = np.float32(arrays["encode_images"] > 0.5)
    mean, log_variance = model.encode(pixels)
    np.testing.assert_array_equal(arrays["means"], mean)
    np.testing.assert_array_equal(arrays["log_variances"], log_variance)
    np.testing.assert_array_equal(arrays["reconstructions"], latents.decode(model, mean))
    assert (arrays["encode_images"] >= 0).all() and (arrays["encode_images"] <= 1).all()


def test_files_are_reproducible(run_of, tmp_path):
    run = run_of("vae")
    first, second = (golden.make(run.model(), run.prior()) for _ in range(2))
    for name, arrays in (("a.npz", first), ("b.npz", second)):
        golden.write(tmp_path / name, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as read:
        assert set(read) == set(first)
        for name in read:
            np.testing.assert_array_equal(read[name], first[name])

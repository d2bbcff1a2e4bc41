"""Golden numbers are outputs of the Keras model."""

import numpy as np
import pytest

from keras_ganvae.bundle import golden
from keras_ganvae.models import latents


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
    assert {name: array.shape for name, array in arrays.items()} == shapes
    assert {array.dtype.name for name, array in arrays.items() if name != "seeds"} == {"float32"}
    assert arrays["seeds"].dtype == np.int32

    np.testing.assert_array_equal(arrays["images"], latents.decode(model, arrays["latents"]))
    np.testing.assert_array_equal(arrays["seed_latents"], prior.draw(arrays["seeds"]))
    decoded = latents.decode(model, arrays["seed_latents"])
    np.testing.assert_array_equal(arrays["seed_images"], decoded)
    assert not np.array_equal(arrays["latents"], arrays["seed_latents"])


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

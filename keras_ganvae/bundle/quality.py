"""Fréchet distance and coverage of the images that each file of a bundle generates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_ganvae import data
from keras_ganvae.bundle.formats import SAVED_MODEL
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import Sampler
from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.metrics.distances import frechet_distance
from keras_ganvae.metrics.neighbours import precision_recall_density_coverage
from keras_ganvae.models import latents
from keras_ganvae.plots import images
from keras_ganvae.runs.run import Run

# Pixels of the golden images may differ by this between releases of TensorFlow.
MAX_GOLDEN_ERROR = 1e-4


def dataset_of(
    bundle: Bundle, spec: str | None = None, data_dir: str | Path | None = None
) -> data.Dataset:
    """The data set that the bundle's model was trained on.

    Args:
        spec: where to find it; None uses the name in the card.

    Raises:
        InputError: the data set is missing, or its fingerprint is not the card's.
    """
    settings = bundle.card["training"]["settings"]
    chosen = {name: settings.get(name) for name in ("image_size", "limit", "validation_size")}
    spec = spec or bundle.card["dataset"]["name"]
    try:
        dataset = data.load(spec, data_dir=data_dir, **chosen)
    except InputError as error:
        raise InputError(
            f"{error} (`dataset` says where the images are, `no_quality` leaves them out)"
        ) from error
    expected = bundle.card["dataset"]["fingerprint"]
    if dataset.fingerprint != expected:
        raise InputError(
            f"{bundle.name} was not trained on {spec}: the fingerprint is"
            f" {dataset.fingerprint[:12]}, the card's is {expected[:12]};"
            " choose another `dataset`"
        )
    return dataset


def sources(
    bundle: Bundle, real: RealImages, run: Run | None = None
) -> dict[str, Callable[[], np.ndarray]]:
    """The sources of images to compare.

    Args:
        run: see `keras_decoder`.

    Returns:
        name -> function that returns uint8 images (N, H, W, C). The names are "real images"
        (training images), "keras" where there is a Keras model, and the bundle's variants.

    Raises:
        InputError: the bundle was not made from `run`.
    """
    count, seed = real.settings.samples, real.settings.seed
    sampler = Sampler(bundle.path, bundle)
    decode = keras_decoder(bundle, run)
    found = {"real images": lambda: real.train_sample}
    if decode is not None:
        found["keras"] = lambda: images.to_uint8(decode(bundle.prior().sample(count, seed)))
    return found | {
        variant: lambda variant=variant: sampler.sample(count, seed, variant=variant)
        for variant in bundle.variants
    }


def measure(
    sources: dict[str, Callable[[], np.ndarray]],
    real: RealImages,
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, dict]]:
    """Fréchet distance and coverage of each source's images.

    Args:
        sources: from `sources`.
        progress: called with the name of the source, then 0 and 1 of 1.

    Returns:
        name -> metric -> value and its standard error.

    Raises:
        InputError: a file can't be run.
    """
    found = {}
    for name, generate in sources.items():
        progress(name, 0, 1)
        found[name] = _metrics(generate(), real)
        progress(name, 1, 1)
    return found


def _metrics(generated, real):
    """The two metrics that tell an app's developer most; `evaluate` has all of them."""
    test_features, _ = real.test
    features, _ = real.features.extract(generated)
    neighbours = precision_recall_density_coverage(
        test_features, features, real.settings.neighbours
    )
    return {
        "frechet": frechet_distance(features, test_features).to_dict(),
        "coverage": neighbours["coverage"].to_dict(),
    }


def keras_decoder(
    bundle: Bundle, run: Run | None = None
) -> Callable[[np.ndarray], np.ndarray] | None:
    """The Keras model behind a bundle, as a function from latents (N, J) to images.

    Args:
        run: the run that the bundle was made from; None takes the bundle's SavedModel.

    Returns:
        None without a run and a SavedModel.

    Raises:
        InputError: the bundle was not made from `run`.
    """
    if run is None:
        return _saved_model(bundle)
    model, golden = run.model(), bundle.golden()
    if model.latent_dim == bundle.latent_dim:
        decoded = latents.decode(model, golden["latents"])
        if decoded.shape == golden["images"].shape:
            error = np.abs(decoded - golden["images"]).max()
            if error <= MAX_GOLDEN_ERROR:
                return lambda z: latents.decode(model, z)
    raise InputError(f"{bundle.path} was not made from {run.path}: its golden images differ")


def _saved_model(bundle):
    folder = bundle.path / SAVED_MODEL
    if not folder.is_dir():
        return None
    import tensorflow as tf  # slow

    loaded = tf.saved_model.load(str(folder))
    decode = loaded.signatures["decode"]
    return lambda z: np.concatenate([decode(latent=each[None])["image"] for each in z])

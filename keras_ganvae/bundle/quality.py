"""How well the files of a bundle draw, measured again on what they draw themselves."""

from pathlib import Path

import numpy as np

from keras_ganvae import data
from keras_ganvae.bundle.formats import SAVED_MODEL
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import Sampler
from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.floor import Reference
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.metrics.distances import frechet_estimate
from keras_ganvae.metrics.neighbours import manifold
from keras_ganvae.models import latents
from keras_ganvae.plots import images

MOST_APART = 1e-4  # of the golden images: what another release's arithmetic may do


def dataset_of(bundle: Bundle, spec=None, data_dir=None):
    """The images that the bundle's model was trained on and is to be measured against.

    Args:
        spec: where they are; None takes the name in the card.

    Raises:
        InputError: they can't be found, or are others than those.
    """
    settings = bundle.card["training"]["settings"]
    chosen = {name: settings.get(name) for name in ("image_size", "limit", "validation_size")}
    spec = spec or bundle.card["dataset"]["name"]
    try:
        dataset = data.load(spec, data_dir=data_dir, **chosen)
    except InputError as error:
        raise InputError(
            f"{error} (--dataset says where the images are, --no-quality leaves them out)"
        ) from error
    if dataset.fingerprint != bundle.card["dataset"]["fingerprint"]:
        raise InputError(
            f"{spec} is not what {bundle.name} was trained on: its fingerprint is"
            f" {dataset.fingerprint[:12]}, the card's {bundle.card['dataset']['fingerprint'][:12]};"
            " --dataset names another"
        )
    return dataset


def sources(bundle: Bundle, reference: Reference, run=None) -> dict:
    """What can be measured: name -> a function that gives uint8 images (N, H, W, C).

    Args:
        run: the `training.run.Run` that the bundle came from, to measure its Keras model
            too; None takes the bundle's SavedModel for that, where it has one.

    Returns:
        "real images", the floor; "keras", where there is such a model; and the variants.

    Raises:
        InputError: `run` is of another model.
    """
    count, seed = reference.settings.samples, reference.settings.seed
    sampler = Sampler(bundle.path, bundle)
    decode = _keras_model(bundle, run)
    found = {"real images": lambda: reference.real}
    if decode is not None:
        found["keras"] = lambda: images.to_uint8(decode(bundle.prior().sample(count, seed)))
    return found | {
        variant: lambda variant=variant: sampler.sample(count, seed, variant=variant)
        for variant in bundle.variants
    }


def measure(sources: dict, reference: Reference, progress) -> dict:
    """Fréchet distance and coverage of each source's images.

    Args:
        sources: of `sources`.
        progress: called with what is being measured, 0 and 1.

    Returns:
        name -> {metric: {"value", "error"}}, the error one standard error.

    Raises:
        InputError: a file can't be run.
    """
    found = {}
    for name, draw in sources.items():
        progress(name, 0, 1)
        found[name] = {metric: each.to_dict() for metric, each in _numbers(reference, draw())}
        progress(name, 1, 1)
    return found


def _numbers(reference, drawn):
    """The two numbers that an app's developer needs; `evaluate` has them all."""
    real, _ = reference.test
    found, _ = reference.features.extract(drawn)
    yield "frechet", frechet_estimate(found, real)
    yield "coverage", manifold(real, found, reference.settings.neighbours)["coverage"]


def settings(samples, seed) -> Settings:
    """Of the measurement; `evaluate`'s else."""
    return Settings(samples=samples, seed=seed)


def _keras_model(bundle, run):
    """z (N, J) -> images by the model that the bundle was made from, or None."""
    if run is None:
        return _saved_model(bundle)
    model = run.model()
    golden = bundle.golden()
    if model.latent_dim == bundle.latent_dim:
        drawn = latents.decode(model, golden["latents"])
        if drawn.shape == golden["images"].shape:
            apart = np.abs(drawn - golden["images"]).max()
            if apart <= MOST_APART:
                return lambda z: latents.decode(model, z)
    raise InputError(f"{bundle.path} was not made from {run.path}: its golden images are others")


def _saved_model(bundle):
    folder = Path(bundle.path) / SAVED_MODEL
    if not folder.is_dir():
        return None
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    decode = loaded.signatures["decode"]
    return lambda z: np.concatenate([decode(latent=each[None])["image"] for each in z])

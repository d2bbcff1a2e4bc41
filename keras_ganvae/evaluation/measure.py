"""`evaluate`: all the numbers of one run, under one protocol."""

import hashlib
import json
import logging
import statistics
from pathlib import Path

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import PIECES, Reference, counted
from keras_ganvae.files import write_json
from keras_ganvae.metrics import likelihood
from keras_ganvae.metrics.smoothness import smoothness
from keras_ganvae.models import latents
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.runs.run import Run
from keras_ganvae.training.cost import multiply_adds
from keras_ganvae.training.tensorboard import write_evaluation

log = logging.getLogger("keras_ganvae")

SCHEMA = "keras-ganvae/evaluation"
SCHEMA_VERSION = 2


def evaluate(run: Run, settings=None, *, reference=None, progress=None) -> dict:
    """Measure one finished run and keep the result in its folder, as evaluation.json.

    A result that is there already, of the same model under the same protocol, is given
    back as it is.

    Args:
        settings: `protocol.Settings`; None takes its defaults.
        reference: the run's data set as `Reference.of` made it, to share it among runs.
        progress: called with what is being measured (a few words), the part done and
            the whole.

    Returns:
        A dict fit for JSON: `protocol`, `floor`, and the numbers as {"value", "error"},
        error being one standard error or None. Likelihoods in nats per image.

    Raises:
        InputError: the run is not finished, its data is gone, or too small to measure.
    """
    settings = settings or protocol.Settings()
    model = run.model()
    for name in priors(run):
        run.prior(name)  # refused now, if it is gone
    if reference is None:
        reference = Reference.of(run.dataset(), settings, progress)
    asked = protocol.describe(settings, reference.dataset, reference.features)
    model_hash = hash_of(run)
    known = recorded(run)
    if known and known.get("protocol") == asked and known.get("model_hash") == model_hash:
        log.info("%s was measured under this protocol before", run.path)
        return known
    log.info("measuring %s", run.path)
    result = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "run": run.path.name,
        "model_hash": model_hash,
        "arch": run.config.arch,
        "preset": run.config.preset,
        "protocol": asked,
        "cost": cost(run, model),
        "training": run.history()[-1],
        "floor": _numbers(reference.floor),
        "samples": {
            name: _numbers(_samples(run, model, name, reference, progress)) for name in priors(run)
        },
    }
    if run.is_variational:
        result["contrast"] = model.contrast
        result["likelihood"] = {
            name: _likelihood(model, reference, name, progress) for name in settings.binarize
        }
    write_json(run.path / protocol.RESULT, result)
    write_evaluation(run.tensorboard, _plain(result), result["cost"]["epochs"])
    return result


def recorded(run) -> dict | None:
    """What an earlier `evaluate` left in the run folder; None if there is none to be read."""
    try:
        result = json.loads((run.path / protocol.RESULT).read_text())
    except (OSError, ValueError):
        return None
    same = isinstance(result, dict) and result.get("schema") == SCHEMA
    return result if same and result.get("schema_version") == SCHEMA_VERSION else None


def hash_of(run) -> str:
    """SHA-256 of what the numbers depend on: the model, and the prior of a VAE."""
    digest = hashlib.sha256(run.model_file.read_bytes())
    if run.is_variational:
        digest.update(Path(run.prior_file).read_bytes())
    return digest.hexdigest()


def priors(run) -> tuple[str, ...]:
    """The priors that a run's samples are measured under."""
    return ("normal", "mixture") if run.is_variational else ("normal",)


def draw(run, model, prior_name, settings):
    """The samples that are measured, uint8 (N, H, W, C).

    Raises:
        InputError: they are not finite.
    """
    z = run.prior(prior_name).sample(settings.samples, settings.seed)
    drawn = latents.decode(model, z)
    if not np.isfinite(drawn).all():
        raise InputError(f"{run.path} draws images that are not finite; train it again")
    return to_uint8(drawn)


def cost(run, model) -> dict:
    """What the model weighs and its training took.

    Returns:
        `parameters` of each network, `multiply_adds` of a training step in millions per
        image, `seconds_per_epoch` (the median), `epochs`.
    """
    history = run.history()
    shape = tuple(model.image_shape)
    return {
        "parameters": {network.name: network.count_params() for network in model.networks},
        "multiply_adds": multiply_adds(model, shape) / 1e6,
        "seconds_per_epoch": statistics.median(row["seconds"] for row in history),
        "epochs": len(history),
    }


def _plain(result):
    """The values without their errors, by prior and by binarization."""
    groups = result["samples"] | result.get("likelihood", {})
    return {
        group: {k: v["value"] for k, v in numbers.items() if isinstance(v, dict)}
        for group, numbers in groups.items()
    }


def _samples(run, model, prior_name, reference, progress):
    settings = reference.settings
    told = counted(progress, f"samples, {prior_name} prior", PIECES + 3)
    images = draw(run, model, prior_name, settings)
    told()
    found = reference.measure_samples(images, told)
    found["smoothness"] = smoothness(model, run.prior(prior_name), settings.seed)
    told()
    return found


def _likelihood(model, reference, binarization, progress):
    settings = reference.settings

    def told(done, total):
        if progress:
            progress(f"likelihood, {binarization}", done, total)

    return likelihood.measure(
        model,
        reference.dataset.test.images,
        binarization=binarization,
        importance_samples=settings.importance_samples,
        bound_images=settings.bound_images,
        seed=settings.seed,
        progress=told,
    ).to_dict()


def _numbers(estimates):
    return {name: estimate.to_dict() for name, estimate in estimates.items()}

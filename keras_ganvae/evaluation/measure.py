"""`evaluate`: every metric of one run under one protocol."""

import hashlib
import json
import logging
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.floor import IMAGE_STEPS, Progress, RealImages, stepper
from keras_ganvae.evaluation.protocol import RESULT, Settings, describe
from keras_ganvae.files import readable, sha256_of_json, write_json
from keras_ganvae.metrics import likelihood
from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.metrics.smoothness import smoothness
from keras_ganvae.models import latents
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.priors import Prior
from keras_ganvae.runs.run import Run
from keras_ganvae.training.cost import multiply_adds
from keras_ganvae.training.tensorboard import write_evaluation

log = logging.getLogger("keras_ganvae")

SCHEMA = "keras-ganvae/evaluation"
SCHEMA_VERSION = 2
CHECKSUM = "result_sha256"  # of everything else in the result


def evaluate(
    run: Run,
    settings: Settings | None = None,
    *,
    real: RealImages | None = None,
    progress: Progress | None = None,
) -> dict:
    """Measure a finished run and write evaluation.json and TensorBoard summaries into its folder.

    An earlier result of the same model under the same protocol is returned as it is.

    Args:
        run: the run.
        settings: settings of the protocol; None takes the defaults.
        real: real images of the run's data set, to share them among runs.
        progress: called with what is being measured, the steps done and their total.

    Returns:
        The content of evaluation.json: `protocol`, `cost`, the metrics of `floor`, of the
        `samples` under each prior and of the `likelihood` under each binarization, as
        {"value", "error"}; an error is one standard error or None.

    Raises:
        InputError: the run is not finished, diverged, or its data set is missing, changed
            or too small.
    """
    settings = settings or Settings()
    run.check_finished()
    model_hash = hash_of(run)
    model = run.model()
    priors = [run.prior(name) for name in prior_names(run)]
    real = real or RealImages.of(run.dataset(), settings, progress)
    protocol = describe(settings, real.dataset, real.features)
    earlier = read_result(run)
    if earlier and earlier.get("protocol") == protocol and earlier.get("model_hash") == model_hash:
        log.info("%s is already measured under this protocol", run.path)
        return earlier
    log.info("measuring %s", run.path)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "run": run.path.name,
        "model_hash": model_hash,
        "arch": run.config.arch,
        "preset": run.config.preset,
        "protocol": protocol,
        "cost": cost(run, model),
        "training": run.history()[-1],
        "floor": _as_json(real.floor),
        "samples": {
            prior.name: _as_json(sample_metrics(run, model, prior, real, progress))
            for prior in priors
        },
    }
    if run.is_variational:
        result["contrast"] = model.contrast
        result["likelihood"] = {
            binarization: likelihood.measure(
                model,
                real.test_images,
                binarization=binarization,
                importance_samples=settings.importance_samples,
                bound_images=settings.bound_images,
                seed=settings.seed,
                progress=progress and _labelled(progress, f"likelihood, {binarization}"),
            ).to_dict()
            for binarization in settings.binarize
        }
    if hash_of(run) != model_hash:
        raise InputError(f"{run.path} was trained while it was measured; evaluate it again")
    result[CHECKSUM] = sha256_of_json(result)
    write_json(run.path / RESULT, result)
    write_evaluation(run.tensorboard, _values(result), result["cost"]["epochs"])
    return result


def sample_metrics(
    run: Run, model: Any, prior: Prior, real: RealImages, progress: Progress | None = None
) -> dict[str, Estimate]:
    """Every metric of samples under one prior."""
    advance = stepper(progress, f"samples, {prior.name} prior", IMAGE_STEPS + 2)
    images = draw(run, model, prior, real.settings)
    advance()
    metrics = real.compare(images, advance)
    metrics["smoothness"] = smoothness(model, prior, real.settings.seed)
    advance()
    return metrics


def draw(run: Run, model: Any, prior: Prior, settings: Settings) -> np.ndarray:
    """The samples to measure, uint8 (N, H, W, C).

    Raises:
        InputError: a pixel is not finite.
    """
    images = latents.decode(model, prior.sample(settings.samples, settings.seed))
    if not np.isfinite(images).all():
        raise InputError(f"the samples of {run.path} are not finite: it diverged; train it again")
    return to_uint8(images)


def prior_names(run: Run) -> tuple[str, ...]:
    """The priors that a run is measured under."""
    return ("normal", "mixture") if run.is_variational else ("normal",)


def hash_of(run: Run) -> str:
    """SHA-256 of what the metrics depend on: the model file, and the prior of a VAE.

    Raises:
        InputError: a file is missing, for example because the run is being trained again.
    """
    files = [run.model_file, *([run.prior_file] if run.is_variational else [])]
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(readable(file).read_bytes())
    except FileNotFoundError as error:
        run.check_finished()
        raise InputError(f"{error.filename} is missing") from error
    return digest.hexdigest()


def read_result(run: Run) -> dict | None:
    """The run's evaluation.json; None if it is missing, damaged or of another version."""
    try:
        result = json.loads(readable(run.path / RESULT).read_text())
        content = {name: value for name, value in result.items() if name != CHECKSUM}
        intact = result[CHECKSUM] == sha256_of_json(content)
    except (OSError, ValueError, LookupError, AttributeError, RecursionError):
        return None
    return result if intact and result["schema_version"] == SCHEMA_VERSION else None


def cost(run: Run, model: Any) -> dict:
    """The size of the model and the cost of its training.

    Returns:
        `parameters` of each network, `multiply_adds`: million MACs per image of a training
        step, `seconds_per_epoch`: the median, `epochs`.
    """
    history = run.history()
    return {
        "parameters": {network.name: network.count_params() for network in model.networks},
        "multiply_adds": multiply_adds(model, tuple(model.image_shape)) / 1e6,
        "seconds_per_epoch": statistics.median(row["seconds"] for row in history),
        "epochs": len(history),
    }


def _labelled(progress, doing):
    return lambda done, total: progress(doing, done, total)


def _as_json(metrics: Mapping[str, Estimate]) -> dict:
    return {name: estimate.to_dict() for name, estimate in metrics.items()}


def _values(result):
    """The values without their errors, by prior and by binarization."""
    groups = result["samples"] | result.get("likelihood", {})
    return {
        group: {name: each["value"] for name, each in metrics.items() if isinstance(each, dict)}
        for group, metrics in groups.items()
    }

"""`benchmark`: what each file of a bundle costs, and how well it draws."""

import os
import platform

from keras_ganvae import runtime
from keras_ganvae.bundle import card, chart, quality, readme, speed
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.files import write_json

NAME = "benchmark.json"
PICTURE = "benchmark.png"
SCHEMA = "keras-ganvae/benchmark"
SCHEMA_VERSION = 1

# How much farther than float32's a variant's samples may be before the card says so.
MOST_FRECHET_RATIO = 1.05


def benchmark(
    bundle: Bundle, *, dataset=None, run=None, samples=10_000, seed=0, progress=None
) -> dict:
    """Measure every .tflite file of a bundle and keep the result in it.

    benchmark.json and benchmark.png are written, and the card's `metrics` and
    `recommended`, with the README made from it.

    Args:
        dataset: `data.Dataset` to measure the images against; None leaves them out.
        run: see `quality.sources`.
        samples: images that each file draws.
        progress: called with what is being measured, the part done and the whole.

    Returns:
        What benchmark.json holds; docs/model-card.md describes it.

    Raises:
        InputError: the bundle, the data or the run can't be used, or the folder not written.
    """
    progress = progress or (lambda doing, done, total: None)
    if not os.access(bundle.path, os.W_OK | os.X_OK):
        raise InputError(f"can't write to {bundle.path}, where the results go")
    # What can't be measured is refused before anything is.
    real = dataset and RealImages.of(dataset, quality.settings(samples, seed))
    sources = real and quality.sources(bundle, real, run)
    result = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "bundle": bundle.name,
        "machine": machine(),
        "versions": runtime.versions(),
        "files": {
            variant: _costs(bundle, variant, name, progress)
            for variant, name in bundle.variants.items()
        },
    }
    if real:
        result["protocol"] = protocol.describe(real.settings, dataset, real.features)
        result["quality"] = quality.measure(sources, real, progress)
    write_json(bundle.path / NAME, result)
    chart.write(bundle.path / PICTURE, result)
    _update_card(bundle, result)
    return result


def check_quality(result: dict, least: float):
    """The floor that a build may set.

    Args:
        result: of `benchmark`, with the images measured.
        least: coverage that every file's samples must reach, in [0, 1].

    Raises:
        GateFailed: a file's samples are below it.
    """
    for variant in result["files"]:
        coverage = result["quality"][variant]["coverage"]["value"]
        if not coverage >= least:
            raise GateFailed(
                f"{variant} of {result['bundle']}: coverage {coverage:.3f} is below {least:g}"
            )


def machine() -> dict:
    """Where times were taken."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
    }


def _costs(bundle, variant, name, progress):
    """Size, and speed at one and at all threads."""
    path = bundle.file(name)
    counts = dict.fromkeys((1, os.cpu_count()))
    found = []
    for i, threads in enumerate(counts):
        progress(f"{variant}, speed", i, len(counts))
        found.append(speed.apart(path, threads))
    return {"file": name, "bytes": path.stat().st_size, "speed": found}


def _update_card(bundle, result):
    metrics = metrics_of(result)
    record = bundle.card | {"metrics": metrics}
    if "quality" in result:
        record["recommended"] = _recommended(bundle, result)
    card.write(bundle.path / card.NAME, record)
    readme.write(bundle.path / card.README, record)


def metrics_of(result: dict) -> dict:
    """The card's `metrics`: of each source its numbers, and a note where a file falls behind."""
    metrics = {}
    for name, numbers in result.get("quality", {}).items():
        metrics[name] = {metric: each["value"] for metric, each in numbers.items()}
    for variant, costs in result["files"].items():
        single = costs["speed"][0]
        metrics.setdefault(variant, {}).update(
            {key: single[key] for key in ("p50_ms", "load_ms", "memory_mb")}
        )
    for variant, ratio in ratios(result).items():
        if ratio > MOST_FRECHET_RATIO:
            metrics[variant]["note"] = f"its Fréchet distance is {ratio:.2f} times float32's"
    if "protocol" in result:
        asked = result["protocol"]
        metrics["protocol"] = (
            f"{asked['samples']:,} samples (seed {asked['seed']}) against"
            f" {asked['data']['test']:,} test images of {asked['data']['name']};"
            f" {asked['features']['dimensions']} {asked['features']['name']} features"
            f" {asked['features']['hash'][:12]}; k {asked['neighbours']}; times of `decode` at one"
            f" thread on {result['machine']['architecture']}"
        )
    return metrics


def ratios(result: dict) -> dict:
    """Variant -> its Fréchet distance over float32's, where both were measured."""
    found = result.get("quality", {})
    if "float32" not in found:
        return {}
    whole = found["float32"]["frechet"]["value"]
    return {
        variant: found[variant]["frechet"]["value"] / whole
        for variant in result["files"]
        if variant != "float32"
    }


def _recommended(bundle, result):
    """The first of `card.RECOMMENDED` that the bundle has, unless its samples fall behind."""
    behind = {name for name, ratio in ratios(result).items() if ratio > MOST_FRECHET_RATIO}
    return card.recommended(bundle.variants, behind)

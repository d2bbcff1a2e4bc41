"""Size, speed and image quality of each model file of a bundle."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_ganvae import data, runtime
from keras_ganvae.bundle import card, quality, readme, signature, speed
from keras_ganvae.bundle.formats import BENCHMARK, BENCHMARK_PICTURE
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.files import write_json
from keras_ganvae.plots import benchmark as plot
from keras_ganvae.runs.run import Run

SCHEMA = "keras-ganvae/benchmark"
SCHEMA_VERSION = 1

# A variant whose Fréchet distance is this many times float32's gets a note in the card.
MAX_FRECHET_RATIO = 1.05


def benchmark(
    bundle: Bundle,
    *,
    dataset: data.Dataset | None = None,
    run: Run | None = None,
    samples: int = 10_000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    measure_speed: Callable[[Path, int], dict] = speed.measure_in_subprocess,
    signer: "signature.SecretKey | None" = None,
) -> dict[str, Any]:
    """Measure every model file of a bundle and write the results into the bundle.

    Writes benchmark.json and benchmark.png, and updates the README and the card: `metrics`,
    `recommended`, the checksums of these files, the digest and, with `signer`, the signature.

    Args:
        dataset: the training data, to compare the images with its test images; None skips
            the image quality.
        run: see `quality.keras_decoder`.
        samples: number of images that each file generates.
        seed: random seed of the samples.
        progress: called with the name of a measurement, the steps done and all its steps.
        measure_speed: takes the path of a file and the number of threads.
        signer: sign the updated card with this key, from `signature.secret_key`. A signed
            bundle needs it.

    Returns:
        The content of benchmark.json; docs/model-card.md describes it.

    Raises:
        InputError: the bundle, the data set or the run can't be used, the folder is not
            writable, or the bundle is signed and there is no `signer`.
    """
    if signer is None and os.path.lexists(bundle.path / card.SIGNATURE):
        raise InputError(
            f"{bundle.path} is signed, and the results change its card: `sign` signs it again;"
            f" or remove {card.SIGNATURE} first"
        )
    if not os.access(bundle.path, os.W_OK | os.X_OK):
        raise InputError(f"can't write the results to {bundle.path}")
    # Both check their input, before minutes of measurements.
    settings = Settings(samples=samples, seed=seed)
    real = RealImages.of(dataset, settings) if dataset else None
    sources = quality.sources(bundle, real, run) if real else {}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "bundle": bundle.name,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
        },
        "versions": runtime.versions(),
        "files": {
            variant: _costs(bundle, variant, progress, measure_speed) for variant in bundle.variants
        },
    }
    if dataset and real:
        result["protocol"] = protocol.describe(settings, dataset, real.features)
        result["quality"] = quality.measure(sources, real, progress)
    write_json(bundle.path / BENCHMARK, result)
    plot.write(bundle.path / BENCHMARK_PICTURE, result)
    made = (BENCHMARK, BENCHMARK_PICTURE)
    readme.write_with_card(bundle.path, updated_card(bundle, result), made)
    if signer is not None:
        signature.sign(bundle.path, signer)
    return result


def check_quality(result: dict, least: float) -> None:
    """Check that every file's images reach a coverage.

    Args:
        result: from `benchmark` with a data set.
        least: lowest coverage allowed, in [0, 1].

    Raises:
        GateFailed: the images of a file are below it.
    """
    for variant in result["files"]:
        coverage = result["quality"][variant]["coverage"]["value"]
        if not coverage >= least:
            raise GateFailed(
                f"{variant} of {result['bundle']}: coverage {coverage:.3f} is below {least:g}"
            )


def _costs(bundle, variant, progress, measure_speed):
    """Size of a file, and its speed with one and with all threads."""
    name = bundle.variants[variant]
    path = bundle.file(name)
    thread_counts = dict.fromkeys((1, os.cpu_count()))
    measured = []
    for i, threads in enumerate(thread_counts):
        progress(f"{variant}, speed", i, len(thread_counts))
        measured.append(measure_speed(path, threads))
    return {"file": name, "bytes": path.stat().st_size, "speed": measured}


def updated_card(bundle: Bundle, result: dict) -> dict:
    """The bundle's card with the metrics of a benchmark, but not yet its files and digest.

    Files whose images are worse than float32's get a note and are not recommended.
    """
    updated = bundle.card | {"metrics": _metrics(result)}
    if "quality" in result:
        updated["recommended"] = card.recommended(bundle.variants, _worse(result))
    return updated


def _metrics(result):
    metrics: dict[str, Any] = {}
    for source, found in result.get("quality", {}).items():
        metrics[source] = {metric: estimate["value"] for metric, estimate in found.items()}
    for variant, costs in result["files"].items():
        single = costs["speed"][0]
        metrics.setdefault(variant, {}).update(
            {key: single[key] for key in ("p50_ms", "load_ms", "memory_mb")}
        )
    for variant, ratio in _worse(result).items():
        metrics[variant]["note"] = f"its Fréchet distance is {ratio:.2f} times float32's"
    if "protocol" in result:
        metrics["protocol"] = _protocol_line(result["protocol"], result["machine"])
    return metrics


def _worse(result):
    """Variant -> its Fréchet distance over float32's, where that is too large."""
    quality = result.get("quality", {})
    if "float32" not in quality:
        return {}
    reference = quality["float32"]["frechet"]["value"]
    ratios = {
        variant: quality[variant]["frechet"]["value"] / reference for variant in result["files"]
    }
    return {variant: ratio for variant, ratio in ratios.items() if ratio > MAX_FRECHET_RATIO}


def _protocol_line(protocol, machine):
    images, features = protocol["data"], protocol["features"]
    return (
        f"{protocol['samples']:,} samples (seed {protocol['seed']}) against {images['test']:,} test"
        f" images of {images['name']}; {features['dimensions']} {features['name']} features"
        f" {features['hash'][:12]}; k {protocol['neighbours']}; times of `decode` at one thread"
        f" on {machine['architecture']}"
    )

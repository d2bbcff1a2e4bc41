#!/usr/bin/env python
"""Where `keras-ganvae evaluate` spends its time.

    python scripts/benchmark_evaluation.py RUN... [--samples 10000] [--importance-samples 1000]

Prints the seconds of each step for each run, and the peak memory of a process that measures
only that run. Writes nothing into the runs.
"""

import argparse
import collections
import contextlib
import json
import subprocess
import sys
import time

from keras_ganvae import runtime
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.runs.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--samples", type=int, default=Settings.samples)
    parser.add_argument("--importance-samples", type=int, default=Settings.importance_samples)
    parser.add_argument("--bound-images", type=int, default=Settings.bound_images)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args)))
        return
    options = [
        f"--samples={args.samples}",
        f"--importance-samples={args.importance_samples}",
        f"--bound-images={args.bound_images}",
    ]
    columns = []
    for run in args.runs:
        command = [sys.executable, __file__, run, "--one", *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        columns.append(json.loads(done.stdout))
    print(table(columns))


class Timer:
    """Sums up the seconds of named steps."""

    def __init__(self):
        self.seconds = collections.Counter()

    @contextlib.contextmanager
    def __call__(self, name):
        before = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - before


def measure(args):
    """Seconds of every step for one run, and the peak memory in MB."""
    timer = Timer()
    with timer("all"):
        run = measure_steps(args, timer)
    return {"run": run.path.name, "seconds": timer.seconds, "peak_mb": peak_memory()}


def measure_steps(args, timer):
    with timer("start-up, model and data"):
        runtime.start()
        from keras_ganvae.evaluation.floor import RealImages
        from keras_ganvae.evaluation.measure import draw, prior_names
        from keras_ganvae.metrics import likelihood, pixels
        from keras_ganvae.metrics.classes import class_statistics
        from keras_ganvae.metrics.distances import frechet_distance, kernel_distance
        from keras_ganvae.metrics.neighbours import (
            nearest_distances,
            precision_recall_density_coverage,
        )
        from keras_ganvae.metrics.smoothness import smoothness

        settings = Settings(
            samples=args.samples,
            importance_samples=args.importance_samples,
            bound_images=args.bound_images,
        )
        run = Run.open(args.runs[0])
        model, dataset = run.model(), run.dataset()
    with timer("features"):
        real = RealImages.of(dataset, settings)
        real_features, real_classes = real.test
    for prior in map(run.prior, prior_names(run)):
        with timer("samples"):
            images = draw(run, model, prior, settings)
        with timer("features"):
            features, classes = real.features.extract(images)
        with timer("Fréchet distance"):
            frechet_distance(features, real_features)
        with timer("kernel distance"):
            kernel_distance(features, real_features)
        with timer("precision ... coverage"):
            precision_recall_density_coverage(real_features, features, settings.neighbours)
        if classes is not None:
            with timer("classes"):
                class_statistics(classes, real_classes, settings.seed)
        with timer("pixels"):
            for statistic in (pixels.sharpness, pixels.isolated_pixels, pixels.grey_share):
                statistic(images)
        with timer("nearest training image"):
            nearest_distances(images.reshape(len(images), -1) / 255, real.train_pixels)
        with timer("smoothness"):
            smoothness(model, prior, settings.seed)
    with timer("floor"):
        assert real.floor
    if run.is_variational:
        with timer("likelihood"):
            likelihood.measure(
                model,
                real.test_images,
                binarization="stochastic",
                importance_samples=settings.importance_samples,
                bound_images=settings.bound_images,
                seed=settings.seed,
            )
    return run


def peak_memory():
    """Peak resident memory of this process in MB."""
    import resource  # POSIX

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(columns):
    names = list(dict.fromkeys(name for column in columns for name in column["seconds"]))
    names.remove("all")
    lines = ["seconds".ljust(26) + "".join(f"{column['run']:>12}" for column in columns)]
    for name in [*names, "all"]:
        cells = [column["seconds"].get(name) for column in columns]
        lines.append(
            name.ljust(26)
            + "".join(f"{'-' if cell is None else format(cell, '.1f'):>12}" for cell in cells)
        )
    lines.append("peak memory, MB".ljust(26) + "".join(f"{c['peak_mb']:>12,.0f}" for c in columns))
    return "\n".join(lines)


if __name__ == "__main__":
    main()

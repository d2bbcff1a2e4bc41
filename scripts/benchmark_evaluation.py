#!/usr/bin/env python
"""Where the time of `keras-ganvae evaluate` goes.

    python scripts/benchmark_evaluation.py RUN... [--samples 10000] [--importance-samples 1000]

One line for each piece of a measurement, in seconds, for each run, with the peak memory of
a process that measured that run alone. Nothing is written to the runs.
"""

import argparse
import json
import resource
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


def measure(args):
    """Seconds of every piece for one run, and the peak memory in MB."""
    start = time.perf_counter()
    runtime.start()
    from keras_ganvae.evaluation import measure as measuring
    from keras_ganvae.evaluation.floor import Reference
    from keras_ganvae.metrics import likelihood
    from keras_ganvae.metrics.classes import measure as classes
    from keras_ganvae.metrics.distances import frechet_estimate, kernel_distance
    from keras_ganvae.metrics.neighbours import manifold, nearest_distances
    from keras_ganvae.metrics.pixels import grey_share, isolated_pixels, sharpness
    from keras_ganvae.paper.experiments import smoothness

    settings = Settings(
        samples=args.samples,
        importance_samples=args.importance_samples,
        bound_images=args.bound_images,
    )
    run = Run.open(args.runs[0])
    model, dataset = run.model(), run.dataset()
    seconds = {"start, model and data": time.perf_counter() - start}

    def timed(name, work):
        before = time.perf_counter()
        result = work()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - before
        return result

    reference = timed("features", lambda: Reference.of(dataset, settings))
    test, known = timed("features", lambda: reference.test)
    for prior in measuring.priors(run):
        images = timed("draw", lambda: measuring.draw(run, model, prior, settings))  # noqa: B023
        found, probabilities = timed("features", lambda: reference.features.extract(images))  # noqa: B023
        pieces = {
            "Fréchet": lambda: frechet_estimate(found, test),  # noqa: B023
            "kernel": lambda: kernel_distance(found, test),  # noqa: B023
            "precision ... coverage": lambda: manifold(test, found, settings.neighbours),  # noqa: B023
            "classes": lambda: classes(probabilities, known, settings.seed),  # noqa: B023
            "pixels": lambda: [
                each(images)  # noqa: B023
                for each in (sharpness, isolated_pixels, grey_share)
            ],
            "nearest training image": lambda: nearest_distances(
                images.reshape(len(images), -1) / 255,  # noqa: B023
                reference.training_pixels,
            ),
            "smoothness": lambda: smoothness(model, run.prior(prior), settings.seed),  # noqa: B023
        }
        for name, work in pieces.items():
            timed(name, work)
    timed("floor", lambda: reference.floor)
    if run.is_variational:
        timed(
            "likelihood",
            lambda: likelihood.measure(
                model,
                dataset.test.images,
                binarization="stochastic",
                importance_samples=settings.importance_samples,
                bound_images=settings.bound_images,
                seed=settings.seed,
            ),
        )
    seconds["all"] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"run": run.path.name, "seconds": seconds, "peak_mb": peak}


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

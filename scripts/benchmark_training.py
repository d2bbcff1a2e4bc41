#!/usr/bin/env python
"""Time the training step of each architecture and preset against a matrix product.

    python scripts/benchmark_training.py [--seconds 5] [--jit {auto,on,off}] [--json]

Prints parameters, multiply-adds per image of one step (counted from its graph), images
per second, GFLOP/s, and that as a share of a 2048 x 2048 float32 matrix product. The
product is timed before and after each model, in the same process, and the faster of the
two is the yardstick: the machine's speed drifts, the share drifts less.
"""

import argparse
import json
import statistics
import time

from keras_ganvae import architectures, runtime
from keras_ganvae.config import PRESETS, TrainConfig

IMAGE_SHAPE = (28, 28, 1)
SIDE = 2048
COLUMNS = (
    ("arch", "{:7}"),
    ("preset", "{:8}"),
    ("jit", "{!s:6}"),
    ("batch", "{:>5}"),
    ("parameters", "{:>10,}"),
    ("mega_multiply_adds", "{:>6.2f}"),
    ("images_per_second", "{:>7,.0f}"),
    ("gflops", "{:>6.1f}"),
    ("share_of_product", "{:>5.0%}"),
)
HEADINGS = ("arch", "preset", "XLA", "batch", "parameters", "M m-a", "img/s", "GFLOPS", "share")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of timing for each model")
    parser.add_argument("--jit", choices=("auto", "on", "off"), default="auto", help="XLA")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    runtime.start()
    rows = [
        measure(arch, preset, args.jit, args.seconds)
        for preset in PRESETS
        for arch in architectures.names()
    ]
    print(json.dumps(rows, indent=2) if args.json else table(rows))


def measure(arch, preset, jit, seconds):
    """One row: a model's step on random images, between two timings of the product."""
    import numpy as np
    import tensorflow as tf

    from keras_ganvae.training.cost import multiply_adds
    from keras_ganvae.training.optimizers import compile_model, use_xla

    config = architectures.resolve(TrainConfig(arch=arch, preset=preset, jit=jit))
    runtime.prepare(config.seed, config.precision, use_xla(config))
    model = architectures.build(config, IMAGE_SHAPE)
    compile_model(model, config, steps_per_epoch=1000)
    cost = multiply_adds(model, IMAGE_SHAPE)
    pixels = np.random.default_rng(0).random((config.batch_size, *IMAGE_SHAPE), np.float32)
    batches = iter(tf.data.Dataset.from_tensors(pixels).repeat())
    step = model.make_train_function() or model.train_function
    before = product_gflops()
    # The logs are read, as `fit` reads them: TensorFlow may otherwise run ahead.
    per_step = typical_seconds(lambda: float(step(batches)[model.means[0].name]), seconds)
    product = max(before, product_gflops())
    images_per_second = config.batch_size / per_step
    gflops = 2 * cost * images_per_second / 1e9
    return {
        "arch": arch,
        "preset": preset,
        "jit": jit,
        "batch": config.batch_size,
        "parameters": sum(network.count_params() for network in model.networks),
        "mega_multiply_adds": cost / 1e6,
        "images_per_second": images_per_second,
        "gflops": gflops,
        "product_gflops": product,
        "share_of_product": gflops / product,
    }


def product_gflops():
    """GFLOP/s of a float32 matrix product through TensorFlow."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal((SIDE, SIDE), seed=(0, 0))
    product = tf.function(tf.matmul)
    return 2 * SIDE**3 / typical_seconds(lambda: product(matrix, matrix).numpy(), 1.0) / 1e9


def typical_seconds(work, seconds):
    """The median time of one call, after three that are not counted."""
    for _ in range(3):
        work()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def table(rows):
    formats = "  ".join(form for _, form in COLUMNS)
    widths = [len(form.format(rows[0][name])) for name, form in COLUMNS]
    head = "  ".join(
        f"{heading:{'<' if i < 3 else '>'}{width}}"
        for i, (heading, width) in enumerate(zip(HEADINGS, widths, strict=True))
    )
    body = [formats.format(*(row[name] for name, _ in COLUMNS)) for row in rows]
    product = statistics.median(row["product_gflops"] for row in rows)
    return "\n".join([head, *body, f"matrix product: {product:.0f} GFLOP/s (median)"])


if __name__ == "__main__":
    main()

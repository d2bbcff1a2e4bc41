#!/usr/bin/env python
"""Benchmark checkpoints: the share of the training time that saving them takes.

    python scripts/benchmark_saving.py [--folder DIR] [--json]

Each architecture's default preset alternates between steps on random images and saving a
checkpoint. A run saves one after each epoch (of MNIST's 55,000 training images) and every five
minutes inside an epoch, so a shorter epoch saves once.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

from keras_ganvae import architectures, runtime
from keras_ganvae.config import TrainConfig

IMAGE_SHAPE = (28, 28, 1)
TRAINING_IMAGES = 55_000
INTERVAL_SECONDS = 300
ROUNDS = 10
STEPS = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=".", help="a folder on the disk to measure")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    runtime.start()
    rows = [measure(arch, args.folder) for arch in architectures.names()]
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print("arch        MB     save ms  step ms  epoch s   share")
    for row in rows:
        print(
            f"{row['arch']:7} {row['megabytes']:8.1f} {row['save_ms']:8.1f} {row['step_ms']:8.2f}"
            f" {row['epoch_seconds']:8.1f} {row['share']:7.2%}"
        )


def measure(arch, folder):
    import numpy as np
    import tensorflow as tf

    from keras_ganvae.data.pipeline import steps_per_epoch
    from keras_ganvae.data.position import Position
    from keras_ganvae.runs import checkpoints
    from keras_ganvae.training.optimizers import compile_model

    config = architectures.resolve(TrainConfig(arch=arch))
    runtime.prepare(config.seed, config.precision)
    model = architectures.build(config, IMAGE_SHAPE)
    compile_model(model, config, steps_per_epoch=1000)
    pixels = np.random.default_rng(0).random((config.batch_size, *IMAGE_SHAPE), np.float32)
    batches = iter(tf.data.Dataset.from_tensors(pixels).repeat())
    step = model.make_train_function() or model.train_function
    step_times, save_times = [], []
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for i in range(ROUNDS):
            for _ in range(STEPS):
                step_times.append(seconds(lambda: float(step(batches)[model.metrics[0].name])))
            save_times.append(
                seconds(lambda i=i: checkpoints.save(Path(temporary), model, Position(i), {}, ""))
            )
        megabytes = sum(file.stat().st_size for file in Path(temporary).rglob("*")) / 1e6
    step_seconds, save_seconds = statistics.median(step_times), statistics.median(save_times)
    epoch_seconds = step_seconds * steps_per_epoch(TRAINING_IMAGES, config.batch_size)
    saves = math.ceil(epoch_seconds / INTERVAL_SECONDS)
    return {
        "arch": arch,
        "megabytes": megabytes / checkpoints.KEPT,
        "save_ms": 1e3 * save_seconds,
        "step_ms": 1e3 * step_seconds,
        "epoch_seconds": epoch_seconds,
        "share": saves * save_seconds / epoch_seconds,
    }


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

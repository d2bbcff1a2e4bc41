#!/usr/bin/env python
"""Measure the time to the first training step on a large folder, and the peak memory.

    python scripts/benchmark_large_folder.py [--images N] [--size N] [--grey] [--folder DIR]
                                             [--caches memory,disk,...] [--json]

Writes a folder of small PNG files, trains a VAE on it for a few steps with each `--cache` in a
new process, and deletes the folder and the cache. "disk" is measured twice: the second process
reads the file that the first has written. Times count from the start of the process and
include the import of TensorFlow; "import" measures that alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CACHES = "import,memory,disk,disk,none,auto"
STEPS = 200
BLOCK = 4  # pixels of one colour, so that files are about as large as drawings
IN_A_FOLDER = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=32, help="pixels, a multiple of 4")
    parser.add_argument("--grey", action="store_true", help="one channel instead of three")
    parser.add_argument("--folder", default=".", help="where to write the images and the cache")
    parser.add_argument("--caches", default=CACHES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*args.measure)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        root = Path(temporary, "images")
        start = time.perf_counter()
        make(root, args.images, args.size, 1 if args.grey else 3)
        took = time.perf_counter() - start
        print(f"wrote {args.images:,} images in {took:.0f} s", file=sys.stderr)
        rows = []
        for cache in args.caches.split(","):
            rows.append(run(cache, root, temporary))
            if not args.json:
                print(table_row(rows[-1], header=len(rows) == 1), flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))


def table_row(row, header):
    """A row of the table, with the header above it if `header`."""
    titles = "cache   load s  first step s  peak MB  images/s  load (1, 5, 15 minutes)\n"
    return (titles if header else "") + (
        f"{row['cache']:6} {row['load_seconds']:7.1f} {row['first_step_seconds']:13.1f}"
        f" {row['peak_megabytes']:8.0f} {row['images_per_second']:9.0f}  {row['machine']}"
    )


def make(root, count, size, channels):
    """Write `count` PNG files of random coloured blocks, a thousand to a sub-folder."""
    random = np.random.default_rng(0)
    for first in range(0, count, IN_A_FOLDER):
        files = min(IN_A_FOLDER, count - first)
        blocks = random.integers(0, 256, (files, size // BLOCK, size // BLOCK, channels), np.uint8)
        pixels = blocks.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)
        folder = root / f"{first // IN_A_FOLDER:04}"
        folder.mkdir(parents=True)
        for number in range(files):
            image = Image.fromarray(pixels[number].squeeze())
            image.save(folder / f"{number:04}.png", compress_level=1)


def run(cache, root, temporary):
    """Measure in a new process."""
    print(f"--cache {cache}", file=sys.stderr)
    environment = os.environ | {
        "XDG_CACHE_HOME": str(Path(temporary, "cache")),
        "STARTED": repr(time.time()),
    }
    done = subprocess.run(
        [sys.executable, __file__, "--measure", cache, str(root)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def measure(cache, root):
    """Load the folder, build a VAE and train `STEPS` steps; return the measurements."""
    import resource  # POSIX only

    from keras_ganvae import TrainConfig, architectures, data, runtime

    started = float(os.environ["STARTED"])
    runtime.start()
    import keras

    from keras_ganvae.data.pipeline import Feed
    from keras_ganvae.data.position import Position
    from keras_ganvae.distributed.placement import ONE_DEVICE
    from keras_ganvae.training import loop
    from keras_ganvae.training.setup import build_model

    row = {"cache": cache, "load_seconds": 0, "images_per_second": 0}
    if cache != "import":
        start = time.time()
        config = architectures.resolve(TrainConfig(arch="vae", binarize="none"))
        dataset = data.load(f"folder:{root}", cache=cache)
        row["load_seconds"] = time.time() - start
        model = build_model(config, dataset)
        feed = Feed(dataset.train.images, config.batch_size)
        loop.install(model, feed, feed, "auto", ONE_DEVICE)
        steps = model.steps_per_execution
        times = []
        model.fit(
            feed.training_blocks(steps, 0, Position()),
            steps_per_epoch=STEPS,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: times.append(time.time())
                )
            ],
            shuffle=False,  # the pipeline does
            verbose=0,
        )
        rate = (len(times) - 1) * steps * config.batch_size / (times[-1] - times[0])
        row["images_per_second"] = rate
    row["first_step_seconds"] = (times[0] if cache != "import" else time.time()) - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row["peak_megabytes"] = peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
    row["machine"] = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return row


if __name__ == "__main__":
    main()

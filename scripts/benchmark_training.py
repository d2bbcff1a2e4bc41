#!/usr/bin/env python
"""Benchmark the training step of each architecture, and distribution strategies.

    python scripts/benchmark_training.py [--seconds 5] [--json] [--presets ARCH:PRESET ...]
        [--only steps|replicas] [--gpu-tflops F] [--interconnect-gb F] [--latency-us F]

Prints three tables.

Steps: weights, MACs per image of a training step (counted in its graph), images per second of
one call from Python for each step, and relative to it the loop that `fit` runs without and with
XLA; what `--jit auto` chooses of these, the loop's steps per call (K), its GFLOP/s, and their
share of a 2048 x 2048 float32 matrix product. All with the input pipeline, timed in turn. The
product is timed before and after each model in the same process; the faster time is the
reference, since the machine's speed drifts.

Replicas: throughput of one device, of two replicas in one process, and of two worker
processes, on the same cores with the same global batch. The ratio is the cost of the strategy.
One device is timed first and last; their mean is the reference. The overhead (all-reduce, an
optimizer step per replica) does not grow with the batch, so a small and a large batch are
measured.

Plan: the throughput of more GPUs, computed from the first table and stated assumptions. Not a
measurement.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

from keras_ganvae import architectures, runtime
from keras_ganvae.config import PRESETS, TrainConfig
from keras_ganvae.runtime import THREADS

IMAGE_SHAPE = (28, 28, 1)
SIDE = 2048
COLUMNS = (
    ("arch", "{:5}"),
    ("preset", "{:7}"),
    ("batch", "{:>5}"),
    ("parameters", "{:>9,}"),
    ("mega_multiply_adds", "{:>6.2f}"),
    ("images_per_second_by_step", "{:>7,.0f}"),
    ("loop_ratio", "{:>4.2f}"),
    ("xla_ratio", "{:>4.2f}"),
    ("jit", "{:>3}"),
    ("steps_per_execution", "{:>4}"),
    ("gflops", "{:>6.1f}"),
    ("share_of_product", "{:>5.0%}"),
)
HEADINGS = (
    *("arch", "preset", "batch", "weights", "M MACs", "by step", "loop", "XLA", "jit", "K"),
    *("GFLOPS", "share"),
)
GPUS = (1, 8, 64)
WARM_UP = 3
EPOCH = 8  # batches, one execution
NOMINAL_STEP = 1e-4  # seconds per image, to convert --seconds into a number of steps
FORMULA = """\
Plan, not measured: n GPUs of {tflops:g} TFLOP/s, each with the batch of the table, at the share
of the product measured here; ring all-reduce over {gigabytes:g} GB/s and {latency:g} us a hop.
images/s = n B / (2 M B / (share F) + 2 (n - 1) / n G / W + 2 (n - 1) L), B images of M MACs,
F FLOP/s, G bytes of gradients, W bytes/s, L seconds. Kernel launches are left out; they bound
models this small."""


def main():
    args = parse()
    runtime.start()
    if args.strategy:
        print(json.dumps(throughputs(args)))
        return
    steps, replicas = [], []
    if args.only != "replicas":
        steps = [
            measure(arch, preset, args.seconds)
            for preset in PRESETS
            for arch in architectures.names()
            if f"{arch}:{preset}" in args.presets
        ]
    if args.only != "steps":
        replicas = [
            row for batch in args.batches for row in compare_strategies(batch, args.seconds)
        ]
    plans = [plan(row, args) for row in steps if row["preset"] == "default"]
    if args.json:
        print(json.dumps({"steps": steps, "replicas": replicas, "plan": plans}, indent=2))
        return
    tables = ((steps, steps_table), (replicas, replicas_table), (plans, plan_table))
    assumed = {
        "tflops": args.gpu_tflops,
        "gigabytes": args.interconnect_gb,
        "latency": args.latency_us,
    }
    print("\n\n".join(table(rows) for rows, table in tables if rows))
    if plans:
        print(FORMULA.format(**assumed))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="timing per model (default 5)")
    presets = [f"{arch}:{preset}" for preset in PRESETS for arch in architectures.names()]
    parser.add_argument(
        "--presets", nargs="+", choices=presets, default=presets, help="rows of the first table"
    )
    parser.add_argument("--only", choices=("steps", "replicas"), help="print one table")
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=[128, 1024],
        help="global batch sizes",
    )
    parser.add_argument("--gpu-tflops", type=float, default=19.5, help="float32 TFLOP/s of a GPU")
    parser.add_argument("--interconnect-gb", type=float, default=25.0, help="interconnect per GPU")
    parser.add_argument("--latency-us", type=float, default=5.0, help="latency of a hop")
    parser.add_argument("--json", action="store_true")
    # For the subprocesses that it starts, one per strategy and worker.
    parser.add_argument("--strategy", help=argparse.SUPPRESS)
    parser.add_argument("--workers", help=argparse.SUPPRESS)
    parser.add_argument("--worker-index", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(arch, preset, seconds):
    """A row of the first table: a model's step on random images."""
    import numpy as np

    from keras_ganvae.data.pipeline import Feed, training_batches
    from keras_ganvae.data.position import Position
    from keras_ganvae.distributed.placement import ONE_DEVICE
    from keras_ganvae.training import loop
    from keras_ganvae.training.compilation import LEAST_SPEEDUP
    from keras_ganvae.training.cost import multiply_adds
    from keras_ganvae.training.optimizers import compile_model

    config = architectures.resolve(TrainConfig(arch=arch, preset=preset))
    runtime.prepare(config.seed, config.precision)
    model = architectures.build(config, IMAGE_SHAPE)
    compile_model(model, config, steps_per_epoch=1000)
    cost = multiply_adds(model, IMAGE_SHAPE)
    batch = config.batch_size
    count = 20_000 // batch * batch  # whole batches
    images = np.random.default_rng(0).integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)
    model.make_train_function()
    by_step = model.train_function
    feed = Feed(images, batch)
    loop.install(model, feed, feed, "auto", ONE_DEVICE)
    steps = model.steps_per_execution
    model.steps_per_execution = 1  # of `by_step`
    batches = iter(training_batches(images, batch, seed=0, start=Position()))
    compiled = loop.Loop(model, model.train_step, feed, xla=True)
    blocks = [iter(feed.training_blocks(steps, 0, Position())) for _ in range(2)]
    name = model.metrics[0].name

    def run_by_step():
        for _ in range(steps):
            float(by_step(batches)[name])  # reading the logs, as `fit` does, waits for the step

    before = product_gflops()
    # The last execution of an epoch has fewer steps, the median has not.
    times = typical_seconds(
        (
            run_by_step,
            lambda: float(model.train_function(blocks[0])[name]),
            lambda: float(compiled(blocks[1])[name]),
        ),
        seconds,
    )
    product = max(before, product_gflops())
    rates = [steps * batch / each for each in times]
    by_step_rate, plain_rate, xla_rate = rates
    jit = xla_rate >= LEAST_SPEEDUP * plain_rate
    rate = xla_rate if jit else plain_rate
    gflops = 2 * cost * rate / 1e9
    return {
        "arch": arch,
        "preset": preset,
        "jit": "on" if jit else "off",
        "batch": batch,
        "parameters": sum(network.count_params() for network in model.networks),
        "gradient_bytes": 4 * sum(w.shape.num_elements() for w in model.trainable_variables),
        "mega_multiply_adds": cost / 1e6,
        "images_per_second_by_step": by_step_rate,
        "images_per_second_plain": plain_rate,
        "images_per_second_xla": xla_rate,
        "images_per_second": rate,
        "loop_ratio": plain_rate / by_step_rate,
        "xla_ratio": xla_rate / by_step_rate,
        "steps_per_execution": steps,
        "gflops": gflops,
        "product_gflops": product,
        "share_of_product": gflops / product,
    }


def product_gflops():
    """GFLOP/s of a float32 matrix product in TensorFlow."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal((SIDE, SIDE), seed=(0, 0))
    product = tf.function(tf.matmul)
    (seconds,) = typical_seconds((lambda: product(matrix, matrix).numpy(),), 1.0)
    return 2 * SIDE**3 / seconds / 1e9


def typical_seconds(works, seconds):
    """The median time of each call, made in turn, after three warm-up calls."""
    rounds, end = [], None
    while end is None or time.perf_counter() < end:
        rounds.append([timed(work) for work in works])
        if len(rounds) == WARM_UP:
            end = time.perf_counter() + seconds
    return [statistics.median(times) for times in zip(*rounds[WARM_UP:], strict=True)]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare_strategies(batch, seconds):
    """A row per architecture: the throughput of each strategy, and the ratios."""
    first = started("single", batch, seconds)[0]
    mirrored = started("mirrored", batch, seconds)[0]
    workers = started("multi-worker", batch, seconds, 2)
    last = started("single", batch, seconds)[0]
    rows = []
    for arch in architectures.names():
        one = (first[arch] + last[arch]) / 2
        several = {"two replicas": mirrored[arch], "two workers": min(w[arch] for w in workers)}
        ratios = {f"{name} / one": value / one for name, value in several.items()}
        rows.append({"arch": arch, "batch": batch, "one device": one, **several, **ratios})
    return rows


def started(strategy, batch, seconds, count=1):
    """The results of `count` processes of a strategy."""
    command = [sys.executable, __file__, "--strategy", strategy, "--batches", str(batch)]
    command += ["--seconds", str(seconds)]
    environment = os.environ
    if count > 1:
        with socket.socket() as one, socket.socket() as two:
            for each in (one, two):
                each.bind(("127.0.0.1", 0))
            ports = [each.getsockname()[1] for each in (one, two)]
        command += ["--workers", ",".join(f"127.0.0.1:{port}" for port in ports)]
        environment = {THREADS: str(max(1, os.cpu_count() // count))} | environment
    processes = [
        subprocess.Popen(
            [*command, *(["--worker-index", str(i)] if count > 1 else [])],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for i in range(count)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"{strategy} failed, for the reason above")
    return [json.loads(output) for output in outputs]


def throughputs(args):
    """The throughput of each architecture's default preset under one strategy."""
    import dataclasses
    import functools

    import numpy as np

    from keras_ganvae.data import Split
    from keras_ganvae.data.position import Position
    from keras_ganvae.distributed.cluster import Cluster
    from keras_ganvae.training import loop
    from keras_ganvae.training.setup import build_model, feeds, prepare

    config = TrainConfig(
        arch="vae",
        dataset="synthetic",
        strategy=args.strategy,
        replicas=2 if args.strategy == "mirrored" else None,
        device="cpu",
        limit=5000,
    )
    setup = prepare(config, Cluster.of(args.workers, args.worker_index))
    batch = args.batches[0]
    # Whole batches, so that the median is of equal steps.
    images = np.resize(setup.dataset.train.images, (EPOCH * batch, *IMAGE_SHAPE))
    setup = dataclasses.replace(
        setup, dataset=dataclasses.replace(setup.dataset, train=Split(images))
    )
    found = {}
    for arch in architectures.names():
        config = architectures.resolve(TrainConfig(arch=arch, batch_size=batch))
        model = build_model(config, setup.dataset, setup.placement)
        training, validation = feeds(dataclasses.replace(setup, config=config))
        loop.install(model, training, validation, EPOCH, setup.placement)
        make = functools.partial(training.training_blocks, EPOCH, config.seed, Position())
        blocks = iter(setup.placement.distributed(make))
        name = model.metrics[0].name
        found[arch] = (EPOCH * config.batch_size) / seconds_of_calls(
            lambda run=model.train_function, fed=blocks, name=name: float(run(fed)[name]),
            max(1, round(args.seconds / (NOMINAL_STEP * EPOCH * config.batch_size))),
        )
    return found


def seconds_of_calls(call, count):
    """The median time of `count` calls; all workers must make the same number."""
    times = [timed(call) for _ in range(WARM_UP + count)]
    return statistics.median(times[WARM_UP:])


def plan(row, args):
    """The throughput of 1, 8 and 64 GPUs; see FORMULA."""
    batch, gradients = row["batch"], row["gradient_bytes"]
    compute = 2e6 * row["mega_multiply_adds"] * batch
    compute /= row["share_of_product"] * args.gpu_tflops * 1e12
    found = {"arch": row["arch"], "batch": batch, "gradient_bytes": gradients}
    for n in GPUS:
        exchange = 2 * (n - 1) / n * gradients / (1e9 * args.interconnect_gb)
        exchange += 2 * (n - 1) * 1e-6 * args.latency_us
        found[f"{n} GPUs"] = n * batch / (compute + exchange)
    return found


def steps_table(rows):
    formats = "  ".join(form for _, form in COLUMNS)
    widths = [len(form.format(rows[0][name])) for name, form in COLUMNS]
    head = "  ".join(
        f"{heading:{'<' if i < 2 else '>'}{width}}"
        for i, (heading, width) in enumerate(zip(HEADINGS, widths, strict=True))
    )
    body = [formats.format(*(row[name] for name, _ in COLUMNS)) for row in rows]
    product = statistics.median(row["product_gflops"] for row in rows)
    return "\n".join([head, *body, f"matrix product: {product:.0f} GFLOP/s (median)"])


def replicas_table(rows):
    head = "arch  batch  one device  two replicas   ratio  two workers   ratio  (images/s)"
    body = [
        f"{row['arch']:5} {row['batch']:5} {row['one device']:11,.0f} {row['two replicas']:13,.0f}"
        f" {row['two replicas / one']:7.2f} {row['two workers']:12,.0f}"
        f" {row['two workers / one']:7.2f}"
        for row in rows
    ]
    return "\n".join([head, *body])


def plan_table(rows):
    head = "arch   batch  gradients, MB" + "".join(f"{n:>12} GPU" for n in GPUS) + "  (images/s)"
    body = [
        f"{row['arch']:5} {row['batch']:6} {row['gradient_bytes'] / 1e6:14.2f}"
        + "".join(f"{row[f'{n} GPUs']:16,.0f}" for n in GPUS)
        for row in rows
    ]
    return "\n".join([head, *body])


if __name__ == "__main__":
    main()

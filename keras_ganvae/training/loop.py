"""The loop that `fit` calls: several steps of a model in one graph.

A call from Python for each step would leave a fast device idle. A `Loop` takes the place of
the function that Keras makes for `fit`: it runs a block of K batches in one `tf.while_loop`
over `train_step`, and gathers each batch on the device. K changes no result, so it may be
another one after a resume.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganvae.data.pipeline import Block, Feed
from keras_ganvae.data.position import Position
from keras_ganvae.distributed.cluster import agreed
from keras_ganvae.distributed.placement import Placement
from keras_ganvae.runs import checkpoints

log = logging.getLogger("keras_ganvae")

# Short enough that signals, checkpoints and progress are prompt, long enough that a call costs
# nothing.
SECONDS_OF_A_CALL = 0.25
SECONDS_OF_A_TRIAL = 0.05  # the shortest that is trusted
ROUNDS_OF_A_TRIAL = 5


class Loop:
    """Runs the blocks of one execution, as Keras calls a model's `train_function`.

    Args:
        model: a compiled model.
        step: its `train_step` or `test_step`.
        feed: where batches come from.
        xla: whether XLA compiles the steps.
    """

    def __init__(self, model: Any, step: Callable[[Any], dict], feed: Feed, xla: bool = False):
        # XLA compiles a convolution in a loop to naive code for a CPU: the gradient of a kernel
        # took 50 times as long (jax-ml/jax#12868).
        one_by_one = xla and _convolves_on_cpu(model)
        self.model = model
        self.step = tf.function(step, autograph=False, jit_compile=True) if one_by_one else step
        self.feed = feed
        self.strategy = model.distribute_strategy
        # Each replica has its own copy, on its device.
        self.constant = self.strategy.experimental_distribute_values_from_function(
            lambda context: feed.constant()
        )
        self.run = tf.function(self._run, autograph=False, jit_compile=xla and not one_by_one)

    def __call__(self, iterator: Iterator[Block]) -> dict[str, tf.Tensor]:
        """Run the steps of one execution.

        Args:
            iterator: of blocks from `feed`, distributed to the replicas.

        Returns:
            Means of the epoch so far, by logged name.
        """
        more = True
        while more:
            block = next(iterator)
            # Equal on all replicas.
            steps, total, more = map(self.first, (block.steps, block.total, block.more))
            logs = self.run(block.rows, steps, total)
        return logs

    def _run(self, rows, steps, total):
        def body(i):
            self.strategy.run(self._one_step, args=(self.constant, rows, i, total))
            return i + 1

        # Steps follow each other; bookkeeping for more than one at a time slows them down.
        tf.while_loop(lambda i: i < steps, body, [tf.constant(0)], parallel_iterations=1)
        logs = self.strategy.run(self.model.get_metrics_result)
        return {name: self.first(value) for name, value in logs.items()}

    def _one_step(self, constant, rows, i, total):
        images = self.feed.batch(constant, rows[i])
        several = self.strategy.num_replicas_in_sync > 1
        self.step((images, total) if several else images)

    def first(self, value: Any) -> Any:
        """A value that is equal on all replicas."""
        return self.strategy.experimental_local_results(value)[0]


def _convolves_on_cpu(model):
    layers = [layer for network in model.networks for layer in network.layers]
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    return not tf.config.get_visible_devices("GPU") and any(isinstance(x, kinds) for x in layers)


def install(
    model: Any,
    training: Feed,
    validation: Feed,
    steps: int | str,
    placement: Placement,
    xla: bool = False,
) -> None:
    """Make `fit` run K steps of a model at a time: sets its functions and `steps_per_execution`.

    Args:
        model: a compiled model; some steps may be taken and undone.
        steps: K; "auto" measures which K makes a call last `SECONDS_OF_A_CALL`.
        xla: whether XLA compiles the training steps.
    """
    model.train_function = Loop(model, model.train_step, training, xla)
    model.test_function = Loop(model, model.test_step, validation)
    if steps == "auto":
        seconds = seconds_of_a_step(model, placement)
        steps = min(training.steps, max(1, round(SECONDS_OF_A_CALL / seconds)))
        log.info("steps per execution: %d (%.3g ms each)", steps, 1e3 * seconds)
    model.steps_per_execution = int(steps)


def seconds_of_a_step(model: Any, placement: Placement) -> float:
    """The time of a training step, measured with the model's `Loop` on real images.

    The model is as before afterwards. The graph that this traces is the one that `fit` runs.
    """
    with unchanged(model):
        trial = Trial(model.train_function, placement)
        steps = trial.steps()
        return trial.seconds(steps) / steps


def speedup_of_xla(model: Any, feed: Feed, placement: Placement) -> float:
    """The throughput of training steps with XLA relative to without, measured in turn.

    The model is as before afterwards.
    """
    with unchanged(model):
        plain, compiled = (
            Trial(Loop(model, model.train_step, feed, xla), placement) for xla in (False, True)
        )
        steps = plain.steps()
        rounds = [(plain.seconds(steps), compiled.seconds(steps)) for _ in range(ROUNDS_OF_A_TRIAL)]
    without, with_xla = map(min, zip(*rounds, strict=True))
    return without / with_xla


class Trial:
    """Times steps of a `Loop` on real images; the caller undoes them.

    Args:
        loop: traced here.
        placement: the devices; all workers take the same steps.
    """

    def __init__(self, loop: Loop, placement: Placement):
        self.loop = loop
        self.strategy = placement.strategy
        feed = loop.feed
        make = functools.partial(feed.training_blocks, feed.width, 0, Position())
        block = next(iter(placement.distributed(make)))
        self.rows = block.rows
        self.most, self.total = (int(loop.first(each)) for each in (block.steps, block.total))
        self.seconds(1)

    def seconds(self, steps: int) -> float:
        """The time that steps take."""
        start = time.perf_counter()
        logs = self.loop.run(self.rows, tf.constant(steps), tf.constant(self.total))
        float(next(iter(logs.values())))  # waits for the steps
        return agreed(self.strategy, time.perf_counter() - start)

    def steps(self) -> int:
        """How many steps take `SECONDS_OF_A_TRIAL`."""
        steps = 1
        while (seconds := self.seconds(steps)) < SECONDS_OF_A_TRIAL and steps < self.most:
            wanted = round(1.5 * steps * SECONDS_OF_A_TRIAL / seconds)
            steps = min(self.most, max(2 * steps, wanted))
        return steps


@contextlib.contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Undo what training steps change."""
    variables = checkpoints.variables(model)
    values = [np.array(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

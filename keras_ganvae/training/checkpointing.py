"""When checkpoints are saved: after each epoch, every few minutes, and on a signal."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_ganvae import runtime
from keras_ganvae.data.position import Position
from keras_ganvae.errors import Interrupted
from keras_ganvae.runs import checkpoints
from keras_ganvae.runs.run import Run


class KeepMetrics(keras.callbacks.Callback):
    """Restores the metrics of a partly trained epoch, which `fit` resets at its start."""

    def __init__(self, model: Any):
        super().__init__()
        self.values = [np.array(variable) for variable in model.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in zip(self.model.metrics_variables, self.values, strict=True):
            variable.assign(value)


class CheckpointSaver(keras.callbacks.Callback):
    """Saves checkpoints. Must be the last callback, so that it saves the others' new state.

    Args:
        run: the run to save to.
        fingerprint: of the data set.
        steps: batches in an epoch.
        position: where `fit` starts.
        stateful: callbacks with a `state`, saved under their `key`.
        minutes: time between checkpoints inside an epoch.
    """

    def __init__(
        self,
        run: Run,
        fingerprint: str,
        steps: int,
        position: Position,
        stateful: Sequence[Any],
        minutes: float,
    ):
        super().__init__()
        self.run = run
        self.fingerprint = fingerprint
        self.steps = steps
        self.position = position
        self.stateful = stateful
        self.seconds = 60 * minutes
        self.saved_at = time.monotonic()
        self.signal: int | None = None

    @contextlib.contextmanager
    def catching_signals(self) -> Iterator[None]:
        """On SIGINT or SIGTERM save a checkpoint and raise `Interrupted`; a second one kills."""
        before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self.signal is not None:
            # No clean-up: the last checkpoint is valid whatever is being written.
            runtime.write_stderr("\nstopped at once; the last checkpoint remains\n")
            os._exit(130)
        self.signal = number
        runtime.write_stderr(
            "\nfinishing the step and saving a checkpoint; repeat to stop at once\n"
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.first_step = self.position.step

    def on_train_batch_end(self, batch, logs=None):
        # Keras counts on to the end of an execution, beyond that of an epoch.
        step = min(self.first_step + batch + 1, self.steps)
        self.position = Position(self.position.epoch, step)
        # After the last step on_epoch_end saves, when validation is done.
        if step < self.steps and (self.signal is not None or self._is_due()):
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        self.position = Position(epoch + 1, 0)
        self.save()

    def save(self) -> None:
        """Save a checkpoint now.

        Raises:
            GateFailed: a weight is NaN or infinite.
            Interrupted: a signal came; the checkpoint is saved.
        """
        state = {callback.key: callback.state for callback in self.stateful}
        checkpoints.save(self.run.checkpoints, self.model, self.position, state, self.fingerprint)
        self.saved_at = time.monotonic()
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Raise `Interrupted` if a signal came. Call it only when a checkpoint is saved."""
        if self.signal is not None:
            where = self.position.described(self.run.config.epochs)
            raise Interrupted(f"stopped {where}, checkpoint saved", resume=self.run.path)

    def _is_due(self):
        return time.monotonic() - self.saved_at > self.seconds

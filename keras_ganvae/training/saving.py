"""When the state is saved: at each epoch's end, every few minutes, and on a signal."""

import contextlib
import os
import signal
import sys
import time

import keras
import numpy as np

from keras_ganvae.data.pipeline import Position
from keras_ganvae.errors import Interrupted
from keras_ganvae.runs import checkpoints as state


class KeepMetrics(keras.callbacks.Callback):
    """Carries the metrics of a begun epoch over the reset at the start of `fit`."""

    def __init__(self, model):
        super().__init__()
        self.values = [np.array(variable) for variable in model.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in zip(self.model.metrics_variables, self.values, strict=True):
            variable.assign(value)


class Saver(keras.callbacks.Callback):
    """Saves the state; must be the last callback, so that the others' memory is complete.

    Args:
        run: whose checkpoint folder the states go to.
        fingerprint: of the data set.
        steps: batches in an epoch.
        position: where `fit` begins.
        remembering: the callbacks whose `memory`, by their `key`, is part of the state.
        minutes: between states inside an epoch.
    """

    def __init__(self, run, fingerprint, steps, position, remembering, minutes):
        super().__init__()
        self.run = run
        self.fingerprint = fingerprint
        self.steps = steps
        self.position = position
        self.remembering = remembering
        self.seconds = 60 * minutes
        self.saved_at = time.monotonic()
        self.signal = None

    @contextlib.contextmanager
    def catching_signals(self):
        """Turn SIGINT and SIGTERM into a saved state and `Interrupted`; a second one kills."""
        before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self.signal is not None:
            # At once, with no clean-up: the last saved state is whole whatever is under way.
            os.write(sys.stderr.fileno(), b"\nstopped at once; the last saved state remains\n")
            os._exit(130)
        self.signal = number
        os.write(sys.stderr.fileno(), b"\nfinishing the step and saving; again to stop at once\n")

    def on_train_batch_end(self, batch, logs=None):
        step = self.position.step + 1
        self.position = Position(self.position.epoch, step)
        # The epoch's last step is saved with the epoch, when validation is in.
        if step < self.steps and (self.signal is not None or self._due()):
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        self.position = Position(epoch + 1, 0)
        self.save()

    def save(self):
        memory = {callback.key: callback.memory for callback in self.remembering}
        state.save(self.run.checkpoints, self.model, self.position, memory, self.fingerprint)
        self.saved_at = time.monotonic()
        self.stop_if_asked()

    def stop_if_asked(self):
        """Raise `Interrupted` if a signal came; the state must have been saved."""
        if self.signal is not None:
            raise Interrupted(
                f"stopped {self.position.described(self.run.config.epochs)}, saved;"
                f" go on with: keras-ganvae train --resume {self.run.path}"
            )

    def _due(self):
        return time.monotonic() - self.saved_at > self.seconds

"""When the state is saved: at each epoch's end, every few minutes, and on a signal."""

import contextlib
import os
import signal
import sys
import time

import keras

from keras_ganvae.errors import Interrupted
from keras_ganvae.training import state
from keras_ganvae.training.state import Position


class Saver(keras.callbacks.Callback):
    """Saves the state; must be the last callback, so that the others' memory is complete.

    Args:
        checkpoints: the run's folder of states.
        fingerprint: of the data set.
        steps: batches in an epoch.
        position: where `fit` begins.
        history: the callback whose memory is part of the state.
        minutes: between states inside an epoch.
    """

    def __init__(self, checkpoints, fingerprint, *, steps, position, history, minutes):
        super().__init__()
        self.checkpoints = checkpoints
        self.fingerprint = fingerprint
        self.steps = steps
        self.position = position
        self.history = history
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
        memory = {"history": self.history.memory}
        state.save(self.checkpoints, self.model, self.position, memory, self.fingerprint)
        self.saved_at = time.monotonic()
        if self.signal is not None:
            raise Interrupted(self.position)

    def _due(self):
        return time.monotonic() - self.saved_at > self.seconds

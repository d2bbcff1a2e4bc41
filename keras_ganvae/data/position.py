"""A place in the training data. Apart from the pipeline, so that it loads no TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Position:
    """The next training batch: `step` of `epoch`, both counted from 0."""

    epoch: int = 0
    step: int = 0

    def described(self, epochs: int) -> str:
        """The position in words, counted from 1.

        Args:
            epochs: how many the run has.
        """
        if self.epoch >= epochs:
            return "after the last epoch"
        return f"at epoch {self.epoch + 1}, step {self.step + 1}"

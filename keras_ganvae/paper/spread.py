"""Differences of measured numbers, and whether they can be told from chance."""

import math
from dataclasses import dataclass

from scipy import stats

from keras_ganvae.metrics.estimate import over_runs

CONFIDENCE = 0.95  # of the interval that a verdict needs zero to lie outside of


@dataclass(frozen=True)
class Spread:
    """A number, its standard error (None: unknown), and the degrees of freedom of that error.

    The mean of R runs has R - 1; an error over many images has infinity.
    """

    value: float
    error: float | None
    freedom: float = math.inf

    @classmethod
    def of_runs(cls, estimates):
        """One number of several runs (`Estimate`s): over the runs if there are several,
        else the one run's own."""
        if len(estimates) == 1:
            return cls(estimates[0].value, estimates[0].error)
        mean = over_runs(estimates)
        return cls(mean.value, mean.error, len(estimates) - 1)

    def __sub__(self, other):
        """The difference of two independent numbers, its degrees of freedom by Welch (1947)."""
        if not isinstance(other, Spread):
            return Spread(self.value - other, self.error, self.freedom)
        if self.error is None or other.error is None:
            return Spread(self.value - other.value, None)
        squares = self.error**2, other.error**2
        total = sum(squares)
        weights = sum(
            square**2 / freedom
            for square, freedom in zip(squares, (self.freedom, other.freedom), strict=True)
        )
        freedom = total**2 / weights if weights else math.inf
        return Spread(self.value - other.value, math.sqrt(total), freedom)

    def __rsub__(self, number):
        return Spread(number - self.value, self.error, self.freedom)

    @property
    def uncertainty(self) -> float | None:
        """Half the width of the confidence interval, by Student's t."""
        if self.error is None:
            return None
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.error)


def verdict(margin: Spread) -> str:
    """ "holds" if a margin is above zero by more than its uncertainty, "does not hold" if
    below by more, else "undecided", which a margin that is no number is, too."""
    if margin.uncertainty is None or not abs(margin.value) > margin.uncertainty:
        return "undecided"
    return "holds" if margin.value > 0 else "does not hold"


def combined(verdicts) -> str:
    """Of a claim with several parts: all must hold; one that does not is enough against it."""
    verdicts = list(verdicts)
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if all(each == "holds" for each in verdicts) else "undecided"

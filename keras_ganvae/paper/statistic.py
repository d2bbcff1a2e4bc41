"""Measured numbers with their uncertainty, and the verdicts that follow from them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import stats

from keras_ganvae.metrics.estimate import Estimate, of_mean

CONFIDENCE = 0.95  # level of the interval that must exclude zero for a verdict
IMAGES, SEEDS = "images", "seeds"  # what a standard error can be over


@dataclass(frozen=True)
class Statistic:
    """A number with its standard error.

    Args:
        value: the number.
        error: its standard error; None if unknown.
        degrees_of_freedom: of the error: R - 1 for the mean of R runs, infinity for an error
            over many images.
        sources: what the error is over: `IMAGES` of a single run, `SEEDS` of several, or,
            for a difference, both; empty if the error is unknown.
    """

    value: float
    error: float | None
    degrees_of_freedom: float = math.inf
    sources: frozenset[str] = frozenset()

    @classmethod
    def of_runs(cls, estimates: Sequence[Estimate]) -> "Statistic":
        """The mean of several runs with its error over seeds; one run keeps its own error."""
        if len(estimates) == 1:
            (only,) = estimates
            return cls(only.value, only.error, sources=_sources(only.error, IMAGES))
        mean = of_mean([each.value for each in estimates])
        return cls(mean.value, mean.error, len(estimates) - 1, _sources(mean.error, SEEDS))

    def __sub__(self, other: "Statistic | float") -> "Statistic":
        """The difference of two independent numbers; degrees of freedom by Welch (1947)."""
        if not isinstance(other, Statistic):
            return Statistic(self.value - other, self.error, self.degrees_of_freedom, self.sources)
        if self.error is None or other.error is None:
            return Statistic(self.value - other.value, None)
        squares = self.error**2, other.error**2
        total = sum(squares)
        weights = (
            squares[0] ** 2 / self.degrees_of_freedom + squares[1] ** 2 / other.degrees_of_freedom
        )
        return Statistic(
            self.value - other.value,
            math.sqrt(total),
            total**2 / weights if weights else math.inf,
            self.sources | other.sources,
        )

    def __rsub__(self, number: float) -> "Statistic":
        return Statistic(number - self.value, self.error, self.degrees_of_freedom, self.sources)

    @property
    def error_over(self) -> str | None:
        """ "images", "seeds" or "images and seeds"; None if the error is unknown."""
        return " and ".join(sorted(self.sources)) or None

    @property
    def uncertainty(self) -> float | None:
        """Half the width of the confidence interval by Student's t."""
        if self.error is None:
            return None
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.degrees_of_freedom) * self.error)

    def to_dict(self) -> dict:
        """For JSON: {"value", "error", "error_over"}."""
        return {
            "value": finite(self.value),
            "error": finite(self.error),
            "error_over": self.error_over,
        }


def _sources(error, source):
    return frozenset() if error is None else frozenset([source])


def finite(value: float | None) -> float | None:
    """The value, or None where it is NaN or infinite, which JSON cannot express."""
    return value if value is not None and math.isfinite(value) else None


def verdict(margin: Statistic) -> str:
    """Whether a margin is above zero.

    Returns:
        "holds" if it is above zero by more than its uncertainty, "does not hold" if it is
        below by more; otherwise, or if the margin or its uncertainty is unknown, "undecided".
    """
    if margin.uncertainty is None or not abs(margin.value) > margin.uncertainty:
        return "undecided"
    return "holds" if margin.value > 0 else "does not hold"


def combined(verdicts: Iterable[str]) -> str:
    """The verdict of a claim with several parts: all must hold; one failure refutes it."""
    verdicts = set(verdicts)
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if verdicts == {"holds"} else "undecided"

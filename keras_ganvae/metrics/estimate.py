"""A measured number and how far it would move if the measurement were repeated."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error, in the same unit; None where the error isn't known."""

    value: float
    error: float | None

    def to_dict(self) -> dict:
        """{"value": ..., "error": ...}, for JSON."""
        return asdict(self)


def of_mean(values) -> Estimate:
    """The mean of independent values, (N,); error std / sqrt(N), None for a single value."""
    values = np.asarray(values, np.float64)
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(float(values.mean()), error)


def over_runs(estimates: Sequence[Estimate]) -> Estimate:
    """One number of several runs that differ in their seeds: the mean, and its error over runs.

    The runs' own errors are not used: their values already differ by them. One run says
    nothing of other seeds, so its error here is None.
    """
    return of_mean([each.value for each in estimates])


def bootstrap(statistic: Callable, size: int, repeats: int, seed: int) -> float:
    """Standard error of a statistic of `size` samples, by resampling them (Efron 1979).

    Args:
        statistic: of indices int (size,), drawn from range(size) with replacement; a number.
        repeats: resamplings. The error's own relative error is about 1 / sqrt(2 repeats).
    """
    random = np.random.default_rng(seed)
    found = [statistic(random.integers(size, size=size)) for _ in range(repeats)]
    # The mean of equal numbers is off by rounding, and so would be their deviation from it.
    return float(np.std(found, ddof=1)) if np.ptp(found) else 0.0

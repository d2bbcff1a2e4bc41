"""A measured value with its standard error."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error in the same unit; None if the error is unknown."""

    value: float
    error: float | None

    def to_dict(self) -> dict:
        """{"value": ..., "error": ...}, for JSON."""
        return asdict(self)


def of_mean(values: ArrayLike) -> Estimate:
    """The mean of independent values (N,) with std / sqrt(N); no error for a single value."""
    values = np.asarray(values, np.float64)
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(float(values.mean()), error)


def over_runs(estimates: Sequence[Estimate]) -> Estimate:
    """Average one metric over runs that differ only in their seed.

    The error is the standard error over runs, so None for one run. It includes the runs'
    own errors.
    """
    return of_mean([each.value for each in estimates])


def bootstrap(
    statistic: Callable[[np.ndarray], float], size: int, repeats: int, seed: int
) -> float:
    """Standard error of a statistic of `size` samples, by resampling them (Efron 1979).

    Args:
        statistic: from indices, int (size,), drawn with replacement, to a number.
        size: number of samples.
        repeats: number of resamplings; the relative error of the result is about
            1 / sqrt(2 repeats).
        seed: random seed of the resamplings.
    """
    random = np.random.default_rng(seed)
    values = [statistic(random.integers(size, size=size)) for _ in range(repeats)]
    # By rounding, the standard deviation of equal values need not be exactly 0.
    return float(np.std(values, ddof=1)) if np.ptp(values) else 0.0

"""Confidence intervals of means over seeds, by Student's t distribution.

Seeds draw the initial weights, the order of samples and their augmentation. Two models that were trained with the same
seeds are compared by the differences of their pairs, which is narrower where the seeds' effects on both are alike.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from atmnet_cli.errors import UserError, install


class Interval(NamedTuple):
    """A mean and the half width of its confidence interval; None for the half width of a single value."""

    mean: float
    half_width: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of independent values of a normal distribution, with its confidence interval.

    Args:
        values: One or more values.
        level: Probability that the interval contains the true mean.

    Raises:
        UserError: If SciPy is not installed.

    Examples:
        >>> round(mean_interval([1.0, 2.0, 3.0]).half_width, 4)
        2.4841
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, None)
    return Interval(mean, _quantile(level, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5)


def paired_interval(values: Sequence[float], others: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of ``values[i] - others[i]``, with its confidence interval; see :func:`mean_interval`."""
    return mean_interval([value - other for value, other in zip(values, others, strict=True)], level)


def _quantile(level: float, degrees: int) -> float:
    try:
        from scipy.stats import t
    except ImportError as error:
        raise UserError(f"confidence intervals need SciPy: {install('compare')}") from error
    return float(t.ppf((1 + level) / 2, degrees))

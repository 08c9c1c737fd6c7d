"""What few runs and many rows can say: intervals and tests over numpy arrays.

Values that are NaN, infinite or missing are refused with a `StatisticsError`. Levels, margins and
standard deviations are those of params.yaml, which are checked as it is read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from cardproof.errors import CardproofError

Floats = NDArray[np.float64]
Source = Literal["seeds", "rows", "seeds and rows"]

BLOCK = 30  # rows that are looked at together, in the order of their file
FEWEST_BLOCKS = 100

_CHUNK = 4_000_000  # drawn rows held at once: about 50 MB


class StatisticsError(CardproofError):
    """Input from which no figure can be computed; the message says what to change."""


@dataclass(frozen=True)
class Interval:
    """A range of numbers at a level of confidence."""

    low: float
    high: float
    level: float
    source: Source  # what varies: runs of other seeds, other test rows, or both

    def widened(self, middle: float, factor: float) -> "Interval":
        """The interval with each end `factor` times as far from `middle`."""
        low, high = (middle + factor * (end - middle) for end in (self.low, self.high))
        return Interval(low, high, self.level, self.source)


class Summary(NamedTuple):
    """Count, mean and sample standard deviation; no deviation where there is one value."""

    n: int
    mean: float
    sd: float | None


def summarise(values: ArrayLike) -> Summary:
    """Count, mean and standard deviation with divisor n - 1."""
    numbers = _finite(values)
    n = len(numbers)
    if n == 1:
        return Summary(1, float(numbers[0]), None)
    if np.ptp(numbers) == 0:  # numpy finds 1e-17 instead of 0 for some equal values
        return Summary(n, float(numbers[0]), 0.0)
    return Summary(n, float(numbers.mean()), float(numbers.std(ddof=1)))


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Score interval of a proportion, e.g. an accuracy: Wilson (1927), JASA 22.

    Both may be fractions: of clustered rows, the number of independent ones that say as much.
    """
    z2 = float(special.ndtri((1 + level) / 2)) ** 2
    middle, spread = (successes + z2 / 2) / (n + z2), successes * (1 - successes / n) + z2 / 4
    half = math.sqrt(z2 * max(spread, 0.0)) / (n + z2)
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0), level, "rows")


def design_effect(values: ArrayLike, places: ArrayLike, labels: ArrayLike) -> float:
    """How much larger the variance of a mean is because neighbouring rows are alike; at least 1.

    Up to 30 reviews of IMDb are of one film and stand together in the file (Maas et al. 2011): a
    model that errs on one is likelier to err on the next. Rows are taken in blocks of 30 places;
    the cluster-robust variance of the mean over blocks (Cameron & Miller 2015, J. Human Resources
    50) is divided by that of independent rows. Each row counts beside the mean of its label: the
    file is sorted by label, and that a model errs more on one is not that neighbours are alike.
    With fewer than 100 blocks it is too noisy an estimate: 1.

    Args:
        values: one figure per row.
        places: each row's number in its file, from 0.
        labels: each row's, from 0.
    """
    numbers, label = _finite(values), np.asarray(labels)
    numbers = numbers - (np.bincount(label, numbers) / np.maximum(np.bincount(label), 1))[label]
    _, block = np.unique(np.asarray(places) // BLOCK, return_inverse=True)
    blocks = int(block.max()) + 1
    independent = numbers.var(ddof=1) / len(numbers) if len(numbers) > 1 else 0.0
    if blocks < FEWEST_BLOCKS or independent == 0:
        return 1.0
    sums = np.bincount(block, weights=numbers)
    clustered = np.square(sums).sum() / len(numbers) ** 2 * blocks / (blocks - 1)
    return max(1.0, float(clustered / independent))


def bootstrap_interval(
    per_row_values: ArrayLike, seed: int, resamples: int = 10_000, level: float = 0.95
) -> Interval:
    """Interval of a mean over rows by `bca_interval`.

    Args:
        per_row_values: one figure per row, e.g. a loss; at least two rows.
        seed: of the draws; the same seed gives the same interval.
        resamples: sets of rows drawn with replacement.
        level: confidence.
    """
    values = _finite(per_row_values)
    if len(values) < 2:
        raise StatisticsError("one row has no spread; give at least two rows to resample")
    means = _resampled_means(values, np.random.default_rng(seed), resamples)
    mean = float(values.mean())
    return bca_interval(means, mean, values - mean, np.ones(len(values)), level)


def bca_interval(
    draws: Floats, estimate: float, influence: Floats, counts: Floats, level: float = 0.95
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval: Efron & Tibshirani (1993), section 14.3.

    Args:
        draws: the statistic of each set of rows drawn with replacement.
        estimate: that of the rows themselves.
        influence: how much a row of each kind moves the statistic, up to a common factor.
        counts: rows of each kind.
        level: confidence.
    """
    below = np.mean(draws < estimate) + np.mean(draws == estimate) / 2
    squares = float((counts * influence**2).sum())
    if squares == 0 or not 0 < below < 1:
        return Interval(float(draws.min()), float(draws.max()), level, "rows")
    acceleration = float((counts * influence**3).sum()) / (6 * squares**1.5)
    bias = special.ndtri(below)
    z = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(draws, special.ndtr(bias + z / (1 - acceleration * z)))
    return Interval(float(low), float(high), level, "rows")


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """P-values adjusted for their number, in the order given: Holm (1979), Scand. J. Stat. 6.

    Those below α after adjustment may all be called significant: the chance that any of them is
    so by accident is at most α. No p-values give none back.
    """
    if len(p_values) == 0:
        return np.empty(0)
    p = _finite(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _resampled_means(values: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Means of rows drawn with replacement, in chunks that bound the memory."""
    n = len(values)
    chunk = max(1, _CHUNK // n)
    means = np.empty(resamples)
    for start in range(0, resamples, chunk):
        shape = (min(chunk, resamples - start), n)
        rows = rng.integers(n, size=shape, dtype=np.int32)
        # around the first value, so that equal rows keep their mean to the last bit
        means[start : start + chunk] = values[0] + (values - values[0])[rows].mean(axis=1)
    return means


def _finite(values: ArrayLike) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise StatisticsError(f"expected a list of numbers, got an array of shape {numbers.shape}")
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        raise StatisticsError(
            f"value {wrong[0] + 1} of {numbers.size} is {numbers[wrong[0]]}, no finite number; "
            "look for the run that failed"
        )
    return numbers

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
from scipy import special, stats

from cardproof.errors import CardproofError
from cardproof.recipe.reported import PrintedFigure

Floats = NDArray[np.float64]
Source = Literal["seeds", "published", "rows"]

_FEW_VALUES = 64  # right/wrong rows have 2 distinct values, differences of two models 3
_CHUNK = 4_000_000  # drawn rows held at once: about 50 MB


class StatisticsError(CardproofError):
    """Input from which no figure can be computed; the message says what to change."""


@dataclass(frozen=True)
class Interval:
    """A range of numbers at a level of confidence."""

    low: float
    high: float
    level: float
    source: Source  # of the spread: our own seeds, published runs, or the rows of one test set

    def nearest(self, number: float) -> float:
        """The number of the interval that is nearest to `number`."""
        return min(max(number, self.low), self.high)


class Summary(NamedTuple):
    """Count, mean and sample standard deviation; no deviation where there is one value."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class McNemar:
    """Two-sided p-value, rows that only a has right, rows that only b has right."""

    p: float
    a_only: int
    b_only: int


def summarise(values: ArrayLike) -> Summary:
    """Count, mean and standard deviation with divisor n - 1."""
    numbers = _finite(values)
    n = len(numbers)
    if n == 1:
        return Summary(1, float(numbers[0]), None)
    if np.ptp(numbers) == 0:  # numpy finds 1e-17 instead of 0 for some equal values
        return Summary(n, float(numbers[0]), 0.0)
    return Summary(n, float(numbers.mean()), float(numbers.std(ddof=1)))


def prediction_interval(
    values: ArrayLike, level: float = 0.95, fallback_sd: float | None = None
) -> Interval:
    """Where one more run lies, given runs that differ by seed only.

    mean ± t(n - 1) · s · √(1 + 1/n), for normal figures: Hahn & Meeker (1991), Statistical
    Intervals, section 4.7. One run has no spread of its own: it takes that of published runs as
    known, with √(1 + 1/1) = √2 and the normal quantile. Equal values give a width of 0.

    Args:
        values: one figure per run.
        level: chance that the interval covers one more run.
        fallback_sd: standard deviation of published runs; read only where there is one value.

    Raises:
        StatisticsError: also for one value without `fallback_sd`.
    """
    n, mean, sd = summarise(values)
    if sd is None:
        half = -float(special.ndtri((1 - level) / 2)) * _known_sd(fallback_sd) * math.sqrt(2)
        return Interval(mean - half, mean + half, level, "published")
    half = -float(special.stdtrit(n - 1, (1 - level) / 2)) * sd * math.sqrt(1 + 1 / n)
    return Interval(mean - half, mean + half, level, "seeds")


def equivalence_test(
    values: ArrayLike, claimed: PrintedFigure, margin: float, fallback_sd: float | None = None
) -> float:
    """P-value of "our mean is within ± margin of the claim", by two one-sided t tests.

    Schuirmann (1987), J. Pharmacokinet. Biopharm. 15: the larger of the two p-values. Tested is
    the mean over seeds, not one more run, against the claim as a fixed number. The claim is known
    only to its half unit, so the margin is made smaller by that much: the level then holds
    whichever number was rounded to the printed one. A margin within the half unit shows nothing,
    and gives 1. One run takes `fallback_sd` as known, and the normal distribution.

    Args:
        values: one figure per run.
        claimed: the printed figure.
        margin: the largest difference that does not matter, in the figure's units.
        fallback_sd: standard deviation of published runs; read only where there is one value.

    Raises:
        StatisticsError: also for one value without `fallback_sd`.
    """
    n, mean, sd = summarise(values)
    error = _known_sd(fallback_sd) if sd is None else sd / math.sqrt(n)
    allowed = margin - claimed.half_unit
    room = allowed - abs(mean - claimed.value)  # to the nearer edge: that test has the larger p
    if allowed <= 0:
        return 1.0
    if error == 0:  # no spread to test with: inside or not
        return 0.0 if room > 0 else 1.0
    statistic = -room / error
    return float(special.ndtr(statistic) if sd is None else special.stdtr(n - 1, statistic))


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Score interval of a proportion, e.g. an accuracy: Wilson (1927), JASA 22."""
    found = stats.binomtest(successes, n).proportion_ci(level, "wilson")
    return Interval(float(found.low), float(found.high), level, "rows")


def bootstrap_interval(
    per_row_values: ArrayLike, seed: int, resamples: int = 10_000, level: float = 0.95
) -> Interval:
    """Percentile interval of a mean over rows: Efron & Tibshirani (1993), chapter 13.

    Args:
        per_row_values: one figure per row, e.g. 1 for right and 0 for wrong; at least two rows.
        seed: of the draws; the same seed gives the same interval.
        resamples: sets of rows drawn with replacement.
        level: confidence.
    """
    values = _finite(per_row_values)
    if len(values) < 2:
        raise StatisticsError("one row has no spread; give at least two rows to resample")
    means = _resampled_means(values, np.random.default_rng(seed), resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, "rows")


def mcnemar_exact(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """Whether two models differ on the same rows: McNemar (1947), Psychometrika 12, exact form.

    Under no difference, each row that only one model has right is a fair coin's throw. Without
    such rows p is 1.

    Args:
        right_a: per row, whether model a has it right.
        right_b: the same rows in the same order for model b.
    """
    a, b = _finite(right_a), _finite(right_b)
    a_only, b_only = int((a > b).sum()), int((a < b).sum())
    if a_only + b_only == 0:
        return McNemar(1.0, 0, 0)
    p = float(stats.binomtest(a_only, a_only + b_only, 0.5).pvalue)
    return McNemar(p, a_only, b_only)


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
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW_VALUES:
        # How often each value is drawn is multinomial: the same distribution, without the rows.
        drawn = rng.multinomial(n, counts / n, size=resamples)
        # around the first value, so that equal rows keep their mean to the last bit
        return np.asarray(distinct[0] + drawn @ (distinct - distinct[0]) / n)
    chunk = max(1, _CHUNK // n)
    means = np.empty(resamples)
    for start in range(0, resamples, chunk):
        shape = (min(chunk, resamples - start), n)
        rows = rng.integers(n, size=shape, dtype=np.int32)
        means[start : start + chunk] = values[rows].mean(axis=1)
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


def _known_sd(fallback_sd: float | None) -> float:
    if fallback_sd is None:
        raise StatisticsError("one run has no spread; run more seeds, or name a published spread")
    return fallback_sd

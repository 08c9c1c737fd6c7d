"""Which confusion matrices can stand behind printed figures.

Pure mathematics on `PrintedFigure` intervals: nothing here knows of cards. All searches are exact;
two classes are assumed throughout the confusion matrices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cardproof.recipe.reported import PrintedFigure

Metric = Literal["accuracy", "f1", "precision", "recall"]
Average = Literal["binary", "macro", "weighted"]
Counts = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]

_MOST_TRIED = 4_000_000  # matrices: under a second
_SLACK = 1e-9  # far above the error of a float64 ratio, far below one row in a million


def score(
    metric: Metric,
    average: Average,
    false_negatives: Counts,
    false_positives: Counts,
    classes: tuple[int, int],
) -> Floats:
    """A score of two-class confusion matrices, as scikit-learn defines it; 0 / 0 counts as 0.

    Args:
        metric: which score.
        average: of class 1 alone, the mean of both classes, or their mean weighted by rows.
        false_negatives: rows of class 1 given class 0; shape (matrices,).
        false_positives: rows of class 0 given class 1; shape (matrices,).
        classes: rows of class 1, rows of class 0.
    """
    positives, negatives = classes
    hits, rejections = positives - false_negatives, negatives - false_positives
    if metric == "accuracy":
        return _ratio(hits + rejections, np.full_like(hits, positives + negatives))
    errors = false_negatives + false_positives
    of_positive = {
        "f1": (2 * hits, 2 * hits + errors),
        "precision": (hits, hits + false_positives),
        "recall": (hits, np.full_like(hits, positives)),
    }[metric]
    if average == "binary":
        return _ratio(*of_positive)
    of_negative = {
        "f1": (2 * rejections, 2 * rejections + errors),
        "precision": (rejections, rejections + false_negatives),
        "recall": (rejections, np.full_like(rejections, negatives)),
    }[metric]
    weight = 0.5 if average == "macro" else positives / max(positives + negatives, 1)
    return weight * _ratio(*of_positive) + (1 - weight) * _ratio(*of_negative)


def _ratio(part: Counts, whole: Counts) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


@dataclass(frozen=True)
class Region:
    """All confusion matrices that print as given figures, for given rows of each class.

    Attributes:
        classes: rows of class 1, rows of class 0.
        false_negatives: the values for which there is a matrix; shape (values,).
        first: the fewest false positives that go with each; shape (values,).
        last: the most; all between them fit too; shape (values,).
    """

    classes: tuple[int, int]
    false_negatives: Counts
    first: Counts
    last: Counts

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return int((self.last - self.first + 1).sum())

    @property
    def accuracy_range(self) -> tuple[float, float]:
        """The lowest and the highest accuracy in the region; it must not be empty."""
        rows = sum(self.classes)
        most = int((self.false_negatives + self.last).max())
        fewest = int((self.false_negatives + self.first).min())
        return 1 - most / rows, 1 - fewest / rows

    @property
    def false_negative_range(self) -> tuple[int, int]:
        """The fewest and the most false negatives; the region must not be empty."""
        return int(self.false_negatives.min()), int(self.false_negatives.max())

    @property
    def false_positive_range(self) -> tuple[int, int]:
        """The fewest and the most false positives; the region must not be empty."""
        return int(self.first.min()), int(self.last.max())


def feasible_matrices(
    figures: Mapping[Metric, PrintedFigure], average: Average, classes: tuple[int, int]
) -> Region:
    """Find every confusion matrix whose scores print as all the figures.

    For a fixed number of false negatives no score of `score` rises when one more row of class 0
    is given class 1: true negatives fall, false positives rise, and each ratio and mean of ratios
    falls with them. So the false positives that fit are one interval, whose ends are bisected for
    all numbers of false negatives at once.
    """
    positives, negatives = classes
    misses = np.arange(positives + 1)
    first = np.zeros(len(misses), dtype=np.int64)
    last = np.full(len(misses), negatives, dtype=np.int64)
    for metric, figure in figures.items():
        not_above = _bisect(metric, average, misses, classes, figure.high + _SLACK, strict=False)
        below = _bisect(metric, average, misses, classes, figure.low - _SLACK, strict=True)
        first, last = np.maximum(first, not_above), np.minimum(last, below - 1)
    some = first <= last
    return Region(classes, misses[some], first[some], last[some])


def _bisect(
    metric: Metric,
    average: Average,
    misses: Counts,
    classes: tuple[int, int],
    limit: float,
    *,
    strict: bool,
) -> Counts:
    """Per number of misses, the fewest false positives that bring the score to the limit.

    To or under it, or if `strict`, under it; rows of class 0 plus one where none do.
    """
    low, high = np.zeros_like(misses), np.full_like(misses, classes[1] + 1)
    while (open_ := low < high).any():
        middle = np.minimum((low + high) // 2, classes[1])
        scores = score(metric, average, misses, middle, classes)
        reached = scores < limit if strict else scores <= limit
        high = np.where(open_ & reached, middle, high)
        low = np.where(open_ & ~reached, middle + 1, low)
    return low


@dataclass(frozen=True)
class Mixed:
    """All matrices whose scores print as given, each averaged in a way of its own.

    Attributes:
        count: how many.
        accuracy_range: the lowest and the highest accuracy among them; of none, 0 and 0.
    """

    count: int
    accuracy_range: tuple[float, float]


def matrices_of_mixed_averages(
    figures: Mapping[Metric, PrintedFigure], classes: tuple[int, int]
) -> Mixed | None:
    """Count the confusion matrices that print as all the figures under any averages.

    Precision, recall and F1 may each be of class 1, of class 0, macro or weighted. Every matrix
    within the printed accuracy is tried; None if they are too many for that.
    """
    positives, negatives = classes
    errors = range(positives + negatives + 1)
    if "accuracy" in figures:
        correct = figures["accuracy"].whole_counts(positives + negatives)
        errors = range(positives + negatives - correct.stop + 1, len(errors) - correct.start)
    if len(errors) * (positives + 1) > _MOST_TRIED:
        return None
    missed, wrong = np.meshgrid(
        np.arange(positives + 1), np.array(errors, dtype=int), indexing="ij"
    )
    inside = (missed <= wrong) & (wrong - missed <= negatives)
    missed, alarms = missed[inside], (wrong - missed)[inside]
    for metric, figure in figures.items():
        low, high = figure.low - _SLACK, figure.high + _SLACK
        scores = _under_all_averages(metric, missed, alarms, classes)
        fits = np.any([(low <= one) & (one <= high) for one in scores], axis=0)
        missed, alarms = missed[fits], alarms[fits]
    if not len(missed):
        return Mixed(0, (0.0, 0.0))
    wrong, rows = missed + alarms, positives + negatives
    return Mixed(len(missed), (1 - int(wrong.max()) / rows, 1 - int(wrong.min()) / rows))


def _under_all_averages(
    metric: Metric, misses: Counts, alarms: Counts, classes: tuple[int, int]
) -> list[Floats]:
    """A score under each average, and of class 0: of the matrix with the classes swapped."""
    if metric == "accuracy":
        return [score(metric, "binary", misses, alarms, classes)]
    averages: tuple[Average, ...] = ("binary", "macro", "weighted")
    found = [score(metric, average, misses, alarms, classes) for average in averages]
    return [*found, score(metric, "binary", alarms, misses, classes[::-1])]


def harmonic_mean_range(precision: PrintedFigure, recall: PrintedFigure) -> tuple[float, float]:
    """The range of F1 = 2 P R / (P + R) of one class (van Rijsbergen 1979), over the intervals.

    It rises with both, so its ends are at theirs.
    """
    return (
        _harmonic_mean(max(precision.low, 0), max(recall.low, 0)),
        _harmonic_mean(precision.high, recall.high),
    )


def _harmonic_mean(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other > 0 else 0.0

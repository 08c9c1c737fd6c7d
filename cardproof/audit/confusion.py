"""Which counts, and which confusion matrices, can stand behind printed figures.

Pure mathematics on `PrintedFigure` intervals: nothing here knows of cards. All searches are exact;
two classes are assumed throughout the confusion matrices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cardproof.recipe.reported import PrintedFigure

Metric = Literal[
    "accuracy", "f1", "precision", "recall", "specificity", "balanced accuracy", "mcc", "kappa"
]
Average = Literal["binary", "macro", "weighted"]
Counts = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]

_MOST_TRIED = 4_000_000  # matrices: under a second
_SLACK = 1e-9  # far above the error of a float64 ratio, far below one row in a million


def sizes_that_fit(figures: Sequence[PrintedFigure], largest: int) -> Counts:
    """The numbers of rows, 1 to `largest`, on which every figure is a whole count over the rows."""
    rows = np.arange(1, largest + 1)
    fits = np.ones(largest, dtype=bool)
    for figure in figures:
        first = np.ceil((figure.low - _SLACK) * rows)
        last = np.floor((figure.high + _SLACK) * rows)
        fits &= np.maximum(first, 0) <= np.minimum(last, rows)
    return rows[fits]


def share_that_fits(figures: Sequence[PrintedFigure], rows: int) -> float:
    """How often figures with as many digits would all be whole counts on `rows` rows by chance.

    A figure of width w catches one of the counts k / rows with probability min(1, rows * w),
    for a figure drawn evenly; the figures are taken to be independent.
    """
    return float(np.prod([min(1.0, rows * (figure.high - figure.low)) for figure in figures]))


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
    if metric in ("specificity", "balanced accuracy", "mcc", "kappa"):
        return _of_whole_matrix(metric, hits, rejections, false_negatives, false_positives)
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


def _of_whole_matrix(
    metric: Metric, hits: Counts, rejections: Counts, misses: Counts, alarms: Counts
) -> Floats:
    """Scores that have no average: of both classes, or of the negative one."""
    specificity = _ratio(rejections, rejections + alarms)
    if metric == "specificity":
        return specificity
    if metric == "balanced accuracy":
        return (_ratio(hits, hits + misses) + specificity) / 2
    tp, tn, fn, fp = (np.asarray(n, dtype=float) for n in (hits, rejections, misses, alarms))
    above = tp * tn - fp * fn
    if metric == "mcc":
        product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return _ratio(above, np.sqrt(product))
    return _ratio(2 * above, (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))  # Cohen's kappa


def _ratio(part: Counts | Floats, whole: Counts | Floats) -> Floats:
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
    if metric not in ("precision", "recall", "f1"):
        return [score(metric, "binary", misses, alarms, classes)]
    averages: tuple[Average, ...] = ("binary", "macro", "weighted")
    found = [score(metric, average, misses, alarms, classes) for average in averages]
    return [*found, score(metric, "binary", alarms, misses, classes[::-1])]


@dataclass(frozen=True)
class Totals:
    """What accuracy and F1 of class 1 fix when the rows of each class are unknown.

    Attributes:
        errors: the possible numbers of wrong rows, false positives + false negatives.
        first: the fewest true positives that go with each.
        last: the most; all between them fit too.
    """

    errors: Counts
    first: Counts
    last: Counts

    @property
    def count(self) -> int:
        """How many pairs of errors and true positives there are."""
        return int((self.last - self.first + 1).sum())


def totals(rows: int, accuracy: PrintedFigure, f1: PrintedFigure) -> Totals:
    """Find errors and true positives from accuracy and F1 of class 1.

    From F1 = 2 TP / (2 TP + FP + FN): TP = (FP + FN) F1 / (2 (1 - F1)), with the errors FP + FN
    from accuracy. How the errors split into FP and FN stays open.
    """
    correct = accuracy.whole_counts(rows)
    errors = np.arange(rows - correct.stop + 1, rows - correct.start + 1)
    first = _hits_at(f1.low - _SLACK, errors)
    last = _hits_at(f1.high + _SLACK, errors)
    # Without errors F1 is 1, or 0 / 0 where there is no row of class 1.
    first = np.where(errors == 0, 1 if f1.covers(1.0) else rows + 1, np.ceil(first))
    last = np.minimum(np.floor(last), rows - errors)
    some = first <= last
    whole = first[some].astype(np.int64), last[some].astype(np.int64)
    return Totals(errors[some].astype(np.int64), *whole)


def _hits_at(f1: float, errors: Counts) -> Floats:
    """True positives at which F1 is reached, as a real number; infinite from F1 = 1 on."""
    if f1 >= 1:
        return np.full(len(errors), np.inf)
    return np.asarray(np.maximum(errors * f1 / (2 * (1 - f1)), 0))


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

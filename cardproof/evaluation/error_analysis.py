"""How one classifier behaves on its scored rows: calibration, lengths, errors and duplicates.

Labels are 0 or 1 in an array of shape (rows,), logits of shape (rows, 2) and finite; there is at
least one row. The confidence of a row is the softmax probability of its predicted label.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import fisher_exact

from cardproof.evaluation import metrics as scores
from cardproof.evaluation.metrics import Floats, Labels, Mask
from cardproof.evaluation.statistics import Interval, wilson_interval

LENGTH_EDGES = (64, 128, 192, 256, 384, 512)  # the largest length of each bucket but the last
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.5)
SHOWN_ERRORS = 10


@dataclass(frozen=True)
class Calibration:
    """How well confidence predicts accuracy."""

    confidence: float  # mean over the rows
    accuracy: float
    error: float  # expected calibration error over the bins
    loss: float  # mean cross-entropy in nats
    bins: list[dict[str, float]]  # as `scores.reliability_bins` has them


@dataclass(frozen=True)
class TemperatureFit:
    """The number that logits are divided by, or why there is none.

    The loss has no minimum at a temperature above 0 where no row favours the wrong label ("all
    right": it falls all the way to temperature 0), nor where the rows favour wrong labels as much
    as right ones ("no signal": it falls all the way to an infinite one).
    """

    temperature: float | None
    outcome: Literal["fitted", "all right", "no signal"]


@dataclass(frozen=True)
class LengthBucket:
    """Rows of `first` to `last` tokens before truncation; without a limit where that is None."""

    first: int
    last: int | None
    rows: int
    accuracy: float
    interval: Interval  # Wilson's, at 95 %
    truncated_tokens: float  # share of their tokens that the model never saw, 0 to 1


@dataclass(frozen=True)
class Subset:
    """Accuracy on some rows and on all others; None where there are none of them."""

    rows: int
    others: int
    accuracy: float | None
    accuracy_of_others: float | None


@dataclass(frozen=True)
class CoveragePoint:
    """Accuracy on the most confident rows; ties at the border count with their mean."""

    rows: int
    coverage: float  # their share of all rows
    accuracy: float
    least_confidence: float


@dataclass(frozen=True)
class ConfidentError:
    """A row whose predicted label is not its own; `index` is its place among the scored rows."""

    index: int
    label: int
    predicted: int
    confidence: float
    label_issue: bool


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """What confident learning finds: whether each row's label is an issue; shape (rows,).

    The thresholds are the mean probability of label 0 over rows labelled 0, and of label 1 over
    rows labelled 1; None for a label that no row has.
    """

    rows: Mask
    thresholds: tuple[float | None, float | None]


def calibration(labels: Labels, logits: Floats) -> Calibration:
    """Confidence against accuracy, over all rows and by bins of confidence."""
    bins = scores.reliability_bins(labels, logits)
    return Calibration(
        confidence=float(scores.confidence(logits).mean()),
        accuracy=float(scores.right_rows(labels, logits).mean()),
        error=scores.expected_calibration_error(bins),
        loss=scores.cross_entropy(labels, logits),
        bins=bins,
    )


def fit_temperature(labels: Labels, logits: Floats) -> TemperatureFit:
    """The temperature with the lowest mean cross-entropy: Guo et al. (2017), ICML, section 4.2.

    With m = own logit - other logit the loss is mean log(1 + exp(-m/T)). It is convex in 1/T, so
    its minimum is where the slope -mean(m σ(-m/T)) is 0.

    Args:
        labels: of rows that are neither trained on nor scored.
        logits: of the same rows.
    """
    margin = scores.margins(labels, logits)
    if margin.mean() <= 0:
        return TemperatureFit(None, "no signal")
    if margin.min() >= 0:
        return TemperatureFit(None, "all right")

    def slope(inverse: float) -> float:
        return -float((margin * expit(-inverse * margin)).mean())

    # x σ(-bx) < 0.28/b for each right row and |x| σ(b|x|) > |x|/2 for each wrong one: at 1/b =
    # the mean of |x| over wrong rows, zeros for right ones, the slope is above 0.
    upper = 1 / float(np.maximum(-margin, 0).mean())
    inverse = float(brentq(slope, 0, upper, xtol=1e-14 * upper, rtol=1e-12))
    if inverse < 1e-9 * upper:  # the means cancel out but for rounding
        return TemperatureFit(None, "no signal")
    return TemperatureFit(1 / inverse, "fitted")


def length_buckets(
    right: Mask, full_lengths: NDArray[np.int64], lengths: NDArray[np.int64]
) -> list[LengthBucket]:
    """Accuracy by length before truncation; buckets without rows are left out.

    Args:
        right: whether each row is classified rightly; shape (rows,).
        full_lengths: tokens of each row before truncation, special ones included; shape (rows,).
        lengths: tokens of each row that the model read; shape (rows,).
    """
    bucket_of = np.searchsorted(LENGTH_EDGES, full_lengths)  # a length of 64 is in the first
    first = (1, *(edge + 1 for edge in LENGTH_EDGES))
    last = (*LENGTH_EDGES, None)
    buckets = []
    for b in np.unique(bucket_of):
        inside = bucket_of == b
        rows, correct = int(inside.sum()), int(right[inside].sum())
        unseen = 1 - float(lengths[inside].sum() / full_lengths[inside].sum())
        interval = wilson_interval(correct, rows)
        buckets.append(LengthBucket(first[b], last[b], rows, correct / rows, interval, unseen))
    return buckets


def subset_accuracy(right: Mask, subset: Mask) -> Subset:
    """Accuracy on a subset of the rows and on the others; both masks of shape (rows,)."""
    inside = int(subset.sum())
    return Subset(inside, len(subset) - inside, _mean(right[subset]), _mean(right[~subset]))


def fisher_p(right: Mask, subset: Mask) -> float | None:
    """P-value of Fisher's exact test that a subset's accuracy is that of the other rows.

    Fisher (1934), section 21.02. None where one of the two has no rows.
    """
    table = [[int((right[s] == r).sum()) for r in (True, False)] for s in (subset, ~subset)]
    return float(fisher_exact(table).pvalue) if 0 < subset.sum() < len(subset) else None


def selective_curve(labels: Labels, logits: Floats) -> Floats:
    """Accuracy on the k most confident rows for each k: Geifman & El-Yaniv (2017), NeurIPS.

    It is one minus the risk of their risk-coverage curve. Rows of equal confidence have no order
    among them: where k takes some of them, each counts with the mean of all, which is what a
    random choice among them comes to on average.

    Returns:
        Shape (rows,): entry k - 1 is the accuracy on the k most confident rows.
    """
    # The gap of the logits orders rows as confidence does, but never rounds to 1.
    gap, right = np.abs(scores.logit_gap(logits)), scores.right_rows(labels, logits)
    _, tie, ties = np.unique(-gap, return_inverse=True, return_counts=True)
    mean_of_tie = np.bincount(tie, weights=right) / ties
    by_confidence = np.repeat(mean_of_tie, ties)  # np.unique sorts: the widest gap comes first
    return np.asarray(by_confidence.cumsum() / np.arange(1, len(right) + 1))


def coverage_points(curve: Floats, logits: Floats) -> list[CoveragePoint]:
    """The selective curve at 100, 95, 90, 80 and 50 % of the rows, rounded to whole rows.

    Few rows have fewer points: no number of rows comes twice, and none is 0.
    """
    total = len(curve)
    confidence = np.sort(scores.confidence(logits))[::-1]
    counts = dict.fromkeys(max(1, round(c * total)) for c in COVERAGES)
    return [CoveragePoint(k, k / total, float(curve[k - 1]), float(confidence[k - 1]))
            for k in counts]  # fmt: skip


def find_label_issues(labels: Labels, logits: Floats) -> LabelIssues:
    """Likely label errors by confident learning: Northcutt, Jiang & Chuang (2021), JAIR 70.

    A row counts as label j if the probability of j reaches the mean self-confidence of j, which
    is the mean probability of j over rows labelled j; if both labels do, as the likelier one. It
    is an issue if that is not its own label: the off-diagonal of their confident joint (section
    3.1). The model must not have been trained on these rows. Where only one label occurs, or all
    rows have the same probability, there is no issue.
    """
    positive = scores.positive_probability(logits)
    probability = np.stack([1 - positive, positive], axis=1)
    means = [_mean(probability[labels == j, j]) for j in (0, 1)]
    issues = np.zeros(len(labels), dtype=bool)
    if means[0] is not None and means[1] is not None and np.ptp(positive) > 0:
        rows = np.arange(len(labels))
        own, other = probability[rows, labels], probability[rows, 1 - labels]
        reached = probability >= np.array(means)
        # A row that is as likely to be either keeps its label.
        issues = reached[rows, 1 - labels] & (~reached[rows, labels] | (other > own))
    return LabelIssues(issues, (means[0], means[1]))


def most_confident_errors(
    labels: Labels, logits: Floats, issues: Mask, count: int = SHOWN_ERRORS
) -> list[ConfidentError]:
    """The `count` errors with the highest confidence, that first, else in the rows' order."""
    predicted, confidence = logits.argmax(axis=1), scores.confidence(logits)
    wrong = np.flatnonzero(predicted != labels)
    gap = np.abs(scores.logit_gap(logits))
    order = wrong[np.argsort(-gap[wrong], kind="stable")][:count]
    return [
        ConfidentError(
            int(i), int(labels[i]), int(predicted[i]), float(confidence[i]), bool(issues[i])
        )
        for i in order
    ]


def duplicate_effects(right: Mask, kinds: Mapping[str, Mask]) -> dict[str, Subset]:
    """Accuracy on each kind of duplicate and without it, and without any of them.

    Args:
        right: whether each row is classified rightly; shape (rows,).
        kinds: for each kind, which rows are such; each of shape (rows,).

    Returns:
        An entry for each kind, and "any" for rows of at least one kind.
    """
    anything = np.any(list(kinds.values()), axis=0)
    return {name: subset_accuracy(right, rows) for name, rows in {**kinds, "any": anything}.items()}


def _mean(values: NDArray[np.bool_] | Floats) -> float | None:
    return math.fsum(values) / len(values) if len(values) else None

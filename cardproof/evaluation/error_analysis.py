"""How one classifier behaves on its scored rows: sureness, lengths, mistakes and duplicates.

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
from cardproof.evaluation.metrics import Floats, Labels
from cardproof.evaluation.statistics import Interval, wilson_interval

Mask = NDArray[np.bool_]

LENGTH_EDGES = (64, 128, 192, 256, 384, 512)  # the largest length of each bucket but the last
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.5)


@dataclass(frozen=True)
class Calibration:
    """How well confidence tells accuracy.

    Attributes:
        confidence: mean over the rows.
        accuracy: over the rows.
        error: expected calibration error over the bins.
        loss: mean cross-entropy in nats.
        bins: `confidence`, `accuracy` and `rows` of each bin, as `scores.reliability_bins` has it.
    """

    confidence: float
    accuracy: float
    error: float
    loss: float
    bins: list[dict[str, float]]


@dataclass(frozen=True)
class TemperatureFit:
    """The number that logits are divided by, or why there is none.

    Attributes:
        temperature: None where the loss has no minimum at a temperature above 0.
        outcome: "fitted"; "all right" where no row favours the wrong label, so that the loss falls
            all the way to temperature 0; "no signal" where the rows favour wrong labels as much as
            right ones, so that it falls all the way to an infinite temperature.
    """

    temperature: float | None
    outcome: Literal["fitted", "all right", "no signal"]


@dataclass(frozen=True)
class LengthBucket:
    """Rows of similar length.

    Attributes:
        first: the smallest length that belongs here, in tokens.
        last: the largest one; None where there is no limit.
        rows: how many rows.
        accuracy: over them.
        interval: Wilson's, at 95 %.
        tokens_cut: share of their tokens that the model never saw, 0 to 1.
    """

    first: int
    last: int | None
    rows: int
    accuracy: float
    interval: Interval
    tokens_cut: float


@dataclass(frozen=True)
class CutEffect:
    """Accuracy on rows that were cut and on rows read whole.

    Attributes:
        rows_cut: rows of which a part was cut off.
        rows_whole: rows that were read whole.
        accuracy_cut: None where no row was cut.
        accuracy_whole: None where every row was cut.
        p: of Fisher's exact test that both are the same (Fisher 1934, section 21.02); None where
            there is only one of them.
    """

    rows_cut: int
    rows_whole: int
    accuracy_cut: float | None
    accuracy_whole: float | None
    p: float | None


@dataclass(frozen=True)
class CoveragePoint:
    """Accuracy on the surest rows alone.

    Attributes:
        rows: the surest rows that are answered.
        coverage: their share of all rows.
        accuracy: over them; tied rows at the border count with their mean.
        least_confidence: of the least sure of them.
    """

    rows: int
    coverage: float
    accuracy: float
    least_confidence: float


@dataclass(frozen=True)
class Mistake:
    """A row whose predicted label is not its own.

    Attributes:
        index: its place among the scored rows, from 0.
        label: its own label.
        predicted: the model's.
        confidence: in the predicted label.
        likely_mislabelled: whether confident learning doubts the label.
    """

    index: int
    label: int
    predicted: int
    confidence: float
    likely_mislabelled: bool


@dataclass(frozen=True)
class LabelDoubts:
    """What confident learning makes of the labels.

    Attributes:
        doubted: rows whose label it doubts; shape (rows,).
        thresholds: mean probability of label 0 over rows labelled 0, and of label 1 over rows
            labelled 1; None for a label that no row has.
    """

    doubted: Mask
    thresholds: tuple[float | None, float | None]


@dataclass(frozen=True)
class DuplicateEffect:
    """What a kind of duplicate does to the accuracy.

    Attributes:
        rows: rows that are duplicates.
        accuracy_on: over them; None where there are none.
        accuracy_without: over all other rows; None where there are no others.
    """

    rows: int
    accuracy_on: float | None
    accuracy_without: float | None


def confidence_of(logits: Floats) -> Floats:
    """Probability of each predicted label; shape (rows,)."""
    return np.asarray(expit(_gap(logits)))


def right_rows(labels: Labels, logits: Floats) -> Mask:
    """Whether each predicted label is the row's own; shape (rows,). A tie predicts 0."""
    return np.asarray(logits.argmax(axis=1) == labels)


def calibration(labels: Labels, logits: Floats) -> Calibration:
    """Confidence against accuracy, over all rows and by bins of confidence."""
    bins = scores.reliability_bins(labels, logits)
    return Calibration(
        confidence=float(confidence_of(logits).mean()),
        accuracy=float(right_rows(labels, logits).mean()),
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
    rows = np.arange(len(labels))
    wide = np.asarray(logits, dtype=np.float64)
    margin = wide[rows, labels] - wide[rows, 1 - labels]
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
    """Accuracy by length before the cut; buckets without rows are left out.

    Args:
        right: whether each row is classified rightly; shape (rows,).
        full_lengths: tokens of each row before it was cut, special ones included; shape (rows,).
        lengths: tokens of each row that the model read; shape (rows,).
    """
    bucket_of = np.searchsorted(LENGTH_EDGES, full_lengths)  # a length of 64 is in the first
    first = (1, *(edge + 1 for edge in LENGTH_EDGES))
    last = (*LENGTH_EDGES, None)
    buckets = []
    for b in np.unique(bucket_of):
        inside = bucket_of == b
        rows, correct = int(inside.sum()), int(right[inside].sum())
        cut = 1 - float(lengths[inside].sum() / full_lengths[inside].sum())
        interval = wilson_interval(correct, rows)
        buckets.append(LengthBucket(first[b], last[b], rows, correct / rows, interval, cut))
    return buckets


def cut_effect(right: Mask, cut: Mask) -> CutEffect:
    """Compare rows that were cut with rows that were read whole; both of shape (rows,)."""
    table = [[int((right[s] == r).sum()) for r in (True, False)] for s in (cut, ~cut)]
    p = float(fisher_exact(table).pvalue) if 0 < cut.sum() < len(cut) else None
    whole = int((~cut).sum())
    return CutEffect(int(cut.sum()), whole, _share(right[cut]), _share(right[~cut]), p)


def selective_curve(labels: Labels, logits: Floats) -> Floats:
    """Accuracy on the k surest rows for each k: Geifman & El-Yaniv (2017), NeurIPS.

    Rows of equal confidence have no order among them: where k takes some of them, each counts
    with the mean of all, which is what a random choice among them comes to on average.

    Returns:
        Shape (rows,): entry k - 1 is the accuracy on the k surest rows.
    """
    gap, right = _gap(logits), right_rows(labels, logits)
    _, tie, ties = np.unique(-gap, return_inverse=True, return_counts=True)
    mean_of_tie = np.bincount(tie, weights=right) / ties
    surest_first = np.repeat(mean_of_tie, ties)  # np.unique sorts: the widest gap comes first
    return np.asarray(surest_first.cumsum() / np.arange(1, len(right) + 1))


def coverage_points(labels: Labels, logits: Floats) -> list[CoveragePoint]:
    """The selective curve at 100, 95, 90, 80 and 50 % of the rows, rounded to whole rows.

    Few rows have fewer points: no number of rows comes twice, and none is 0.
    """
    curve, total = selective_curve(labels, logits), len(labels)
    confidence = np.sort(confidence_of(logits))[::-1]
    counts = dict.fromkeys(max(1, round(c * total)) for c in COVERAGES)
    return [CoveragePoint(k, k / total, float(curve[k - 1]), float(confidence[k - 1]))
            for k in counts]  # fmt: skip


def doubt_labels(labels: Labels, logits: Floats) -> LabelDoubts:
    """Rows that confident learning would look at: Northcutt, Jiang & Chuang (2021), JAIR 70.

    A row counts as label j if the probability of j reaches the mean self-confidence of j, which
    is the mean probability of j over rows labelled j; if both labels do, as the likelier one. It
    is doubted if that is not its own label: the off-diagonal of their confident joint (section
    3.1). The model must not have been trained on these rows. Where only one label occurs, or all
    rows have the same probability, nothing speaks against any label.
    """
    positive = scores.positive_probability(logits)
    probability = np.stack([1 - positive, positive], axis=1)
    means = [_mean(probability[labels == j, j]) for j in (0, 1)]
    doubted = np.zeros(len(labels), dtype=bool)
    if means[0] is not None and means[1] is not None and np.ptp(positive) > 0:
        rows = np.arange(len(labels))
        own, other = probability[rows, labels], probability[rows, 1 - labels]
        reached = probability >= np.array(means)
        # A row that is as likely to be either keeps its label.
        doubted = reached[rows, 1 - labels] & (~reached[rows, labels] | (other > own))
    return LabelDoubts(doubted, (means[0], means[1]))


def confident_mistakes(
    labels: Labels, logits: Floats, doubted: Mask, count: int = 10
) -> list[Mistake]:
    """The `count` mistakes with the highest confidence, surest first, else in the rows' order."""
    predicted, confidence = logits.argmax(axis=1), confidence_of(logits)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-_gap(logits)[wrong], kind="stable")][:count]
    return [
        Mistake(int(i), int(labels[i]), int(predicted[i]), float(confidence[i]), bool(doubted[i]))
        for i in order
    ]


def duplicate_effects(right: Mask, kinds: Mapping[str, Mask]) -> dict[str, DuplicateEffect]:
    """Accuracy with and without each kind of duplicate, and without any of them.

    Args:
        right: whether each row is classified rightly; shape (rows,).
        kinds: for each kind, which rows are such; each of shape (rows,).

    Returns:
        An entry for each kind, and "any" for rows of at least one kind.
    """
    anything = np.zeros(len(right), dtype=bool)
    for rows in kinds.values():
        anything |= rows
    return {
        name: DuplicateEffect(int(rows.sum()), _share(right[rows]), _share(right[~rows]))
        for name, rows in {**kinds, "any": anything}.items()
    }


def _gap(logits: Floats) -> Floats:
    """Distance of the two logits: orders rows as confidence does, but never rounds to 1."""
    wide = np.asarray(logits, dtype=np.float64)
    return np.asarray(np.abs(wide[:, 1] - wide[:, 0]))


def _share(right: Mask) -> float | None:
    return _mean(right.astype(np.float64))


def _mean(values: Floats) -> float | None:
    return math.fsum(values) / len(values) if len(values) else None

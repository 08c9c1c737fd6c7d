"""How far a score could lie elsewhere on other test rows: intervals over the rows of one set."""

from collections.abc import Mapping, Sequence

import numpy as np

from cardproof.evaluation.metrics import Labels, right_rows, row_losses
from cardproof.evaluation.statistics import (
    Floats,
    Interval,
    bca_interval,
    bootstrap_interval,
    design_effect,
    wilson_interval,
)

RESAMPLES = 10_000
SEED = 0  # of the draws: the same logits give the same intervals


def score_intervals(
    labels: Labels, logits: Floats, places: Labels, level: float = 0.95
) -> dict[str, Interval]:
    """Intervals of a model's scores over its test rows, the model held fixed.

    Wilson's for accuracy, precision and recall, and for F1 of the positive class, which is
    2 q / (1 + q) of the share q = TP / (TP + FP + FN) (Lam et al. 2024, "Confidence interval for
    the F1 score", the indirect method); BCa bootstrap for the loss and for averages over classes.
    Neighbouring rows that are alike widen them by `design_effect`.

    Args:
        labels: 0 or 1; shape (rows,).
        logits: shape (rows, 2).
        places: each row's number in its file; shape (rows,).
        level: confidence of each interval.

    Returns:
        By the keys of `metrics.score`: accuracy, loss and the averages of f1, precision and recall;
        of a single row, accuracy and the positive class alone.
    """
    right = right_rows(labels, logits)
    tn, fp, fn, tp = cells = np.bincount(2 * labels + logits.argmax(axis=1), minlength=4)
    effect = design_effect(right, places, labels)
    shares = {
        "accuracy": (tn + tp, len(labels)),
        "precision_binary": (tp, tp + fp),
        "recall_binary": (tp, tp + fn),
        "f1_binary": (tp, tp + fp + fn),
    }
    intervals = {
        key: wilson_interval(part / effect, whole / effect, level)
        for key, (part, whole) in shares.items()
        if whole
    }
    if "f1_binary" in intervals:
        q = intervals["f1_binary"]
        low, high = (2 * end / (1 + end) for end in (q.low, q.high))
        intervals["f1_binary"] = Interval(low, high, level, "rows")
    if len(labels) < 2:
        return intervals
    losses = row_losses(labels, logits)
    found = bootstrap_interval(losses, SEED, RESAMPLES, level)
    wider = design_effect(losses, places, labels) ** 0.5
    intervals["loss"] = found.widened(float(losses.mean()), wider)
    return _average_intervals(cells, effect**0.5, level) | intervals


def _average_intervals(cells: Labels, wider: float, level: float) -> dict[str, Interval]:
    """Intervals of the averages over classes, by the bootstrap.

    They depend on the four counts of the confusion matrix alone, and drawing rows with replacement
    draws these counts from a multinomial distribution.
    """
    rows = int(cells.sum())
    drawn = np.random.default_rng(SEED).multinomial(rows, cells / rows, size=RESAMPLES)
    draws, estimates = confusion_scores(drawn), confusion_scores(cells[None])
    intervals = {}
    for key, influence in _influences(cells).items():
        if key.endswith(("_macro", "_weighted")):
            estimate = float(estimates[key][0])
            found = bca_interval(draws[key], estimate, influence, cells.astype(np.float64), level)
            intervals[key] = found.widened(estimate, wider)
    return intervals


def confusion_errors(counts: Sequence[float]) -> Mapping[str, float]:
    """Standard errors of a model's scores over independent test rows, by the jackknife.

    Leaving out a row changes a score by the row's cell of the confusion matrix alone: four values
    and how often each occurs (Efron & Tibshirani 1993, chapter 11).

    Args:
        counts: true negatives, false positives, false negatives, true positives.

    Returns:
        By the keys of `metrics.score`: accuracy and the averages of f1, precision and recall.
    """
    cells = np.asarray(counts, dtype=np.int64)
    rows = int(cells.sum())
    return {
        key: float(np.sqrt((rows - 1) / rows * (cells * influence**2).sum()))
        for key, influence in _influences(cells).items()
    }


def _influences(cells: Labels) -> dict[str, Floats]:
    """What leaving out a row of each cell takes off a score, beside the mean of this."""
    left = confusion_scores(np.maximum(cells - np.eye(4, dtype=np.int64), 0))
    return {key: np.average(value, weights=cells) - value for key, value in left.items()}


def confusion_scores(cells: Labels) -> dict[str, Floats]:
    """Accuracy, and the averages of F1, precision and recall, of confusion matrices.

    Args:
        cells: true negatives, false positives, false negatives, true positives; shape (any, 4).

    Returns:
        By the keys of `metrics.score`, each of shape (any,).
    """
    tn, fp, fn, tp = cells.T.astype(np.float64)
    classes = [_class_scores(tn, fn, fp), _class_scores(tp, fp, fn)]  # of label 0 and of label 1
    weight = _ratio(tp + fn, tn + fp + fn + tp)
    scores = {"accuracy": _ratio(tn + tp, tn + fp + fn + tp)}
    for i, name in enumerate(("f1", "precision", "recall")):
        negative, positive = classes[0][i], classes[1][i]
        scores[f"{name}_binary"] = positive
        scores[f"{name}_macro"] = (negative + positive) / 2
        scores[f"{name}_weighted"] = (1 - weight) * negative + weight * positive
    return scores


def _class_scores(right: Floats, wrongly: Floats, missed: Floats) -> tuple[Floats, Floats, Floats]:
    """F1, precision and recall of one class; 0 where nothing was predicted or there is no row."""
    return (
        _ratio(2 * right, 2 * right + wrongly + missed),
        _ratio(right, right + wrongly),
        _ratio(right, right + missed),
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

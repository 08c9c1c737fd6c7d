"""How far a score could lie elsewhere on other test rows: intervals over the rows of one set."""

import numpy as np

from cardproof.evaluation.metrics import Floats, Labels, right_rows, row_losses
from cardproof.evaluation.statistics import Interval, bootstrap_interval, wilson_interval

RESAMPLES = 10_000
SEED = 0  # of the draws: the same logits give the same intervals


def score_intervals(labels: Labels, logits: Floats, level: float = 0.95) -> dict[str, Interval]:
    """Intervals of a model's scores over its test rows, the model held fixed.

    Args:
        labels: 0 or 1; shape (rows,), at least two rows.
        logits: shape (rows, 2).
        level: confidence of each interval.

    Returns:
        By the keys of `scores.score`: accuracy (Wilson's score interval), loss and the averages of
        f1, precision and recall (percentile bootstrap over rows); and `accuracy_bootstrap`.
    """
    right = right_rows(labels, logits)
    intervals = {"accuracy": wilson_interval(int(right.sum()), len(labels), level)}
    if len(labels) < 2:
        return intervals
    intervals["accuracy_bootstrap"] = bootstrap_interval(right, SEED, RESAMPLES, level)
    intervals["loss"] = bootstrap_interval(row_losses(labels, logits), SEED, RESAMPLES, level)
    for key, values in _resampled_scores(labels, logits).items():
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        intervals[key] = Interval(float(low), float(high), level, "rows")
    return intervals


def _resampled_scores(labels: Labels, logits: Floats) -> dict[str, Floats]:
    """F1, precision and recall of resampled rows, each of shape (resamples,).

    They depend on the four counts of the confusion matrix alone, and drawing rows with replacement
    draws these counts from a multinomial distribution.
    """
    cells = np.bincount(2 * labels + logits.argmax(axis=1), minlength=4)
    drawn = np.random.default_rng(SEED).multinomial(
        len(labels), cells / len(labels), size=RESAMPLES
    )
    tn, fp, fn, tp = drawn.T.astype(np.float64)
    classes = [_class_scores(tn, fn, fp), _class_scores(tp, fp, fn)]  # of label 0 and of label 1
    weight = (tp + fn) / len(labels)
    scores: dict[str, Floats] = {}
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

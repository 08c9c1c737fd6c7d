"""Scores and curves of a classifier's logits.

Labels are 0 or 1 in an array of shape (rows,), logits of shape (rows, 2).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cardproof.imports import import_without

RELIABILITY_BINS = 10
CURVE_POINTS = 200

Labels = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def logit_gap(logits: Floats) -> Floats:
    """Logit of class 1 minus that of class 0, in float64; shape (rows,)."""
    wide = np.asarray(logits, dtype=np.float64)
    return np.asarray(wide[:, 1] - wide[:, 0])


def positive_probability(logits: Floats) -> Floats:
    """Softmax probability of class 1; shape (rows,)."""
    return np.asarray(expit(logit_gap(logits)))


def confidence(logits: Floats) -> Floats:
    """Softmax probability of each predicted label; shape (rows,)."""
    return np.asarray(expit(np.abs(logit_gap(logits))))


def right_rows(labels: Labels, logits: Floats) -> Mask:
    """Whether each predicted label is the row's own; shape (rows,). A tie predicts 0."""
    return np.asarray(logits.argmax(axis=1) == labels)


def margins(labels: Labels, logits: Floats) -> Floats:
    """Logit of each row's own label minus the other one; shape (rows,)."""
    return logit_gap(logits) * (2 * labels - 1)


def row_losses(labels: Labels, logits: Floats) -> Floats:
    """Cross-entropy of each row in nats; shape (rows,).

    -log softmax = log(1 + exp(other - own)): finite also where a probability rounds to 1.
    """
    return np.logaddexp(0, -margins(labels, logits))


def cross_entropy(labels: Labels, logits: Floats) -> float:
    """Mean cross-entropy in nats."""
    return float(row_losses(labels, logits).mean())


def loss_error(labels: Labels, logits: Floats) -> float:
    """Standard error of the mean cross-entropy over independent test rows, in nats."""
    losses = row_losses(labels, logits)
    return float(losses.std(ddof=1) / np.sqrt(len(losses))) if len(losses) > 1 else 0.0


def score(labels: Labels, logits: Floats) -> dict[str, float]:
    """Headline figures of a classifier on labelled rows.

    Returns:
        Flat figures: rows, accuracy, loss (mean cross-entropy, nats), f1, precision and recall in
        the averages binary (of class 1), macro and weighted, roc_auc (left out where only one
        class is present), and the counts of the confusion matrix.
    """
    metrics = _scikit_learn()

    predicted = logits.argmax(axis=1)
    probability = positive_probability(logits)
    figures: dict[str, float] = {
        "rows": len(labels),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "loss": cross_entropy(labels, logits),
    }
    for average in ("binary", "macro", "weighted"):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            labels, predicted, labels=[0, 1], average=average, zero_division=0
        )
        figures[f"f1_{average}"] = float(f1)
        figures[f"precision_{average}"] = float(precision)
        figures[f"recall_{average}"] = float(recall)
    if len(np.unique(labels)) == 2:
        figures["roc_auc"] = float(metrics.roc_auc_score(labels, probability))
    counts = metrics.confusion_matrix(labels, predicted, labels=[0, 1]).ravel().tolist()
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    return figures | dict(zip(names, counts, strict=True))


def roc_points(labels: Labels, logits: Floats) -> list[dict[str, float]]:
    """The ROC curve, thinned to at most 200 points: rows of fpr and tpr."""
    metrics = _scikit_learn()

    if len(np.unique(labels)) < 2:
        return []
    fpr, tpr, _ = metrics.roc_curve(labels, positive_probability(logits))
    return _thin({"fpr": fpr, "tpr": tpr})


def precision_recall_points(labels: Labels, logits: Floats) -> list[dict[str, float]]:
    """The precision-recall curve, thinned to at most 200 points: rows of recall and precision."""
    metrics = _scikit_learn()

    if len(np.unique(labels)) < 2:
        return []
    precision, recall, _ = metrics.precision_recall_curve(labels, positive_probability(logits))
    return _thin({"recall": recall[::-1], "precision": precision[::-1]})


def reliability_bins(labels: Labels, logits: Floats) -> list[dict[str, float]]:
    """Confidence in the predicted label against how often it is right.

    Returns:
        A row for each of 10 equal bins of confidence from 0.5 to 1 that has rows in it: mean
        confidence, accuracy, rows.
    """
    sureness, right = confidence(logits), right_rows(labels, logits)
    edges = np.linspace(0.5, 1, RELIABILITY_BINS + 1)
    bins = np.clip(np.digitize(sureness, edges) - 1, 0, RELIABILITY_BINS - 1)
    return [
        {
            "confidence": float(sureness[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
            "rows": int((bins == b).sum()),
        }
        for b in range(RELIABILITY_BINS)
        if (bins == b).any()
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float:
    """Mean distance of confidence from accuracy, weighted by rows (Naeini et al., AAAI 2015)."""
    rows = sum(b["rows"] for b in bins)
    return sum(b["rows"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / rows


def _scikit_learn() -> Any:
    """Its metrics, imported late for its second of time, and without pandas, a fifth of it."""
    return import_without(["pandas"], "sklearn.metrics")


def _thin(columns: dict[str, Floats]) -> list[dict[str, float]]:
    length = len(next(iter(columns.values())))
    keep = np.unique(np.linspace(0, length - 1, min(length, CURVE_POINTS)).round().astype(int))
    return [{name: float(values[i]) for name, values in columns.items()} for i in keep]

"""What the choice of a small test set does to a model's scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIGURES = ("accuracy", "f1", "precision", "recall")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A figure on all rows, and over draws of a few of them.

    Attributes:
        whole: on all rows.
        mean: over the draws.
        sd: over the draws.
        low: the draws' 2.5th percentile.
        high: the draws' 97.5th percentile.
        least: of all draws.
        most: of all draws.
    """

    whole: float
    mean: float
    sd: float
    low: float
    high: float
    least: float
    most: float


def draw_scores(
    labels: NDArray[np.int64],
    logits: NDArray[np.floating[Any]],
    rows: int,
    draws: int,
    seed: int,
) -> dict[str, Floats]:
    """Scores of a fixed model on balanced draws of its test rows, without replacement.

    How many rows of a label are right in a draw is hypergeometric: the scores depend on nothing
    else, so no row has to be drawn.

    Args:
        labels: 0 or 1; shape (all rows,).
        logits: shape (all rows, 2).
        rows: of a draw, half of each label.
        draws: how many.
        seed: of the draws.

    Returns:
        For each of `FIGURES`, of the positive class, an array of shape (draws,).
    """
    right = logits.argmax(axis=1) == labels
    rng = np.random.default_rng(seed)
    half = rows // 2
    true = {}
    for label in (0, 1):
        good = int(right[labels == label].sum())
        true[label] = rng.hypergeometric(good, int((labels == label).sum()) - good, half, draws)
    return _scores(true[0].astype(float), true[1].astype(float), half)


def _scores(true_negatives: Floats, true_positives: Floats, half: float) -> dict[str, Floats]:
    predicted_positive = true_positives + half - true_negatives
    return {
        "accuracy": (true_negatives + true_positives) / (2 * half),
        "f1": 2 * true_positives / (predicted_positive + half),
        "precision": true_positives / np.maximum(predicted_positive, 1),
        "recall": true_positives / half,
    }


def spreads(
    labels: NDArray[np.int64], logits: NDArray[np.floating[Any]], drawn: dict[str, Floats]
) -> dict[str, Spread]:
    """Sum up what `draw_scores` returned, beside the scores on all rows (equal label counts)."""
    right = logits.argmax(axis=1) == labels
    counts = [np.array([right[labels == label].sum()], dtype=float) for label in (0, 1)]
    whole = _scores(counts[0], counts[1], float((labels == 1).sum()))
    return {
        name: Spread(
            float(whole[name][0]),
            float(values.mean()),
            float(values.std(ddof=1)),
            *(float(q) for q in np.quantile(values, [0.025, 0.975, 0, 1])),
        )
        for name, values in drawn.items()
    }

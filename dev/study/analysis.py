"""What is computed from the records: what a change does, what a leak does, what few rows tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cardproof.evaluation.metrics import right_rows, score
from cardproof.evaluation.statistics import Floats, Interval, holm, summarise
from cardproof.runs import paired
from cardproof.runs.groups import Group
from cardproof.runs.paired import Pair
from cardproof.runs.reading import Predictions
from dev.study.record import Record

ACCURACY = "evaluate.accuracy"
LEVEL = 0.01  # below which a p-value counts
EPOCH_COLUMNS = ("training_loss", "validation_loss", "accuracy")
# Of a small test set, by the keys of `metrics.score`.
SCORES = {"accuracy": "accuracy", "F1": "f1_binary", "precision": "precision_binary",
          "recall": "recall_binary"}  # fmt: skip
_RESAMPLES, _SEED = 10_000, 0


def compare_with_first(groups: Sequence[Group]) -> list[Pair]:
    """Each other group beside the first; p-values are Holm-corrected over all pairs."""
    first, *others = groups
    pairs = [paired.compare_groups([group, first]).pairs[0] for group in others]
    corrected = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)]


def is_shown(pair: Pair) -> bool:
    """Whether two recipes differ beyond other seeds and rows."""
    return pair.over_seeds and pair.p_holm < LEVEL


def least_shown(pairs: Sequence[Pair]) -> float | None:
    """The difference that, seen in one pair, would have passed as `is_shown` has it.

    By the widths that the pairs have on average, and the first step of Holm's correction. None
    where a pair has a single run on a side.
    """
    if not pairs or not all(pair.over_seeds for pair in pairs):
        return None
    halves = [paired.half_width(pair.parts, LEVEL / len(pairs)) for pair in pairs]
    return float(np.mean(halves))


def accuracy_spreads(groups: Sequence[Group]) -> tuple[float, float]:
    """Standard deviations of accuracy, of two sources of it: random effects, by moments.

    Returns:
        Between groups, beyond what their seeds make of their means (0 if not more), and between
        the seeds of one group, pooled. Two groups of two seeds are the least.
    """
    values = [np.array(group.values(ACCURACY)) for group in groups]
    within = sum(((v - v.mean()) ** 2).sum() for v in values) / sum(len(v) - 1 for v in values)
    of_means = within * np.mean([1 / len(v) for v in values])
    between = np.var([v.mean() for v in values], ddof=1) - of_means
    return float(np.sqrt(max(between, 0))), float(np.sqrt(within))


def optimism_gap(records: Sequence[Record], less: Sequence[Record] = ()) -> tuple[float, Interval]:
    """Mean accuracy on the validation rows minus that on the test rows, which no model has seen.

    That a model was merely trained for longer helps it on both.

    Args:
        records: runs of one start, which differ in their seed.
        less: runs of another start, scored on the same rows; their gap is taken off, row by row.

    Returns:
        The gap as a share, and 95 % of it by bootstrap: other rows of both sets, these models held
        fixed.
    """
    validation, test = (
        _shares(records, name) - (_shares(less, name) if less else 0)
        for name in ("validation", "test")
    )
    rng = np.random.default_rng(_SEED)
    drawn = [
        np.array([rng.choice(values, len(values)).mean() for _ in range(_RESAMPLES)])
        for values in (validation, test)
    ]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    interval = Interval(float(low), float(high), 0.95, "rows")
    return float(validation.mean() - test.mean()), interval


def _shares(records: Sequence[Record], name: str) -> Floats:
    """Per row of a set, the share of the records that have it right; shape (rows,)."""
    return np.asarray(np.mean([record.right(name) for record in records], axis=0))


def epoch_figures(records: Sequence[Record]) -> Floats:
    """The per-epoch tables of some runs; shape (runs, epochs, `EPOCH_COLUMNS`), NaN for no cell."""
    tables = [[[row[c] for c in EPOCH_COLUMNS] for row in record.epochs] for record in records]
    return np.array(tables, dtype=float)


def draw_scores(scored: Predictions, rows: int, draws: int, seed: int) -> dict[str, Floats]:
    """Scores of a fixed model on balanced draws of its test rows, without replacement.

    How many rows of a label are right in a draw is hypergeometric: the scores depend on nothing
    else, so no row has to be drawn.

    Args:
        scored: all test rows.
        rows: of a draw, half of each label.
        draws: how many.
        seed: of the draws.

    Returns:
        For each of `SCORES`, of the positive class, an array of shape (draws,).
    """
    right, half = right_rows(scored.labels, scored.logits), rows // 2
    rng = np.random.default_rng(seed)
    true_negatives, true_positives = (
        rng.hypergeometric(int(of_label.sum()), int((~of_label).sum()), half, draws)
        for of_label in (right[scored.labels == 0], right[scored.labels == 1])
    )
    predicted = true_positives + half - true_negatives  # positive
    return {
        "accuracy": (true_negatives + true_positives) / (2 * half),
        "F1": 2 * true_positives / (predicted + half),
        "precision": true_positives / np.maximum(predicted, 1),
        "recall": true_positives / half,
    }


def describe_draws(scored: Predictions, drawn: Mapping[str, Floats]) -> dict[str, dict[str, Any]]:
    """Each score on all rows (whole), and over the draws: summary, 95 % interval, range."""
    whole = score(scored.labels, scored.logits)
    return {
        name: {
            "whole": whole[SCORES[name]],
            "draws": summarise(values),
            "interval": np.quantile(values, [0.025, 0.975]).tolist(),
            "range": (float(values.min()), float(values.max())),
        }
        for name, values in drawn.items()
    }

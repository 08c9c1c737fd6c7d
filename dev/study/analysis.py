"""What is computed from the records: what a change does, what a leak does, what few rows tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from cardproof.evaluation.metrics import right_rows, score
from cardproof.evaluation.statistics import (
    Floats,
    Interval,
    Source,
    StatisticsError,
    Summary,
    holm,
    summarise,
)
from cardproof.runs import paired
from cardproof.runs.groups import Group
from cardproof.runs.paired import Pair
from cardproof.runs.reading import Predictions
from dev.study.record import Record

ACCURACY = "evaluate.accuracy"
EPOCH_COLUMNS = ("training_loss", "validation_loss", "accuracy")
# Of a small test set, by the keys of `metrics.score`.
SCORES = {"accuracy": "accuracy", "F1": "f1_binary", "precision": "precision_binary",
          "recall": "recall_binary"}  # fmt: skip


def compare_with_first(groups: Sequence[Group]) -> list[Pair]:
    """Each other group beside the first; p-values are Holm-corrected over all pairs."""
    first, *others = groups
    pairs = [paired.compare_groups([group, first]).pairs[0] for group in others]
    corrected = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)]


def one_beside_several(one: float, several: Sequence[float]) -> tuple[float, Interval]:
    """A single figure minus the mean of several, and the 95 % interval of that difference.

    It is a prediction interval: both kinds of run are taken to vary as the several do, whose
    standard deviation has n - 1 degrees of freedom.
    """
    found = summarise(several)
    if found.sd is None:
        raise StatisticsError("one figure has no spread; give at least two")
    half = float(stats.t.isf(0.025, found.n - 1)) * found.sd * (1 + 1 / found.n) ** 0.5
    difference = one - found.mean
    return difference, Interval(difference - half, difference + half, 0.95, "seeds")


def sd_interval(found: Summary, level: float = 0.95) -> tuple[float, float]:
    """Of the standard deviation of normal figures, by the chi-squared distribution.

    Raises:
        StatisticsError: a single figure has no spread.
    """
    if found.sd is None:
        raise StatisticsError("one figure has no spread; give at least two")
    df = found.n - 1
    low, high = (found.sd * (df / stats.chi2.isf(tail, df)) ** 0.5
                 for tail in ((1 - level) / 2, (1 + level) / 2))  # fmt: skip
    return float(low), float(high)


class Difference(NamedTuple):
    """Mean of one group's accuracy minus that of another, on draws of their own."""

    a: str
    b: str
    mean: float
    interval: Interval  # 95 %, over draws: seeds, rows trained on and rows tested on
    p: float  # Holm-corrected over the pairs that were asked for


def compare_draws(
    accuracies: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]]
) -> list[Difference]:
    """Paired t-tests over draws that a pair shares, in the same order; of two draws and more."""
    tests = [stats.ttest_rel(accuracies[a], accuracies[b]) for a, b in pairs]
    found = []
    for (a, b), test, p in zip(pairs, tests, holm([t.pvalue for t in tests]), strict=True):
        low, high = test.confidence_interval(0.95)
        interval = Interval(low, high, 0.95, "seeds and rows")
        mean = float(np.mean(np.subtract(accuracies[a], accuracies[b])))
        found.append(Difference(a, b, mean, interval, float(p)))
    return found


def optimism_gap(records: Sequence[Record], less: Sequence[Record] = ()) -> tuple[float, Interval]:
    """Mean accuracy on the validation rows minus that on the test rows, which no model has seen.

    That a model was merely trained for longer helps it on both.

    Args:
        records: runs of one start, which differ in their seed.
        less: runs of another start with the same seeds in the same order, scored on the same rows;
            their gap is taken off, seed by seed.

    Returns:
        The gap as a share, and its 95 % interval: other rows of both sets and, of several runs,
        other seeds, whose half-widths are added as squares, as `cardproof.runs.paired` has it.
    """
    marks = [_marks(records, name) for name in ("validation", "test")]
    if less:
        others = [_marks(less, name) for name in ("validation", "test")]
        marks = [ours - theirs for ours, theirs in zip(marks, others, strict=True)]
    parts = [paired.Part(float(m.mean(axis=0).var(ddof=1)) / m.shape[1], m.shape[1] - 1)
             for m in marks]  # fmt: skip
    gaps = marks[0].mean(axis=1) - marks[1].mean(axis=1)  # by seed
    if len(gaps) > 1:
        parts.append(paired.Part(float(gaps.var(ddof=1)) / len(gaps), len(gaps) - 1))
    gap, half = float(gaps.mean()), paired.half_width(parts, 0.05)
    source: Source = "seeds and rows" if len(gaps) > 1 else "rows"
    return gap, Interval(gap - half, gap + half, 0.95, source)


def _marks(records: Sequence[Record], name: str) -> Floats:
    """Which rows of a set each record has right; shape (records, rows)."""
    return np.array([record.right(name) for record in records], dtype=float)


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

"""llm_project's recipe from a clean base, and from a model that was tuned on all its rows before.

Rows that a model was tuned on are no measure of it. The optimism gap is the accuracy on them minus
that on test rows, which neither model has seen: that a model was merely trained for longer helps it
on both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardproof.evaluation.statistics import Interval, Summary, summarise
from dev.study.records import Record

COLUMNS = ("training_loss", "validation_loss", "accuracy")
LEVEL, RESAMPLES, SEED = 0.95, 10_000, 0


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures over the seeds of a start; each the least and the most.

    Attributes:
        epoch: from 1.
        figures: by the names of `COLUMNS`; None where no run logged one.
    """

    epoch: int
    figures: dict[str, tuple[float, float] | None]


@dataclass(frozen=True)
class OptimismGap:
    """What a start's validation rows say and what test rows say.

    Attributes:
        validation: accuracy on the validation rows, over seeds.
        test: on the test rows, over seeds.
        gap: the mean of the one minus that of the other.
        interval: 95 % of the gap on other rows, these models held fixed (bootstrap).
    """

    validation: Summary
    test: Summary
    gap: float
    interval: Interval


@dataclass(frozen=True)
class ExcessGap:
    """What the leak adds on validation rows beyond what it adds on test rows.

    Attributes:
        points: the difference of the two gaps, leaky minus honest, as a share.
        interval: 95 % on other rows, these models held fixed (bootstrap, paired by row).
    """

    points: float
    interval: Interval


def epochs_of(records: Sequence[Record]) -> list[Epoch]:
    """The per-epoch tables of some seeds as one."""
    rows = zip(*(record.epochs for record in records), strict=True)
    return [Epoch(number, {c: _range([row[c] for row in group]) for c in COLUMNS})
            for number, group in enumerate(rows, 1)]  # fmt: skip


def optimism_gap(records: Sequence[Record]) -> OptimismGap:
    """Compare what a start's runs reach on validation rows with what they reach on test rows."""
    shares = {
        name: summarise([r.right(name).mean() for r in records]) for name in ("validation", "test")
    }
    validation, test = (_per_row(records, name) for name in shares)
    return OptimismGap(
        validation=shares["validation"],
        test=shares["test"],
        gap=float(validation.mean() - test.mean()),
        interval=_interval_of_gap(validation, test),
    )


def excess_gap(honest: Sequence[Record], leaky: Sequence[Record]) -> ExcessGap:
    """How much more the leaky start's gap is than the honest one's, on the same rows."""
    validation, test = (
        _per_row(leaky, name) - _per_row(honest, name) for name in ("validation", "test")
    )
    points = float(validation.mean() - test.mean())
    return ExcessGap(points, _interval_of_gap(validation, test))


def distance_to(card: Sequence[float], records: Sequence[Record]) -> float:
    """How far validation accuracy is from the card's on average, over epochs and seeds."""
    ours = np.array([[row["accuracy"] for row in record.epochs] for record in records], dtype=float)
    return float(abs(ours - np.array(card)).mean())


def _per_row(records: Sequence[Record], name: str) -> NDArray[np.float64]:
    """Per row of a set, the share of the records that have it right; shape (rows,)."""
    return np.asarray(np.mean([r.right(name) for r in records], axis=0))


def _interval_of_gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> Interval:
    """Of the mean of a minus that of b, whose rows are drawn apart."""
    rng = np.random.default_rng(SEED)
    gaps = _resampled_means(a, rng) - _resampled_means(b, rng)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(gaps, [tail, 1 - tail])
    return Interval(float(low), float(high), LEVEL, "rows")


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.array([rng.choice(values, len(values)).mean() for _ in range(RESAMPLES)])


def _range(values: Sequence[float | None]) -> tuple[float, float] | None:
    found = [v for v in values if v is not None]
    return (float(np.min(found)), float(np.max(found))) if found else None

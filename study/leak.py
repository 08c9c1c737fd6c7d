"""llm_project's recipe from a clean base, and from a model that was tuned on all its rows before.

Rows that a model was tuned on are no measure of it. How much they flatter is the accuracy on them
minus that on test rows, which neither model has seen: that a model was merely trained for longer
helps it on both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardproof.statistics import Interval, Summary, summarise
from study.records import Record

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
class Flattery:
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


def epochs_of(records: Sequence[Record]) -> list[Epoch]:
    """The per-epoch tables of some seeds as one."""
    rows = zip(*(record.epochs for record in records), strict=True)
    return [Epoch(number, {c: _range([row[c] for row in group]) for c in COLUMNS})
            for number, group in enumerate(rows, 1)]  # fmt: skip


def flattery(records: Sequence[Record]) -> Flattery:
    """Compare what a start's runs reach on validation rows with what they reach on test rows."""
    found = {name: [r.right[name] for r in records] for name in ("validation", "test")}
    per_row = {name: np.mean(marks, axis=0) for name, marks in found.items()}
    rng = np.random.default_rng(SEED)
    gaps = _resampled_means(per_row["validation"], rng) - _resampled_means(per_row["test"], rng)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(gaps, [tail, 1 - tail])
    return Flattery(
        validation=summarise([marks.mean() for marks in found["validation"]]),
        test=summarise([marks.mean() for marks in found["test"]]),
        gap=float(per_row["validation"].mean() - per_row["test"].mean()),
        interval=Interval(float(low), float(high), LEVEL, "rows"),
    )


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.array([rng.choice(values, len(values)).mean() for _ in range(RESAMPLES)])


def _range(values: Sequence[float | None]) -> tuple[float, float] | None:
    found = [v for v in values if v is not None]
    return (float(np.min(found)), float(np.max(found))) if found else None

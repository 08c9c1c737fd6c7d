"""How much a recipe's accuracy depends on one thing in it, and how much on the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cardproof.evaluation.statistics import holm
from cardproof.runs.groups import Group
from cardproof.runs.paired import LEVEL as PAIR_LEVEL
from cardproof.runs.paired import Pair, compare_groups
from cardproof.runs.reading import Run

ACCURACY = "evaluate.accuracy"
LEVEL = 0.01  # below which a p-value counts


@dataclass(frozen=True, eq=False)
class Reading:
    """Runs of one reading of a card, or of one change to it.

    Attributes:
        group: its runs, labelled with it.
        against: its difference from the first reading, by seeds and rows; None for the first.
    """

    group: Group
    against: Pair | None


@dataclass(frozen=True)
class Spreads:
    """Standard deviations of accuracy, of two sources of it: random effects, by moments.

    Attributes:
        readings: between readings, beyond what their seeds make of their means; 0 if not more.
        seeds: between the seeds of one reading, pooled.
    """

    readings: float
    seeds: float


def compare_readings(readings: Mapping[str, Sequence[Run]]) -> list[Reading]:
    """Each reading beside the first; p-values over seeds are Holm-corrected over all of them."""
    groups = [Group(name, tuple(runs)) for name, runs in readings.items() if runs]
    first, *others = groups
    pairs = [compare_groups([group, first]).pairs[0] for group in others]
    tested = {pair.a: pair.p_seeds for pair in pairs if pair.p_seeds is not None}
    corrected = dict(zip(tested, map(float, holm(list(tested.values()))), strict=True))
    pairs = [replace(pair, p_seeds_holm=corrected.get(pair.a)) for pair in pairs]
    return [Reading(group, pair) for group, pair in zip(groups, [None, *pairs], strict=True)]


def is_shown(pair: Pair) -> bool:
    """Whether two readings differ beyond other seeds and, for themselves, beyond other rows."""
    beyond_rows = not pair.over_rows.low <= 0 <= pair.over_rows.high
    return beyond_rows and pair.p_seeds_holm is not None and pair.p_seeds_holm < LEVEL


def spreads(groups: Sequence[Group]) -> Spreads:
    """What readings and what seeds do to accuracy; two groups of two seeds are the least."""
    values = [np.array(group.values(ACCURACY)) for group in groups]
    means = np.array([v.mean() for v in values])
    within = sum(((v - v.mean()) ** 2).sum() for v in values) / sum(len(v) - 1 for v in values)
    of_means = within * np.mean([1 / len(v) for v in values])
    between = max(0.0, means.var(ddof=1) - of_means)
    return Spreads(readings=float(np.sqrt(between)), seeds=float(np.sqrt(within)))


def least_shown(pairs: Sequence[Pair]) -> float | None:
    """The difference that, seen in one pair, would have passed as `is_shown` has it.

    By the spread of the seeds' differences that the pairs have on average, and the first step of
    Holm's correction. None where they differ in their seeds or have none.
    """
    counts = {(pair.runs_a, pair.runs_b) for pair in pairs}
    if len(counts) != 1 or any(pair.over_seeds is None for pair in pairs):
        return None
    freedom = min(next(iter(counts))) - 1
    usual = stats.t.ppf((1 + PAIR_LEVEL) / 2, freedom)
    errors = [(p.over_seeds.high - p.over_seeds.low) / 2 / usual for p in pairs if p.over_seeds]
    error = np.sqrt(np.mean(np.square(errors)))
    return float(stats.t.ppf(1 - LEVEL / len(pairs) / 2, freedom) * error)

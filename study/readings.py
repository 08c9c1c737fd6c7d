"""How much a recipe's accuracy depends on one thing in it, and how much on the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cardproof.compare.groups import Group
from cardproof.compare.paired import Pair, compare_groups
from cardproof.compare.runs import Run
from cardproof.statistics import holm

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
    """Standard deviations of accuracy.

    Attributes:
        readings: between the mean accuracies of the readings.
        seeds: between the seeds of one reading, pooled.
        p: of the hypothesis that no reading matters; one-way analysis of variance.
    """

    readings: float
    seeds: float
    p: float


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
    return Spreads(
        readings=float(means.std(ddof=1)),
        seeds=float(np.sqrt(within)),
        p=float(stats.f_oneway(*values).pvalue),
    )

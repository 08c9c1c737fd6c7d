"""How much a recipe's accuracy depends on what its card leaves open, and how much on the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cardproof.compare.groups import Group
from cardproof.compare.paired import Pair, compare_groups
from cardproof.compare.runs import Run
from cardproof.statistics import holm

ACCURACY = "evaluate.accuracy"


@dataclass(frozen=True, eq=False)
class Reading:
    """Runs of one reading of a card.

    Attributes:
        group: its runs, labelled with the reading.
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
    p_values = [pair.p_seeds for pair in pairs]
    if pairs and None not in p_values:
        corrected = holm([p for p in p_values if p is not None])
        pairs = [
            replace(pair, p_seeds_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)
        ]
    return [Reading(group, pair) for group, pair in zip(groups, [None, *pairs], strict=True)]


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

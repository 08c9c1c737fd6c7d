"""Paired tests between groups: whether accuracies differ beyond chance, and which chance.

Two things make accuracies differ by chance, and each is looked at by itself:

- *other test rows*, these very models. The difference is, row by row, the share of a group's seeds
  that have the row right minus the same share of the other group; rows are resampled, never seeds
  times rows, which are not independent (Sellam et al. 2022, "The MultiBERTs", section 4). McNemar's
  exact test compares two single models on the same rows, one of each group; it says nothing of
  other seeds (Dietterich 1998, Neural Computation 10, section 3.1).
- *other seeds*, these very rows. Each run is one observation. Where all seeds of one group are
  among the other's, and are two or more, runs are paired by seed and all figures are of the shared
  seeds: runs of one seed start from the same head and see the rows in the same order, so much of
  their luck is common and cancels out (Bouthillier et al. 2021, "Accounting for Variance in Machine
  Learning Benchmarks", section 4). Student's t test of the differences; without shared seeds
  Welch's (1947, Biometrika 34), of two runs and more on each side.

That recipes differ is said only where both agree. P-values are Holm-corrected over all pairs that
were tested, each test among its own; an interval is of its pair alone.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cardproof.evaluation.statistics import (
    Interval,
    McNemar,
    bootstrap_interval,
    holm,
    mcnemar_exact,
)
from cardproof.runs.groups import Group, plain
from cardproof.runs.reading import Run

LEVEL = 0.95
ALPHA = 0.05
NOT_SHOWN = "not shown"
SEED = 0  # of the draws: the same runs give the same intervals
_NO_SPREAD = 1e-12  # accuracies are counts over rows: what is below is rounding
MOST_GROUPS = 10  # up to 45 pairs; above, each group against the best one only


@dataclass(frozen=True)
class Pair:
    """Two groups on the same rows; figures over seeds are None with one run on a side."""

    a: str  # label of the first group
    b: str
    rows: str  # what was scored
    runs_a: int  # compared: those that have their logits
    runs_b: int
    by_seed: bool  # whether runs were paired by seed
    difference: float  # mean accuracy of a minus that of b
    over_rows: Interval  # 95 % of the difference on other test rows, the models held fixed
    over_seeds: Interval | None  # 95 % on other seeds, the rows held fixed
    p_seeds: float | None  # of the t test
    model_a: str  # the two runs that McNemar compared, and the seed of each
    model_b: str
    mcnemar: McNemar
    p_seeds_holm: float | None = None  # corrected over all pairs, as the next
    p_mcnemar_holm: float = 1.0

    @property
    def said(self) -> str:
        """What the tests together say, in a few words."""
        beyond = not self.over_rows.low <= 0 <= self.over_rows.high
        if self.p_seeds_holm is not None:
            return "recipes differ" if self.p_seeds_holm < ALPHA and beyond else NOT_SHOWN
        return "these models differ" if self.p_mcnemar_holm < ALPHA and beyond else NOT_SHOWN


@dataclass(frozen=True)
class Refused:
    """Two groups that no paired test can be made of, and the reason."""

    a: str
    b: str
    reason: str


@dataclass(frozen=True)
class Paired:
    """All pairs looked at, and in a sentence which these were."""

    pairs: list[Pair]
    refused: list[Refused]
    scope: str


def compare_groups(groups: Sequence[Group], *, all_pairs: bool = False) -> Paired:
    """Test each pair of groups; of more than ten groups each against the best, unless told."""
    chosen, scope = _choose(groups, all_pairs)
    pairs: list[Pair] = []
    refused: list[Refused] = []
    for a, b in chosen:
        reason = _obstacle(a, b)
        if reason:
            refused.append(Refused(a.label, b.label, reason))
        else:
            pairs.append(_test(a, b))
    return Paired(_corrected(pairs), refused, scope)


def _choose(groups: Sequence[Group], all_pairs: bool) -> tuple[list[tuple[Group, Group]], str]:
    if len(groups) <= MOST_GROUPS or all_pairs:
        pairs = list(itertools.combinations(groups, 2))
        return pairs, f"All {len(pairs)} pairs of groups were considered." if pairs else ""
    best = max((g for g in groups if _scored(g)), key=_accuracy, default=groups[0])
    pairs = [(best, other) for other in groups if other is not best]
    total = len(groups) * (len(groups) - 1) // 2
    scope = (
        f"Of {total:,} pairs the {len(pairs):,} with the most accurate group, {best.label}, were "
        "considered; --all-pairs takes all. It was chosen for its accuracy on these rows, so "
        "that its lead is biased upwards."
    )
    return pairs, scope


def _scored(group: Group) -> list[Run]:
    """The runs that have their logits."""
    return [run for run in group.runs if run.scored is not None]


def _accuracy(group: Group) -> float:
    return float(np.mean(_shares(_scored(group))))


def _obstacle(a: Group, b: Group) -> str:
    """Why two groups cannot be paired; empty if they can."""
    for group in (a, b):
        if not _scored(group):
            return f"the logits of {group.label} are not available"
        if len({run.scored.rows for run in group.runs if run.scored}) > 1:
            return f"the runs of {group.label} were scored on different rows"
    one, other = _scored(a)[0].scored, _scored(b)[0].scored
    assert one and other
    if one.rows != other.rows:
        return f"scored on different rows: {one.what}, and {other.what}"
    return "fewer than two rows" if len(one.right) < 2 else ""


def _test(a: Group, b: Group) -> Pair:
    runs_a, runs_b, by_seed = _observations(_scored(a), _scored(b))
    row_differences = _row_differences(_right(runs_a), _right(runs_b))
    over_seeds, p_seeds = _over_seeds(_shares(runs_a), _shares(runs_b), by_seed)
    model_a, model_b = _models(runs_a, runs_b)
    assert model_a.scored and model_b.scored
    return Pair(
        a=a.label,
        b=b.label,
        rows=model_a.scored.what,
        runs_a=len(runs_a),
        runs_b=len(runs_b),
        by_seed=by_seed,
        difference=float(row_differences.mean()),
        over_rows=bootstrap_interval(row_differences, SEED, level=LEVEL),
        over_seeds=over_seeds,
        p_seeds=p_seeds,
        model_a=f"{plain(model_a.name)} (seed {model_a.seed})",
        model_b=f"{plain(model_b.name)} (seed {model_b.seed})",
        mcnemar=mcnemar_exact(model_a.scored.right, model_b.scored.right),
    )


def _right(runs: Sequence[Run]) -> NDArray[np.int64]:
    """Marks of all runs; shape (runs, rows)."""
    return np.stack([run.scored.right for run in runs if run.scored]).astype(np.int64)


def _row_differences(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per row, the share of seeds that have it right in a minus that in b; shape (rows,).

    Counts are subtracted as whole numbers: equal differences are then equal to the last bit, and
    the bootstrap needs to draw only how often each occurs.
    """
    counts = a.sum(axis=0) * len(b) - b.sum(axis=0) * len(a)
    return np.asarray(counts / (len(a) * len(b)), dtype=np.float64)


def _shares(runs: Sequence[Run]) -> list[float]:
    return [float(run.scored.right.mean()) for run in runs if run.scored]


def _observations(a: list[Run], b: list[Run]) -> tuple[list[Run], list[Run], bool]:
    """The runs to compare, and whether they go in pairs, by seed."""
    shared = {run.seed for run in a} & {run.seed for run in b}
    if len(shared) < 2 or len(shared) < min(len(a), len(b)):
        return a, b, False
    return [r for r in a if r.seed in shared], [r for r in b if r.seed in shared], True


def _over_seeds(
    a: Sequence[float], b: Sequence[float], by_seed: bool
) -> tuple[Interval | None, float | None]:
    """Interval and p-value of the difference of mean accuracies, with runs as observations."""
    spreads = [np.ptp(np.subtract(a, b))] if by_seed else [np.ptp(a), np.ptp(b)]
    if min(len(a), len(b)) < 2 or max(spreads) < _NO_SPREAD:
        return None, None
    found = stats.ttest_rel(a, b) if by_seed else stats.ttest_ind(a, b, equal_var=False)
    low, high = found.confidence_interval(LEVEL)
    return Interval(float(low), float(high), LEVEL, "seeds"), float(found.pvalue)


def _models(a: list[Run], b: list[Run]) -> tuple[Run, Run]:
    """One run of each group: of the lowest seed that both have, else the first of each."""
    of_seed = {run.seed: run for run in b}
    common = [run for run in a if run.seed in of_seed]
    return (common[0], of_seed[common[0].seed]) if common else (a[0], b[0])


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with Holm's correction, each test among its own."""
    mcnemar = holm([pair.mcnemar.p for pair in pairs])
    tested = [pair.p_seeds for pair in pairs if pair.p_seeds is not None]
    seeds = iter(holm(tested))
    return [
        replace(
            pair,
            p_mcnemar_holm=float(p),
            p_seeds_holm=None if pair.p_seeds is None else float(next(seeds)),
        )
        for pair, p in zip(pairs, mcnemar, strict=True)
    ]

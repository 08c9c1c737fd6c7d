"""Paired tests between groups: how sure a difference in accuracy is, and of what.

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
    """Two groups on the same rows.

    Attributes:
        a: label of the first group.
        b: label of the second.
        what: the rows.
        runs: how many runs of each were compared: those that have their logits.
        by_seed: whether runs were paired by seed.
        difference: mean accuracy of a minus that of b, over these runs.
        over_rows: 95 % interval of the difference on other test rows, the models held fixed.
        over_seeds: 95 % interval on other seeds, the rows held fixed; None with one run on a side,
            or without any spread.
        p_seeds: of the t test; None likewise.
        models: the two runs that McNemar compared, and the seed of each.
        mcnemar: of these two.
        p_seeds_holm: corrected; None likewise.
        p_mcnemar_holm: corrected.
    """

    a: str
    b: str
    what: str
    runs: tuple[int, int]
    by_seed: bool
    difference: float
    over_rows: Interval
    over_seeds: Interval | None
    p_seeds: float | None
    models: tuple[str, str]
    mcnemar: McNemar
    p_seeds_holm: float | None = None
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
    """All pairs looked at.

    Attributes:
        pairs: tested.
        refused: not testable.
        scope: which pairs were looked at, one sentence.
    """

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
        return pairs, f"All {len(pairs)} pairs of groups were looked at." if pairs else ""
    best = max((g for g in groups if _scored(g)), key=_accuracy, default=groups[0])
    pairs = [(best, other) for other in groups if other is not best]
    total = len(groups) * (len(groups) - 1) // 2
    scope = (
        f"Of {total:,} pairs the {len(pairs):,} with the most accurate group, {best.label}, were "
        "looked at; --all-pairs looks at all. It was chosen for its accuracy on these rows, which "
        "flatters it."
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
            return f"no logits of {group.label} at hand"
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
        what=model_a.scored.what,
        runs=(len(runs_a), len(runs_b)),
        by_seed=by_seed,
        difference=float(row_differences.mean()),
        over_rows=bootstrap_interval(row_differences, SEED, level=LEVEL),
        over_seeds=over_seeds,
        p_seeds=p_seeds,
        models=(_model(model_a), _model(model_b)),
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


def _model(run: Run) -> str:
    return f"{plain(run.name)} (seed {run.seed})"


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with Holm's correction, each test among its own."""
    mcnemar = holm([pair.mcnemar.p for pair in pairs])
    with_p = [i for i, pair in enumerate(pairs) if pair.p_seeds is not None]
    seeds = dict(
        zip(with_p, holm([p.p_seeds for p in pairs if p.p_seeds is not None]), strict=True)
    )
    return [
        replace(
            pair,
            p_mcnemar_holm=float(mcnemar[i]),
            p_seeds_holm=float(seeds[i]) if i in seeds else None,
        )
        for i, pair in enumerate(pairs)
    ]

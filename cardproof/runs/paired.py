"""Paired comparisons between groups of runs: whether accuracies differ beyond chance.

Two kinds of chance make accuracies differ, and one interval holds both: *other test rows* and, with
two and more runs in each group, *other seeds*. Accuracy is a mean over seeds crossed with rows, and
its variance is at most the sum of what each of the two adds (a two-way random-effects model: Sellam
et al. 2022, "The MultiBERTs", section 4, resample the same two ways; Owen 2007, Ann. Appl. Stat. 1,
has the moments). Each part has its own t quantile, and the two half-widths are added as squares
(Zou & Donner 2008, Stat. Med. 27). What both parts count is left in each, which errs on the wide
side: taken off, it leaves nothing for seeds whenever the means of two or three happen to agree, and
recipes that do not differ are then told apart too often.

- Rows are the same for both groups: their part is of the difference row by row, neighbouring rows
  in blocks (`design_effect`), and two rows are added of which each group has one right, as Agresti
  & Min (2005, Stat. Med. 24) do for few rows.
- Seeds: where all seeds of one group are among the other's, and are two or more, runs are paired by
  seed and all figures are of the shared seeds: runs of one seed start from the same head and see
  the rows in the same order, so much of their luck is common and cancels out (Bouthillier et al.
  2021, "Accounting for Variance in Machine Learning Benchmarks", section 4). Else the variances of
  the two groups are added (Welch 1947, Biometrika 34).

With a single run in a group nothing is known of other seeds: the interval is over rows, and what it
shows is of these models. P-values are Holm-corrected over all pairs that were compared; an interval
is of its pair alone.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from cardproof.evaluation.statistics import Interval, Source, design_effect, holm
from cardproof.runs.groups import Group
from cardproof.runs.reading import Run, Scored

LEVEL = 0.95
ALPHA = 0.05
NOT_SHOWN = "not shown"
MOST_GROUPS = 10  # up to 45 pairs; above, each group against the best one only


class Part(NamedTuple):
    """A part of a variance, and how well it is known."""

    variance: float
    df: float


@dataclass(frozen=True)
class Pair:
    """Two groups on the same rows."""

    a: str  # label of the first group
    b: str
    rows: str  # what was scored
    runs_a: int  # compared: those that have their logits
    runs_b: int
    by_seed: bool  # whether runs were paired by seed
    difference: float  # mean accuracy of a minus that of b
    interval: Interval  # 95 % of it, over rows and, with two runs and more on each side, seeds
    parts: tuple["Part", ...]  # of the difference's variance: rows, and seeds if there are several
    p: float  # that there is no difference
    p_holm: float = 1.0  # corrected over all pairs

    @property
    def said(self) -> str:
        """What is shown, in a few words."""
        if self.p_holm >= ALPHA:
            return NOT_SHOWN
        return "recipes differ" if self.over_seeds else "these models differ"

    @property
    def over_seeds(self) -> bool:
        """Whether the interval is over seeds, too; not with one run on a side."""
        return len(self.parts) > 1

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        return math.sqrt(sum(part.variance for part in self.parts))


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
    return float(_right(_scored(group)).mean())


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
    right_a, right_b = _right(runs_a), _right(runs_b)
    first = runs_a[0].scored
    assert first
    by_row = _row_differences(right_a, right_b)
    parts = (_row_part(by_row, first), *_seed_parts(right_a, right_b, by_seed))
    difference, half = float(by_row.mean()), half_width(parts, 1 - LEVEL)
    source: Source = "seeds and rows" if len(parts) > 1 else "rows"
    return Pair(
        a=a.label,
        b=b.label,
        rows=first.what,
        runs_a=len(runs_a),
        runs_b=len(runs_b),
        by_seed=by_seed,
        difference=difference,
        interval=Interval(difference - half, difference + half, LEVEL, source),
        parts=parts,
        p=_p_value(abs(difference), parts),
    )


def half_width(parts: Sequence[Part], error_rate: float) -> float:
    """Half the width of an interval that leaves out the truth at that rate."""
    halves = [special.stdtrit(df, error_rate / 2) * math.sqrt(variance) for variance, df in parts]
    return math.hypot(*halves)


def _p_value(distance: float, parts: Sequence[Part]) -> float:
    """The error rate of the interval that just reaches from the difference to zero."""

    def beyond(log_p: float) -> float:
        return half_width(parts, math.exp(log_p)) - distance

    least = -200.0  # a p-value of 1e-87
    if distance == 0 or beyond(least) < 0:
        return 1.0 if distance == 0 else 0.0
    return math.exp(optimize.brentq(beyond, least, 0.0))


def _right(runs: Sequence[Run]) -> NDArray[np.int64]:
    """Marks of all runs; shape (runs, rows)."""
    return np.stack([run.scored.right for run in runs if run.scored]).astype(np.int64)


def _row_differences(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per row, the share of seeds that have it right in a minus that in b; shape (rows,).

    Counts are subtracted as whole numbers, so that equal shares give zero to the last bit.
    """
    counts = a.sum(axis=0) * len(b) - b.sum(axis=0) * len(a)
    return np.asarray(counts / (len(a) * len(b)), dtype=np.float64)


def _row_part(by_row: NDArray[np.float64], scored: Scored) -> Part:
    """Variance of the mean difference by the draw of rows, two rows added; see above."""
    rows = len(by_row) + 2
    mean, squares = by_row.sum() / rows, (np.square(by_row).sum() + 1) / rows
    alike = design_effect(by_row, scored.places, scored.labels)
    return Part(float((squares - mean**2) / rows * alike), rows - 3)


def _seed_parts(a: NDArray[np.int64], b: NDArray[np.int64], by_seed: bool) -> list[Part]:
    """Variance of the mean difference by the draw of seeds; none with one run on a side."""
    if min(len(a), len(b)) < 2:
        return []
    by_run = [marks.mean(axis=1) for marks in ([a - b] if by_seed else [a, b])]
    return [Part(float(of.var(ddof=1)) / len(of), len(of) - 1) for of in by_run]


def _observations(a: list[Run], b: list[Run]) -> tuple[list[Run], list[Run], bool]:
    """The runs to compare, and whether they go in pairs, by seed."""
    shared = {run.seed for run in a} & {run.seed for run in b}
    if len(shared) < 2 or len(shared) < min(len(a), len(b)):
        return a, b, False
    return [r for r in a if r.seed in shared], [r for r in b if r.seed in shared], True


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with Holm's correction."""
    adjusted = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, adjusted, strict=True)]

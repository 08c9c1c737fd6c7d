"""A comparison as tables: one structure that Markdown, HTML and CSV are all written from."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from cardproof.claims.judge import HEADLINES, JudgedClaim
from cardproof.evaluation.statistics import Interval, Summary
from cardproof.runs.groups import Group, Grouping, plain
from cardproof.runs.paired import Pair, Paired
from cardproof.runs.reading import LeftOut, Run
from cardproof.tables import Value

# What the table shows of each group, by the names that people know them by.
SHOWN = {
    "accuracy": "evaluate.accuracy",
    "loss": "evaluate.loss",
    "F1": "evaluate.f1_binary",
}
# What the CSV has beside them.
_MORE = {
    "precision": "evaluate.precision_binary",
    "recall": "evaluate.recall_binary",
    "roc_auc": "evaluate.roc_auc",
}
_CLAIMED = ("accuracy", "loss")  # have columns of their own; the claims' table has all
MOST_NAMES = 5

Kind = Literal["head", "number", "text", "tag"]
T = TypeVar("T")
Column = tuple[str, Kind, Callable[[T], str]]  # name, kind, and what the cell of an item says


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Attributes:
        caption: what it shows.
        columns: name and kind of each; the first is the row's head.
        rows: cells, all text.
    """

    caption: str
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Comparison:
    """All there is to show.

    Attributes:
        grouping: the groups, and what is in none of them.
        paired: tests between them.
        left_out: revisions that hold no run to compare.
    """

    grouping: Grouping
    paired: Paired
    left_out: Sequence[LeftOut] = field(default_factory=tuple)

    @property
    def groups(self) -> list[Group]:
        """In the order of the table."""
        return self.grouping.groups

    @property
    def all_left_out(self) -> list[LeftOut]:
        """Revisions without a run, and runs without a group."""
        return [*self.left_out, *self.grouping.left_out]


def main_table(groups: Sequence[Group]) -> Table:
    """A line for each group: seeds, figures, claims and verdicts."""
    columns: list[tuple[str, Kind]] = [("group", "head"), ("seeds", "number")]
    for name in SHOWN:
        columns.append((name, "number"))
        if name in _CLAIMED:
            columns += [("claimed", "number"), ("verdict", "tag")]
    columns.append(("missing", "text"))
    rows = []
    for group in groups:
        cells = [group.label, str(len(group.runs))]
        for name, metric in SHOWN.items():
            cells.append(mean_and_sd(group.summary(metric)))
            if name in _CLAIMED:
                claim = group.claim(name)
                cells += [claim.printed if claim else "-", word(claim)]
        rows.append([*cells, "; ".join(missing_figures(group)) or "-"])
    caption = (
        "Each group's runs differ in their seed only. Figures are the mean ± the standard "
        "deviation of its runs, F1 of the positive class."
    )
    return Table(caption, columns, rows)


def claims_table(groups: Sequence[Group]) -> Table:
    """Each headline claim of each group with the reason for its verdict."""
    columns: list[Column[tuple[Group, JudgedClaim]]] = [
        ("group", "head", lambda of: of[0].label),
        ("figure", "text", lambda of: of[1].name),
        ("claimed", "number", lambda of: of[1].printed),
        ("seeds", "number", lambda of: str(of[1].verdict.n)),
        ("measured", "number", lambda of: _number(of[1].measured)),
        ("one more run", "number", lambda of: _interval(of[1].verdict.interval)),
        ("verdict", "tag", lambda of: word(of[1])),
        ("why", "text", lambda of: of[1].verdict.reason),
    ]
    claims = [(group, claim) for group in groups for claim in group.claims]
    return _table("Verdicts, and the reason for each.", columns, claims)


def pairs_table(paired: Paired) -> Table:
    """Each pair that was tested."""
    columns: list[Column[Pair]] = [
        ("groups", "head", lambda p: f"{p.a} − {p.b}"),
        ("seeds", "number", _runs),
        ("difference, points", "number", lambda p: f"{100 * p.difference:+.2f}"),
        ("on other rows", "number", lambda p: _points(p.over_rows)),
        ("with other seeds", "number", lambda p: _points(p.over_seeds)),
        ("p, seeds", "number", lambda p: _p(p.p_seeds_holm)),
        ("McNemar compared", "text", lambda p: f"{p.models[0]} with {p.models[1]}"),
        ("only one is right", "number", lambda p: f"{p.mcnemar.a_only} : {p.mcnemar.b_only}"),
        ("p, McNemar", "number", lambda p: _p(p.p_mcnemar_holm)),
        ("shown", "tag", lambda p: p.said),
    ]
    caption = (
        "Differences of mean accuracy in points of a hundred, with 95 % intervals: on other rows, "
        "these models held fixed (paired bootstrap), and with other seeds, these rows held fixed "
        "(t test, paired by seed where seeds are shared, else Welch's). p-values are "
        "Holm-corrected over these pairs."
    )
    return _table(caption, columns, paired.pairs)


def runs_table(groups: Sequence[Group]) -> Table:
    """Each run with its group and seed."""

    def figure(metric: str) -> Callable[[tuple[Group, Run]], str]:
        return lambda of: _number(of[1].metrics.get(metric))

    columns: list[Column[tuple[Group, Run]]] = [
        ("run", "head", lambda of: plain(of[1].name)),
        ("commit", "text", lambda of: of[1].commit[:7] or "-"),
        ("group", "text", lambda of: of[0].label),
        ("seed", "number", lambda of: str(of[1].seed)),
        *((name, "number", figure(metric)) for name, metric in SHOWN.items()),
        ("logits", "text", lambda of: "yes" if of[1].scored else "no"),
    ]
    runs = [(group, run) for group in groups for run in group.runs]
    return _table("Each run, its group and its seed.", columns, runs)


def _table(caption: str, columns: Sequence[Column[T]], items: Iterable[T]) -> Table:
    """A line for each item."""
    rows = [[cell(item) for _, _, cell in columns] for item in items]
    return Table(caption, [(name, kind) for name, kind, _ in columns], rows)


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know beside the tables, one sentence each."""
    said = [*comparison.grouping.notes]
    if comparison.grouping.same:
        said.append(plain(named(comparison.grouping.same, "; ")))
    by_remark = defaultdict(list)
    for group in comparison.groups:
        for run in group.runs:
            for remark in run.remarks:
                by_remark[remark].append(plain(run.name))
    return said + [f"{named(names)}: {plain(remark)}" for remark, names in by_remark.items()]


def refusals(paired: Paired) -> list[str]:
    """Pairs that could not be tested, by reason."""
    by_reason = defaultdict(list)
    for refused in paired.refused:
        by_reason[refused.reason].append(f"{refused.a} − {refused.b}")
    return [f"{plain(reason)}: {named(pairs, '; ')}" for reason, pairs in by_reason.items()]


def left_out(comparison: Comparison) -> list[str]:
    """Revisions that are not compared, by reason."""
    by_reason = defaultdict(list)
    for one in comparison.all_left_out:
        by_reason[one.reason].append(plain(one.name))
    return [f"{named(names)}: {plain(reason)}" for reason, names in by_reason.items()]


def missing_figures(group: Group) -> list[str]:
    """What some runs of a group do not have: "2 of 4 runs without loss"."""
    wanted = dict(SHOWN) | {c.name: c.metric for c in group.claims}
    counts = Counter(
        {name: len(group.runs) - len(group.values(metric)) for name, metric in wanted.items()}
    )
    counts["logits"] = sum(run.scored is None for run in group.runs)
    names: dict[int, list[str]] = defaultdict(list)
    for name, count in counts.items():
        if count and not (name == "cross-entropy loss" and counts["loss"]):  # said already
            names[count].append(name)
    return [f"{n} of {len(group.runs)} runs without {', '.join(k)}" for n, k in names.items()]


def group_rows(groups: Sequence[Group]) -> list[dict[str, Value]]:
    """The main table with all digits and all claims, for CSV."""
    rows = []
    for group in groups:
        row: dict[str, Value] = {
            "group": group.label,
            "card": group.recipe.name,
            "runs": len(group.runs),
            "seeds": " ".join(map(str, group.seeds)),
        }
        for name, metric in (SHOWN | _MORE).items():
            found = group.summary(metric)
            row[f"{name}_n"] = found.n if found else 0
            row[f"{name}_mean"] = found.mean if found else None
            row[f"{name}_sd"] = found.sd if found else None
        for key in HEADLINES:
            claim = group.claim(key)
            row[f"claimed_{key}"] = claim.printed if claim else None
            row[f"verdict_{key}"] = word(claim) if claim else None
        rows.append(row | {"missing": "; ".join(missing_figures(group))})
    return rows


_PAIR_CELLS: dict[str, Callable[[Pair], Value]] = {
    "a": lambda p: p.a,
    "b": lambda p: p.b,
    "rows": lambda p: p.what,
    "runs_a": lambda p: p.runs[0],
    "runs_b": lambda p: p.runs[1],
    "paired_by_seed": lambda p: "yes" if p.by_seed else "no",
    "difference": lambda p: p.difference,
    "rows_low": lambda p: p.over_rows.low,
    "rows_high": lambda p: p.over_rows.high,
    "seeds_low": lambda p: p.over_seeds.low if p.over_seeds else None,
    "seeds_high": lambda p: p.over_seeds.high if p.over_seeds else None,
    "p_seeds": lambda p: p.p_seeds,
    "p_seeds_holm": lambda p: p.p_seeds_holm,
    "model_a": lambda p: plain(p.models[0]),
    "model_b": lambda p: plain(p.models[1]),
    "only_a_right": lambda p: p.mcnemar.a_only,
    "only_b_right": lambda p: p.mcnemar.b_only,
    "p_mcnemar": lambda p: p.mcnemar.p,
    "p_mcnemar_holm": lambda p: p.p_mcnemar_holm,
    "shown": lambda p: p.said,
}
PAIR_COLUMNS = (*_PAIR_CELLS, "reason")


def pair_rows(paired: Paired) -> list[dict[str, Value]]:
    """All pairs looked at with all digits, for CSV; those refused at the end, with the reason."""
    rows = [{name: cell(p) for name, cell in _PAIR_CELLS.items()} for p in paired.pairs]
    for one in paired.refused:
        rows.append({"a": one.a, "b": one.b, "shown": "not tested", "reason": plain(one.reason)})
    return rows


def mean_and_sd(summary: Summary | None) -> str:
    """Four decimals: mean ± standard deviation, the mean alone of one run, or a dash."""
    if summary is None:
        return "-"
    return _number(summary.mean) + ("" if summary.sd is None else f" ± {summary.sd:.4f}")


def word(claim: JudgedClaim | None) -> str:
    """A verdict in a word or two; a dash where there is no claim."""
    if claim is None:
        return "-"
    return "blank filled in" if claim.claimed is None and claim.measured else claim.verdict.word


def named(names: Iterable[str], separator: str = ", ") -> str:
    """Names in one line, the first five and how many more."""
    listed = list(names)
    more = len(listed) - MOST_NAMES
    return separator.join(listed[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _runs(pair: Pair) -> str:
    return f"{pair.runs[0]} shared" if pair.by_seed else f"{pair.runs[0]}, {pair.runs[1]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _points(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"

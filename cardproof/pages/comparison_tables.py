"""A comparison as tables: what Markdown, HTML and CSV show of it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from cardproof.claims.judge import JudgedClaim
from cardproof.claims.simulation import WORDS
from cardproof.csv_files import Value
from cardproof.evaluation.statistics import Summary
from cardproof.pages.formats import NONE, number, p_value, points
from cardproof.pages.tables import ColumnOf, Table, make_table
from cardproof.runs.groups import Group, Grouping
from cardproof.runs.paired import Paired
from cardproof.runs.reading import LeftOut, Run
from cardproof.text import printable

# What the table shows of each group, by the names that people know them by.
SHOWN = {"accuracy": "evaluate.accuracy", "loss": "evaluate.loss", "F1": "evaluate.f1_binary"}
# What the CSV has, unless the card averages otherwise.
_WRITTEN = {"accuracy": "evaluate.accuracy", "loss": "evaluate.loss"} | {
    key: f"evaluate.{key}" + ("" if key == "roc_auc" else "_binary")
    for key in ("f1", "precision", "recall", "roc_auc")
}
MOST_NAMES = 5


@dataclass(frozen=True)
class Comparison:
    """All there is to show."""

    grouping: Grouping  # the groups, and what is in none of them
    paired: Paired  # tests between them
    left_out: Sequence[LeftOut] = ()  # revisions that hold no run to compare

    @property
    def groups(self) -> list[Group]:
        """In the order of the table."""
        return self.grouping.groups


def main_table(grouping: Grouping) -> Table:
    """A line for each group: seeds, figures, claims and verdicts."""
    shared = f"All with {', '.join(grouping.shared)}. " if grouping.shared else ""
    missing: ColumnOf[Group] = ("missing", "text", lambda g: "; ".join(missing_figures(g)) or NONE)
    return make_table(
        "figures of each group",
        f"{shared}Each group's runs differ in their seed only. Figures are the mean ± the standard "
        "deviation of its runs, F1 of the positive class.",
        [
            ("group", "head", lambda g: g.label),
            ("seeds", "number", lambda g: str(len(g.runs))),
            ("accuracy", "number", lambda g: mean_and_sd(g.summary(SHOWN["accuracy"]))),
            ("claimed", "claimed", lambda g: _printed(g.claim("accuracy"))),
            ("verdict", "tag", lambda g: word(g.claim("accuracy"))),
            ("loss", "number", lambda g: mean_and_sd(g.summary(SHOWN["loss"]))),
            ("claimed", "claimed", lambda g: _printed(g.claim("loss"))),
            ("verdict", "tag", lambda g: word(g.claim("loss"))),
            ("F1", "number", lambda g: mean_and_sd(g.summary(SHOWN["F1"]))),
            *([missing] if any(map(missing_figures, grouping.groups)) else []),
        ],
        grouping.groups,
    )


def pairs_table(paired: Paired) -> Table:
    """Each pair that was tested."""
    return make_table(
        "paired tests",
        "Differences of mean accuracy in points of a hundred, with 95 % intervals over other test "
        "rows and, where both groups have several runs, other seeds. p-values are Holm-corrected "
        "over these pairs.",
        [
            ("groups", "head", lambda p: f"{p.a} − {p.b}"),
            ("seeds", "number",
             lambda p: f"{p.runs_a} shared" if p.by_seed else f"{p.runs_a}, {p.runs_b}"),
            ("difference, points", "number", lambda p: f"{100 * p.difference:+.2f}"),
            ("95 % interval", "number", lambda p: points(p.interval)),
            ("p", "number", lambda p: p_value(p.p_holm)),
            ("shown", "tag", lambda p: p.said),
        ],
        paired.pairs,
    )  # fmt: skip


def runs_table(groups: Sequence[Group]) -> Table:
    """Each run with its group and seed."""

    def figure(metric: str) -> Callable[[tuple[Group, Run]], str]:
        return lambda of: number(of[1].metrics.get(metric))

    return make_table(
        "runs",
        "Each run, its group and its seed.",
        [
            ("run", "head", lambda of: printable(of[1].name)),
            ("commit", "text", lambda of: of[1].commit[:7] or NONE),
            ("group", "text", lambda of: of[0].label),
            ("seed", "number", lambda of: str(of[1].seed)),
            *((name, "number", figure(metric)) for name, metric in SHOWN.items()),
            ("logits", "text", lambda of: "yes" if of[1].scored else "no"),
        ],
        [(group, run) for group in groups for run in group.runs],
    )


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know beside the tables, one sentence each."""
    same = comparison.grouping.same
    said = [*comparison.grouping.notes, *([printable(_named(same, "; "))] if same else [])]
    runs = [run for group in comparison.groups for run in group.runs]
    return said + _by_reason((remark, run.name) for run in runs for remark in run.remarks)


def verdicts(groups: Sequence[Group]) -> list[str]:
    """Each claim that was judged: its verdict and the reason."""
    return [
        f"{group.label}, {claim.name} {claim.printed}: {claim.verdict.word}. {claim.verdict.reason}"
        for group in groups
        for claim in group.claims
        if claim.verdict.word in WORDS
    ]


def not_judged(groups: Sequence[Group]) -> list[str]:
    """The groups whose claims were not, such as those that are not comparable; once a reason."""
    found = [
        (f"{claim.verdict.word}. {claim.verdict.reason}", group.label)
        for group in groups
        for claim in group.claims
        if claim.verdict.word not in WORDS
    ]
    return _by_reason(dict.fromkeys(found), "; ")


def refusals(paired: Paired) -> list[str]:
    """Pairs that could not be tested, with the reason."""
    return _by_reason(((one.reason, f"{one.a} − {one.b}") for one in paired.refused), "; ")


def left_out(comparison: Comparison) -> list[str]:
    """Revisions and runs that are not compared, with the reason."""
    every = [*comparison.left_out, *comparison.grouping.left_out]
    return _by_reason((one.reason, one.name) for one in every)


def _by_reason(found: Iterable[tuple[str, str]], separator: str = ", ") -> list[str]:
    """A sentence for each reason with the names that it holds for."""
    names: dict[str, list[str]] = defaultdict(list)
    for reason, name in found:
        names[reason].append(printable(name))
    return [f"{_named(of_one, separator)}: {printable(reason)}" for reason, of_one in names.items()]


def _named(names: Sequence[str], separator: str) -> str:
    """The first five names and how many more."""
    more = len(names) - MOST_NAMES
    return separator.join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


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
    """A row for each figure of each group, with all digits, for CSV."""
    rows: list[dict[str, Value]] = []
    for group in groups:
        of_group = {"group": group.label, "card": group.recipe.name}
        of_group["seeds"] = " ".join(map(str, group.seeds))
        claims = {claim.key: claim for claim in group.claims}
        for key, metric in (_WRITTEN | {k: c.metric for k, c in claims.items()}).items():
            found = group.summary(metric)
            row: dict[str, Value] = {**of_group, "figure": key, "metric": metric}
            row |= found._asdict() if found else {"n": 0}
            if key in claims:
                row |= {"claimed": claims[key].printed, "verdict": claims[key].verdict.word}
            rows.append(row)
    return rows


def pair_rows(paired: Paired) -> list[dict[str, Value]]:
    """All pairs looked at with all digits, for CSV; those refused at the end, with the reason."""
    tested: list[dict[str, Value]] = [
        {
            "a": pair.a,
            "b": pair.b,
            "rows": pair.rows,
            "runs_a": pair.runs_a,
            "runs_b": pair.runs_b,
            "difference": pair.difference,
            "interval_low": pair.interval.low,
            "interval_high": pair.interval.high,
            "interval_source": pair.interval.source,
            "p": pair.p,
            "p_holm": pair.p_holm,
            "shown": pair.said,
        }
        for pair in paired.pairs
    ]
    return tested + [asdict(one) | {"shown": "not tested"} for one in paired.refused]


def mean_and_sd(summary: Summary | None) -> str:
    """Four decimals: mean ± standard deviation, the mean alone of one run, or a dash."""
    if summary is None:
        return NONE
    return number(summary.mean) + ("" if summary.sd is None else f" ± {summary.sd:.4f}")


def word(claim: JudgedClaim | None) -> str:
    """A verdict in a word or two; a dash where there is no claim."""
    return claim.verdict.word if claim else NONE


def _printed(claim: JudgedClaim | None) -> str:
    return claim.printed if claim else NONE

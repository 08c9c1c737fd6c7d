"""The scores that a card prints together, of one evaluation, one average and one label each."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cardproof.audit.facts import CardFacts, Claim, Printed
from cardproof.audit.numbers import read_number
from cardproof.audit.vocabulary import METRICS, kind_of

_TOGETHER = 2  # lines between two figures of one list in prose


@dataclass(frozen=True)
class Record:
    """Scores of one evaluation.

    Attributes:
        where: the place, in words.
        line: in the document, from 1.
        evaluation: shared by the groups of one evaluation.
        of: the average, the label or both that the scores are of; empty for the plain metrics.
        scores: by metric.
    """

    where: str
    line: int
    evaluation: str
    of: str
    scores: Mapping[str, Printed]


def read_records(facts: CardFacts) -> Iterator[Record]:
    """All groups of scores: of the metadata, lists, tables, JSON blocks, rows of training."""
    groups: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    record, last = "", -_TOGETHER
    for claim in sorted(facts.claims, key=lambda claim: claim.line):
        if claim.source == "prose":
            record = record if claim.line - last <= _TOGETHER else f"prose {claim.line}"
            last = claim.line
        of = " ".join(filter(None, (claim.split, claim.average, claim.subject)))
        groups[claim.record or record, of].append(claim)
    for (evaluation, of), claims in groups.items():
        scores = _once(claims)
        if scores:
            first = claims[0]
            lines = {claim.line for claim in claims}
            in_lines = first.source == "prose" and len(lines) == len(claims)
            where = f"{'list' if in_lines else first.source}, line {first.line}"
            yield Record(where, first.line, evaluation, of, scores)
    for row in (*facts.training_rows, *facts.further_rows):
        by_label: dict[str, dict[str, Printed]] = defaultdict(dict)
        for key, printed in row.scores.items():
            metric = next((name for name in METRICS if key.endswith(name)), None)
            if metric:
                by_label[key.removesuffix(metric).strip()][metric] = printed
        if row.loss:
            by_label[""]["loss"] = row.loss
        for of, scores in by_label.items():
            where = f"training table, line {row.line}"
            yield Record(where, row.line, f"{where} step {row.step}", of, scores)


def _once(claims: list[Claim]) -> dict[str, Printed]:
    """Figures by metric; none of a metric that the place gives several values of."""
    values: dict[str, set[str]] = defaultdict(set)
    for claim in claims:
        values[claim.metric].add(claim.printed.text)
    return {c.metric: c.printed for c in claims if len(values[c.metric]) == 1}


def mixed_columns(facts: CardFacts) -> bool:
    """Whether a column of shares has losses in some rows: the columns were swapped there."""
    rows = (*facts.training_rows, *facts.further_rows)
    columns = {key for row in rows for key in row.scores if kind_of(key) == "share"}
    return any(_mixed([row.scores[key] for row in rows if key in row.scores]) for key in columns)


def _mixed(column: list[Printed]) -> bool:
    plain = [read_number(one.text) for one in column if "%" not in one.text]
    values = [one.figure.value for one in plain if one]
    return any(1 < value < 10 for value in values) and any(0.1 < value < 1 for value in values)

"""Scores against one another: what no labels and predictions can give, under any averaging."""

from collections.abc import Iterator

from cardproof.audit.facts import CardFacts, Checked, Finding, Printed
from cardproof.audit.numbers import loose, nearly_agree
from cardproof.audit.records import Record, read_records
from cardproof.audit.vocabulary import kind_of
from cardproof.text import capitalised

_ONE_LABEL = ("text-classification", "image-classification", "audio-classification")
_EPS = 1e-9


def check_range(facts: CardFacts) -> Iterator[Finding]:
    """Shares above 100 %: the first of each metric."""
    found: dict[str, Finding] = {}
    for record in read_records(facts):
        for metric, printed in record.scores.items():
            # With a comma it may be a decimal one: 93,125.
            above = printed.figure.low > 1 and "," not in printed.text
            if above and kind_of(metric) == "share":
                found.setdefault(metric, _out_of_range(record, metric, printed))
    yield from found.values()


def _out_of_range(record: Record, metric: str, printed: Printed) -> Finding:
    return Finding(
        "out-of-range",
        "warning",
        f"{capitalised(_named(record, metric))} {printed.text} is above 100 % ({record.where}). "
        "It holds only if it is no share of rows.",
        f"{metric} lies in 0 to 1, or 0 % to 100 %",
        record.line,
    )


def check_f1_between(facts: CardFacts) -> Iterator[Finding | Checked]:
    """F1 against precision and recall, by what holds under any averaging over classes or rows.

    Of one class F1 is the harmonic mean of P and R, which lies between P + R - 1 and (P + R) / 2.
    Both ends are linear in P and R, so that every weighted mean of classes lies between them, too.
    """
    classes = {row.line for report in facts.reports for row in report.classes}
    for record in read_records(facts):
        scores = record.scores
        if record.line in classes:
            continue  # of one class F1 is known to more than these bounds: check_report_rows
        drawn = "median" in record.of or "rouge" in record.of  # no means, so no bounds
        if not {"f1", "precision", "recall"} <= scores.keys() or drawn:
            continue
        yield Checked("F1 against precision and recall")
        f1, precision, recall = (loose(scores[m].figure) for m in ("f1", "precision", "recall"))
        ends = (precision.low + recall.low - 1, (precision.high + recall.high) / 2)
        if ends[0] - _EPS <= f1.high and f1.low <= ends[1] + _EPS:
            continue
        side = "above the mean of" if f1.low > ends[1] else "too low for"
        yield Finding(
            "f1-out-of-bounds",
            "warning",
            f"{capitalised(_named(record, 'F1'))} {scores['f1'].text} is {side} precision "
            f"{scores['precision'].text} and recall {scores['recall'].text} ({record.where}). "
            "It holds only if F1 is averaged otherwise than precision and recall, is of other "
            "rows, or each is a median of runs.",
            f"P + R - 1 <= F1 <= (P + R) / 2, here {ends[0]:.5g} to {ends[1]:.5g}, digits cut off "
            f"or rounded; F1 is {f1.low:.5g} to {f1.high:.5g}",
            record.line,
        )
        return  # the first place shows it


def check_identities(facts: CardFacts) -> Iterator[Finding | Checked]:
    """Averages that are the same number by definition, where each row has one label."""
    if facts.front_matter.pipeline_tag not in _ONE_LABEL or facts.multi_label:
        return
    pairs = (
        ("weighted", "recall", "", "accuracy"),
        ("micro", "f1", "", "accuracy"),
        ("micro", "precision", "", "accuracy"),
        ("micro", "recall", "", "accuracy"),
        ("macro", "recall", "", "balanced accuracy"),
    )
    by_of: dict[str, list[Record]] = {}
    for record in read_records(facts):
        by_of.setdefault(record.of, []).append(record)
    for average, metric, plain, other in pairs:
        for record in by_of.get(average, []):
            near = [r for r in by_of.get(plain, []) if _together(r, record) and other in r.scores]
            if metric not in record.scores or not near:
                continue
            yield Checked(f"{average} {metric} against {other}")
            one, two = record.scores[metric], near[0].scores[other]
            if not nearly_agree(one.figure, two.figure):
                yield Finding(
                    "averages-differ",
                    "warning",
                    f"{capitalised(average)} {metric} {one.text} is not {other} {two.text}, "
                    "although the two are one number by definition. They hold if rows have "
                    "several labels, or if some labels were left out.",
                    f"{record.where}; {near[0].where}",
                    record.line,
                )
                return


def _together(one: Record, other: Record) -> bool:
    """Whether two groups of scores are of one evaluation."""
    return one.evaluation == other.evaluation


def _named(record: Record, metric: str) -> str:
    return f"{record.of} {metric}".strip()

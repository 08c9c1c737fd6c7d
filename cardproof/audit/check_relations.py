"""Scores against one another: what no labels and predictions can give, under any averaging."""

from collections.abc import Iterator

from cardproof.audit.facts import CardFacts, Checked, Finding, Printed
from cardproof.audit.numbers import loose, nearly_agree, read_number
from cardproof.audit.records import Record, read_records
from cardproof.audit.vocabulary import average_in, kind_of
from cardproof.text import capitalised

_ONE_LABEL = ("text-classification", "image-classification", "audio-classification")
_PERCENT_FROM = 2.0  # printed above this it is a percentage
_NO_SHARE = 10.0  # a column may change from shares to percentages, but hardly to such small ones
_CLEARLY = 0.1  # a fraction, and no percentage of less than 1 %
_EPS = 1e-9


def check_range(facts: CardFacts) -> Iterator[Finding]:
    """Shares above 1 that are no percentages, or above 100 %: the first of each metric."""
    records, said = list(read_records(facts)), set()
    in_percent = any(
        _above(printed, _PERCENT_FROM)
        for record in records
        for metric, printed in record.scores.items()
        if kind_of(metric) == "share"
    )
    for record in records:
        for metric, printed in record.scores.items():
            if metric in said or kind_of(metric) != "share":
                continue
            proven = printed.figure.low > 1 or _among_shares(facts, record, metric, printed)
            doubtful = not record.of and not in_percent and _above(printed, 1.0)
            if proven or doubtful:
                said.add(metric)
                yield Finding(
                    "out-of-range",
                    "error" if proven else "warning",
                    f"{capitalised(_named(record, metric))} {printed.text} is above 1 "
                    f"({record.where})"
                    + (", and no percentage." if proven else ". It holds only as a percentage."),
                    f"{metric} lies in 0 to 1, or 0 % to 100 %",
                    record.line,
                )


def _above(printed: Printed, limit: float) -> bool:
    """Whether a share is printed as a number above a limit, without saying that it is percent."""
    plain = read_number(printed.text)
    return plain is not None and plain.figure.low > limit and "%" not in printed.text


def _among_shares(facts: CardFacts, record: Record, metric: str, printed: Printed) -> bool:
    """Whether a figure above 1 stands among fractions: of its column, or of its own evaluation."""
    if not _above(printed, 1.0) or _above(printed, _NO_SHARE):
        return False
    beside = [one for name, one in record.scores.items() if kind_of(name) == "share"]
    if record.where.startswith("training table"):
        beside += [row.scores[metric] for row in facts.training_rows if metric in row.scores]
    if any(_above(one, _NO_SHARE) for one in beside):
        return False  # percentages that begin low
    return any(one.text.startswith("0.") and one.figure.value > _CLEARLY for one in beside)


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
        # Without a stated average each may be of another: macro precision, weighted F1.
        proven = bool(average_in(record.of)) and not record.where.startswith("prose")
        yield Finding(
            "f1-out-of-bounds",
            "error" if proven else "warning",
            f"{capitalised(_named(record, 'F1'))} {scores['f1'].text} is {side} precision "
            f"{scores['precision'].text} and recall {scores['recall'].text} ({record.where}). "
            + (
                "Averaged alike, the three cannot be so."
                if proven
                else "It holds only if F1 is averaged otherwise than precision and recall, or is "
                "of other rows."
            ),
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

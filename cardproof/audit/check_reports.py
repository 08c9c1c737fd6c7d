"""Classification reports: in themselves, and against the headline."""

from collections.abc import Iterator, Mapping

from cardproof.audit.check_agreement import not_compared, place
from cardproof.audit.confusion import harmonic_mean_range
from cardproof.audit.facts import (
    CardFacts,
    Checked,
    Claim,
    Finding,
    Report,
    ReportRow,
)
from cardproof.audit.numbers import loose, nearly_agree
from cardproof.recipe.reported import PrintedFigure

_SCORES = ("precision", "recall", "f1")
_EPS = 1e-9


def check_report_rows(facts: CardFacts) -> Iterator[Finding | Checked]:
    """F1 of each class, which is the harmonic mean of its precision and recall."""
    for report in facts.reports:
        for row in report.rows:
            if row.average in (None, "micro") and set(_SCORES) <= row.scores.keys():
                yield Checked("a classification report in itself")
                low, high = harmonic_mean_range(
                    loose(row.scores["precision"].figure), loose(row.scores["recall"].figure)
                )
                f1 = loose(row.scores["f1"].figure)
                # A unit more: F1 may come from precision and recall that were rounded before.
                slack = 2 * row.scores["f1"].figure.half_unit + _EPS
                if f1.low > high + slack or f1.high < low - slack:
                    yield _wrong_row(row, low, high)


def _wrong_row(row: ReportRow, low: float, high: float) -> Finding:
    texts = {name: printed.text for name, printed in row.scores.items()}
    return Finding(
        "report-row",
        "warning",
        f'In its classification report F1 of "{row.label[:40]}", {texts["f1"]}, is not what '
        f"precision {texts['precision']} and recall {texts['recall']} give. "
        "They hold as means over several runs, or if F is another than F1.",
        f"2 P R / (P + R) lies in {low:.4f} to {high:.4f}, digits cut off or rounded",
        row.line,
    )


def check_report_headline(facts: CardFacts) -> Iterator[Finding | Checked]:
    """The headline against the one report of the card."""
    if len(facts.reports) == 1:
        report = facts.reports[0]
        last = max(row.line for row in report.rows) + 6  # its accuracy and averages included
        own = range(report.line, last)
        yield from _against(facts, _of_report(report), own)


def _of_report(report: Report) -> dict[str, list[PrintedFigure]]:
    """What each metric may be by a report: accuracy, and F1 of any average or class."""
    whole = [report.accuracy.figure] if report.accuracy else []
    averaged = {row.average for row in report.rows} >= {"macro", "weighted"}
    rows = [row for row in report.rows if averaged and "f1" in row.scores]
    f1 = [row.scores["f1"].figure for row in rows]
    # Micro F1, which a report seldom prints, is accuracy and the weighted recall.
    micro = [row.scores["recall"].figure for row in rows if row.average == "weighted"]
    return {"accuracy": whole, "f1": [*f1, *micro, *whole] if f1 else []}


def _against(
    facts: CardFacts, found: Mapping[str, list[PrintedFigure]], own: range
) -> Iterator[Finding | Checked]:
    """The first headline figure that none of the figures of the report is."""
    for metric, figures in found.items():
        claim = _headline(facts, metric, own)
        if claim is None or not figures:
            continue
        if any(nearly_agree(claim.printed.figure, figure) for figure in figures):
            yield Checked("the headline against its classification report")
        else:
            values = ", ".join(f"{figure.value:.4g}" for figure in figures[:8])
            text = f"{metric} {claim.printed.text} ({place(claim)}) is not that of its "
            why = f"{text}classification report, {values}: they may be of different rows"
            yield not_compared(why, claim)
            return


def _headline(facts: CardFacts, metric: str, own: range) -> Claim | None:
    """The headline, if the card gives the metric one value outside the lines of the report."""
    claims = [
        claim
        for claim in facts.claims
        if claim.metric == metric
        and claim.subject is None
        and claim.split != "train"
        and not claim.verified
        and claim.line not in own
    ]
    return claims[0] if len({claim.printed.figure.value for claim in claims}) == 1 else None

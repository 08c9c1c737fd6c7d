"""Classification reports: in themselves, and against the headline."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cardproof.audit.confusion import harmonic_mean_range
from cardproof.audit.facts import (
    CardFacts,
    Checked,
    Claim,
    Finding,
    Printed,
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
                    yield _wrong_row(row, low, high, proven=not facts.averages_runs)


def _wrong_row(row: ReportRow, low: float, high: float, *, proven: bool) -> Finding:
    texts = {name: printed.text for name, printed in row.scores.items()}
    return Finding(
        "report-row",
        "error" if proven else "warning",
        f'In its classification report F1 of "{row.label[:40]}", {texts["f1"]}, is not what '
        f"precision {texts['precision']} and recall {texts['recall']} give."
        + ("" if proven else " They hold as means over several runs."),
        f"2 P R / (P + R) lies in {low:.4f} to {high:.4f}, digits cut off or rounded",
        row.line,
    )


def check_report_averages(facts: CardFacts) -> Iterator[Finding]:
    """The averages of a report that lists all its classes, recomputed from the classes."""
    for report in facts.reports:
        if not report.complete:
            continue
        supports = np.array([row.support or 0 for row in report.classes], dtype=float)
        for row in report.rows:
            if row.average not in ("macro", "weighted") or not supports.any():
                continue
            weights = supports if row.average == "weighted" else np.ones_like(supports)
            for name in _SCORES:
                parts = [one.scores[name].figure for one in report.classes if name in one.scores]
                if name in row.scores and len(parts) == len(supports):
                    mean = _weighted(parts, weights)
                    yield from _average_differs(row.label, name, row.scores[name], mean, row.line)
        parts = [one.scores["recall"].figure for one in report.classes if "recall" in one.scores]
        if report.accuracy and len(parts) == len(supports) and supports.any():
            mean = _weighted(parts, supports)
            yield from _average_differs("accuracy", "", report.accuracy, mean, report.line)


def _weighted(parts: Sequence[PrintedFigure], weights: NDArray[np.float64]) -> PrintedFigure:
    """The weighted mean of figures that may have been cut off, as an interval."""
    wide = [loose(part) for part in parts]
    low = float(np.average([part.low for part in wide], weights=weights))
    high = float(np.average([part.high for part in wide], weights=weights))
    return PrintedFigure((low + high) / 2, (high - low) / 2)


def _average_differs(
    label: str, name: str, printed: Printed, mean: PrintedFigure, line: int
) -> Iterator[Finding]:
    figure = loose(printed.figure)
    if figure.low > mean.high + _EPS or figure.high < mean.low - _EPS:
        yield Finding(
            "report-average",
            "error",
            f"In its classification report {' '.join(filter(None, (label[:40], name)))} is "
            f"{printed.text}, and its classes give {mean.value:.3g}.",
            f"recomputed from all classes: {mean.low:.4f} to {mean.high:.4f}, digits cut off or "
            "rounded",
            line,
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
        yield Checked("the headline against its classification report")
        if not any(nearly_agree(claim.printed.figure, figure) for figure in figures):
            values = ", ".join(f"{figure.value:.4g}" for figure in figures[:8])
            yield Finding(
                "report-against-headline",
                "warning",
                f"Its {metric} of {claim.printed.text} ({claim.source}, line {claim.line}) is not "
                "that of its classification report. It holds if the two are of different rows or "
                "weights.",
                f"by the report, {metric} is {values}",
                own.start,
            )
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

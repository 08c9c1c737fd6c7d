"""Classification reports of a card, as text or as Markdown tables."""

import re
from collections.abc import Callable, Sequence
from itertools import islice

from cardproof.audit.facts import Report, ReportRow
from cardproof.audit.numbers import read_number
from cardproof.audit.tables import Table
from cardproof.audit.vocabulary import average_in, metric_named

_MOST = 20  # reports of a card
_MOST_LINES = 400  # of one report
_HEADER = re.compile(r"^.{0,80}?precision\s{1,20}recall\s{1,20}f1-?(?:score)?\s{1,20}support", re.M)
_N = r"(\d\.\d{1,10}+|\d{1,3}\.\d{1,10}+ ?%|[01])"
_ROW = re.compile(
    rf"[ \t>]*(?P<label>\S(?:.{{0,60}}\S)??)[ \t]{{1,40}}{_N}[ \t]{{1,40}}{_N}[ \t]{{1,40}}{_N}"
    r"[ \t]{1,40}\d[\d,]{0,11}(?:\.0)?[ \t]*$"
)
_ACCURACY = re.compile(
    rf"[ \t>]*accuracy[ \t]{{1,80}}{_N}(?:[ \t]{{1,40}}(\d[\d,]{{0,11}}))?[ \t]*$"
)
_CLASSES = re.compile(r"\b(?:class(?:es)?|labels?|entity|tags?|categor(?:y|ies))\b")
_NO_CLASSES = re.compile(r"model|method|data|split|epoch|step|name|file|version|lang|task")


def find_reports(
    text: str, tables: Sequence[Table], line_of: Callable[[int], int]
) -> tuple[Report, ...]:
    """All classification reports of a card.

    Args:
        text: its body, with code blocks and tables.
        tables: its tables that are not of training runs.
        line_of: the line of a place in the text.
    """
    found = [_text_report(text, match.end(), line_of) for match in _HEADER.finditer(text)]
    found += [_table_report(table, line_of(table.start)) for table in tables]
    return tuple(islice((report for report in found if report and report.rows), _MOST))


def _text_report(text: str, start: int, line_of: Callable[[int], int]) -> Report | None:
    """The report under a header of sklearn's, up to a line that is none of its own."""
    first, rows, accuracy = line_of(start), [], None
    for number, line in enumerate(islice(text[start:].split("\n")[1:], _MOST_LINES), first + 1):
        row, total = _ROW.match(line[:300]), _ACCURACY.match(line[:300])
        if total:
            accuracy = read_number(total[1])
        elif row:
            rows.append(_report_row(row["label"], row.groups()[1:4], number))
        elif line.strip() and rows:
            break
    return Report(first, tuple(rows), accuracy) if rows else None


def _report_row(label: str, cells: Sequence[str], line: int) -> ReportRow:
    names = ("precision", "recall", "f1")
    printed = {name: read_number(cell) for name, cell in zip(names, cells, strict=True)}
    scores = {name: one for name, one in printed.items() if one}
    return ReportRow(label, _average_of(label), scores, line)


def _average_of(label: str) -> str | None:
    """The average that a row is, "other" if it does not say which; None for a class.

    A class may be named Micro, but hardly micro avg.
    """
    name = label.lower().replace("_", " ")
    is_one = re.search(r"\b(?:avg|average|averaged|overall|total|mean|all)\b", name)
    return (average_in(name) or "other") if is_one else None


def _table_report(table: Table, line: int) -> Report | None:
    """A Markdown table of precision, recall and F1 a class: so headed, or with their support."""
    named = {metric_named(name): place for place, name in enumerate(table.header) if place}
    places: dict[str, int] = {n: named[n] for n in ("precision", "recall", "f1") if n in named}
    heads = [name.lower().strip() for name in table.header]
    if len(places) < 3 or len(table.rows) < 2:
        return None
    rows, accuracy = [], None
    for number, cells in enumerate(table.rows, line + 2):
        label = cells[0] if cells else ""
        values = {name: read_number(cells[i]) for name, i in places.items() if i < len(cells)}
        scores = {name: one for name, one in values.items() if one and one.figure.value <= 1}
        if label.lower().strip("* ") == "accuracy":
            accuracy = next((scores[name] for name in ("f1", "precision") if name in scores), None)
        elif len(scores) == 3:
            rows.append(ReportRow(label, _average_of(label), scores, number))
    averaged = any(row.average for row in rows)
    counted = bool({"support", "number"} & set(heads)) and not _NO_CLASSES.search(heads[0])
    if not (averaged or counted or _CLASSES.search(heads[0])):
        return None
    return Report(line, tuple(rows), accuracy)

"""The figures that a card claims in its text: lists, sentences, tables and JSON blocks."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from cardproof.audit.facts import Claim, Printed, Quote, Source, Split
from cardproof.audit.numbers import NUMBER, as_share, of_yaml, read_number
from cardproof.audit.tables import Table
from cardproof.audit.vocabulary import average_in, metric_entry, metric_named, split_in

_MOST = 2_000  # claims, and blocks of code
_LARGEST_JSON = 64 * 1024
_METRIC = r"(?P<metric>accuracy|f1(?:[ -]score)?|precision|recall|loss)"
_JOIN = r"(?:of|is|was|at|about|around|approximately|reached|score|[:=|*`]|\([^()\n]{0,30}\))"
_NAME_FIRST = re.compile(
    rf"(?<![\w@-]){_METRIC}(?P<between>(?:\s{{0,3}}{_JOIN}){{1,5}})\s{{0,3}}"
    rf"(?P<value>{NUMBER})(?![\w/@]|-\w|\.\d)",
    re.I,
)
_VALUE_FIRST = re.compile(
    rf"(?P<value>{NUMBER})\s{{1,2}}(?P<between>(?:[a-z]{{1,12}}\s){{0,2}}){_METRIC}\b", re.I
)
_WHOLE_LINE = re.compile(
    rf"^[ \t*•-]{{0,6}}(?P<name>[A-Za-z][\w ()-]{{1,40}})[ \t]{{1,4}}"
    rf"(?P<value>{NUMBER})[ \t]{{0,4}}$",
    re.M,
)
_RESULTS_LIST = re.compile(r"achieves the following results on the evaluation set", re.I)
_RESULTS_REACH = 600  # characters: the Trainer's list is shorter
# A line, a full stop, the next entry of a list or, where line breaks are lost, a heading.
_SENTENCE_END = re.compile(r"\n|[.;]\s|\s(?:[-•|]|#{1,6})\s")
# A figure whose sentence has one of these words is of another model, or no plain metric.
_OTHER = re.compile(
    r"baseline|compared|versus|improve|previous|retain|human|balanced|top-\d|random|than\b", re.I
)


def text_claims(
    prose: str, tables: list[Table], blocks: list[Quote], line_of: Callable[[int], int]
) -> list[Claim]:
    """All claims of a document's body.

    Args:
        prose: the body without tables and code.
        tables: its tables that are not of training runs.
        blocks: its blocks of code.
        line_of: the line of a place in the text.
    """
    found = [claim for block in blocks for claim in _json_claims(block.text, block.line)]
    found += (claim for table in tables for claim in _table_claims(table, line_of(table.start)))
    found += islice(_prose_claims(prose, line_of), _MOST)
    return found


def code_fences(text: str) -> list[tuple[int, int]]:
    """Where code blocks are, without their marks; one that is not closed reaches the end."""
    fences: list[tuple[int, int]] = []
    place = text.find("```")
    while place >= 0 and len(fences) < _MOST:
        end = text.find("```", place + 3)
        end = len(text) if end < 0 else end
        fences.append((place + 3, end))
        place = text.find("```", end + 3)
    return fences


def blank_out(text: str, spans: list[tuple[int, int]]) -> str:
    """Replace spans by blanks, so that places in the text stay what they are."""
    pieces, place = [], 0
    for start, end in sorted(spans):
        if end > place:
            first = max(start, place)
            pieces += [text[place:first], re.sub(r"[^\n]", " ", text[first:end])]
            place = end
    return "".join([*pieces, text[place:]])


def _prose_claims(text: str, line_of: Callable[[int], int]) -> Iterator[Claim]:
    """Claims in lists and sentences."""
    listed = _RESULTS_LIST.search(text)
    results_end = listed.end() + _RESULTS_REACH if listed else -1
    if listed:
        heading = text.find("#", listed.end(), results_end)
        results_end = heading if heading >= 0 else results_end
    taken: set[int] = set()
    for pattern in (_NAME_FIRST, _VALUE_FIRST):
        for match in pattern.finditer(text):
            before, after = _sentence(text, match.start(), match.end())
            printed = _prose_score(match["metric"], match["value"])
            if printed is None or _OTHER.search(before + after) or match.start("value") in taken:
                continue
            taken.add(match.start("value"))
            near = " ".join([*before.split()[-3:], match["between"]])
            inside = listed is not None and listed.end() <= match.start() < results_end
            source: Source = "results list" if inside else "prose"
            metric, line = metric_named(match["metric"]), line_of(match.start())
            split = split_in(near) or split_in(after[:40])
            yield Claim(metric or "", printed, source, line, average_in(near), split)
    for match in _WHOLE_LINE.finditer(text):
        metric = metric_named(match["name"])
        printed = _prose_score(metric, match["value"]) if metric else None
        if metric and printed and match.start("value") not in taken:
            average, split = average_in(match["name"]), split_in(match["name"])
            yield Claim(metric, printed, "prose", line_of(match.start()), average, split)


def _sentence(text: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and after a match in its sentence or list entry, 80 characters at most."""
    before, after = text[max(0, start - 80) : start], text[end : end + 80]
    return _SENTENCE_END.split(before)[-1], _SENTENCE_END.split(after)[0]


def _prose_score(metric: str, text: str) -> Printed | None:
    """A figure that can be a score: with a point or a percent sign, or 0 or 1."""
    printed = read_number(text)
    if printed is None or ("." not in text and "%" not in text and printed.figure.value > 1):
        return None
    return printed if metric.lower() == "loss" else as_share(printed)


def _table_claims(table: Table, line: int) -> Iterator[Claim]:
    """Claims of a Markdown table: a metric per row, or a metric per column."""
    named = sum(metric_named(row[0]) is not None for row in table.rows)
    if 2 * named >= len(table.rows) and named:
        yield from _claims_by_row(table, line)
    else:
        yield from _claims_by_column(table, line)


def _claims_by_row(table: Table, line: int) -> Iterator[Claim]:
    """`| Metric | Value |`, or a column for each split or model."""
    for number, row in enumerate(table.rows, start=line + 2):
        metric = metric_named(row[0])
        for name, cell in zip(table.header[1:], row[1:], strict=False):
            printed = _prose_score(metric, cell) if metric else None
            if metric and printed:
                context = f"{row[0]} {name}"
                several = len(table.header) > 2 and split_in(name) is None
                subject = name if several and name.lower() not in ("value", "score") else None
                average, split = average_in(context), split_in(context)
                yield Claim(metric, printed, "table", number, average, split, subject)


def _claims_by_column(table: Table, line: int) -> Iterator[Claim]:
    """`| Model | Accuracy | F1 |`, or the rows of a classification report."""
    for number, row in enumerate(table.rows, start=line + 2):
        label = row[0] if metric_named(table.header[0]) is None else ""
        average, split = average_in(label), split_in(label)
        alone = len(table.rows) == 1 or bool(average or split)
        for name, cell in zip(table.header, row, strict=False):
            metric = metric_named(name)
            printed = _prose_score(metric, cell) if metric else None
            if metric and printed:
                subject = None if alone else label or f"row {number}"
                found = average or average_in(name), split or split_in(name)
                yield Claim(metric, printed, "table", number, *found, subject)


def _json_claims(block: str, line: int) -> Iterator[Claim]:
    """Claims of a JSON block: `{"type": ..., "value": ...}` entries, or `"accuracy": 0.93`."""
    begin = min((at for at in (block.find("{"), block.find("[")) if 0 <= at < 20), default=-1)
    if begin < 0 or len(block) > _LARGEST_JSON:
        return
    try:
        data = json.loads(block[begin:])
    except (ValueError, RecursionError):
        return  # some other language, or a block with comments
    yield from islice(_walk(data, line, _first_split(data)), _MOST)


def _first_split(data: Any) -> Split | None:
    """The split that a document names, at its top or under `dataset`."""
    if not isinstance(data, Mapping):
        return None
    dataset = data.get("dataset")
    inner = dataset.get("split") if isinstance(dataset, Mapping) else None
    return split_in(str(data.get("split") or inner or ""))


def _walk(data: Any, line: int, split: Split | None) -> Iterator[Claim]:
    """Claims in nested data, without recursion."""
    waiting = [data]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += reversed(node)
        elif isinstance(node, Mapping):
            entry = metric_entry(node)
            if entry:
                metric, average, printed = entry
                yield Claim(metric, printed, "JSON block", line, average, split)
                continue
            waiting += [value for value in node.values() if isinstance(value, Mapping | list)]
            for name, value in node.items():
                metric_of_key, number = metric_named(str(name)), of_yaml(value)
                if metric_of_key and number:
                    share = number if metric_of_key == "loss" else as_share(number)
                    found = average_in(str(name)), split_in(str(name)) or split
                    if share:
                        yield Claim(metric_of_key, share, "JSON block", line, *found)

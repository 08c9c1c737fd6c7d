"""The figures that a card claims in its text: lists, sentences, tables and JSON blocks."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from cardproof.audit.facts import Claim, Printed, Quote, Split
from cardproof.audit.numbers import NUMBER, of_yaml, read_number
from cardproof.audit.tables import Table
from cardproof.audit.vocabulary import (
    Name,
    as_score,
    average_in,
    kind_of,
    metric_entry,
    metric_named,
    read_name,
    split_in,
)

_MOST = 2_000  # claims, and blocks of code
_LARGEST_JSON = 64 * 1024
_METRIC = (
    r"(?P<metric>(?:balanced )?accuracy|f1(?:[ -]score)?|precision|recall|specificity|loss|wer|cer"
    r"|(?:sacre)?bleu|rouge-?[12l](?:sum)?|exact match|mcc|matthews correlation|kappa|perplexity)"
)
_JOIN = r"(?:of|is|was|at|about|around|approximately|reached|score|[:=|*`]|\([^()\n]{0,30}\))"
_GAP = r"[ \t]{0,3}"  # within a line: the next one is of something else
_NAME_FIRST = re.compile(
    rf"(?<![\w@+-]){_METRIC}(?P<between>(?:{_GAP}{_JOIN}){{0,5}}){_GAP}"
    rf"(?P<value>{NUMBER})(?![\w/@]|-\w|\.\d)",
    re.I,
)
_VALUE_FIRST = re.compile(
    rf"(?P<value>{NUMBER})[ \t]{{1,2}}(?P<between>(?:[a-z]{{1,12}}[ \t]){{0,2}}){_METRIC}\b", re.I
)
_WHOLE_LINE = re.compile(
    rf"^[ \t*•-]{{0,6}}(?P<name>[A-Za-z][\w ()-]{{1,40}})[ \t]{{1,4}}"
    rf"(?P<value>{NUMBER})[ \t]{{0,4}}$",
    re.M,
)
_RESULTS_LIST = re.compile(
    r"achieves the following results on the evaluation set(?P<which>[ \t]\([^()\n]{1,200}\))?:?",
    re.I,
)
_LEAD_IN = re.compile(r"^(?:#.{0,100}|.{0,160}:[*_ \t]{0,4}|\*\*.{1,100}\*\*[ \t]*)$", re.M)
_LEAD_REACH = 400  # characters
_ITEM = re.compile(
    r"\s{0,9}[-•*][ \t]{0,3}(?P<name>[A-Za-z][\w @/().%+-]{0,60}?)[*`]{0,2}[ \t]{0,2}:[*`]{0,2}"
    rf"[ \t]{{0,3}}(?P<value>{NUMBER})(?=\s|$)"
)
_NESTED = re.compile(r"\s{0,9}[-•*][ \t]{0,3}[A-Za-z][^:\n]{0,60}:[ \t]{0,3}\{[^{}\n]{0,400}\}")
_MOST_ITEMS = 200
# A line, a full stop, the next entry of a list or, where line breaks are lost, a heading.
_SENTENCE_END = re.compile(r"\n|[.;]\s|\s(?:[-•|]|#{1,6})\s")
# A figure whose sentence has one of these words is of another model, or no plain metric.
_OTHER = re.compile(
    r"baseline|compared|versus|\bvs\b|improve|previous|retain|human|top-\d|random|\bthan\b|class\b"
    r"|epoch|fold|least|above|below|threshold|drop|loss of accuracy|\beach|\bper[- ]|original"
    r"|teacher|that model|vanilla|with(?:out)? (?:an? |the )?(?:lm|language model)"
    r"|of the [\w-]{1,30} model",
    re.I,
)


_BEHIND = re.compile(r"\s{0,2}\(([^()\n]{1,40})\)")  # "0.88 (weighted)"


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
    listed = _RESULTS_LIST.search(prose)
    if listed:
        # Words on which rows those are tell them from the rows of a plain test score.
        which = split_in(listed["which"]) or "validation" if listed["which"] else None
        items, end = _list_claims(prose, listed.end(), line_of, which)
        found += items
        prose = blank_out(prose, [(listed.end(), end)])
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


def _list_claims(
    text: str, start: int, line_of: Callable[[int], int], split: Split | None
) -> tuple[list[Claim], int]:
    """The Trainer's list of results, and where it ends: at the first line that is no entry."""
    found: list[Claim] = []
    place, record = start, f"list {line_of(start)}"
    while len(found) < _MOST_ITEMS:
        match = _ITEM.match(text, place)
        if match is None:
            nested = _NESTED.match(text, place)
            if nested is None:
                break
            place = nested.end()
            continue
        name, printed = read_name(match["name"]), read_number(match["value"])
        place = match.end()
        if printed:
            score = as_score(name.metric, printed)
            line = line_of(match.start("name"))
            found.append(
                Claim(name.metric, score, "results list", line, name.average,
                      name.split or split, name.subject, record=record)
            )  # fmt: skip
    return found, place


def _prose_claims(text: str, line_of: Callable[[int], int]) -> Iterator[Claim]:
    """Claims in other lists and in sentences."""
    taken: set[int] = set()
    for pattern in (_NAME_FIRST, _VALUE_FIRST):
        for match in pattern.finditer(text):
            before, after = _sentence(text, match.start(), match.end())
            name = read_name(match["metric"])
            printed = _prose_score(name.metric, match["value"])
            if printed is None or match.end("value") in taken:
                continue
            lead = _lead_in(text, match.start())
            if _OTHER.search(" ".join((before, after, match["between"], lead))):
                continue
            taken.add(match.end("value"))
            near = " ".join([*before.split()[-3:], match["between"]])
            line = line_of(match.start())
            split = split_in(near) or split_in(after[:40])
            split = split or (split_in(lead) if split_in(lead) != "train" else None)
            behind = _BEHIND.match(after)
            average = average_in(near) or (average_in(behind[1]) if behind else None)
            yield Claim(name.metric, printed, "prose", line, average, split)
    for match in _WHOLE_LINE.finditer(text):
        name = read_name(match["name"])
        printed = _prose_score(name.metric, match["value"]) if name.known else None
        if printed and name.subject is None and match.end("value") not in taken:
            line = line_of(match.start())
            yield Claim(name.metric, printed, "prose", line, name.average, name.split)


def _lead_in(text: str, place: int) -> str:
    """The heading, or the line that ends in a colon, under which a figure stands."""
    before = text[max(0, place - _LEAD_REACH) : place]
    return next((m[0] for m in reversed(list(_LEAD_IN.finditer(before)))), "")


def _sentence(text: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and after a match in its sentence or list entry, 80 characters at most."""
    before, after = text[max(0, start - 80) : start], text[end : end + 80]
    return _SENTENCE_END.split(before)[-1], _SENTENCE_END.split(after)[0]


def _prose_score(metric: str, text: str) -> Printed | None:
    """A figure that can be a score: with a point or a percent sign."""
    printed = read_number(text)
    if printed is None or ("." not in text and "%" not in text):
        return None
    score = as_score(metric, printed)
    return score if score.figure.value <= 1 or kind_of(metric) != "share" else None


def _table_claims(table: Table, line: int) -> Iterator[Claim]:
    """Claims of a Markdown table: a metric per row, or a metric per column."""
    named = sum(bool(row) and metric_named(row[0]) is not None for row in table.rows)
    if 2 * named >= len(table.rows) and named:
        yield from _claims_by_row(table, line)
    else:
        yield from _claims_by_column(table, line)


def _claims_by_row(table: Table, line: int) -> Iterator[Claim]:
    """`| Metric | Value |`, or a column for each split or model."""
    for number, row in enumerate(table.rows, start=line + 2):
        name = read_name(row[0])
        for column, (header, cell) in enumerate(zip(table.header[1:], row[1:], strict=False)):
            printed = _prose_score(name.metric, cell) if name.known else None
            if printed:
                several = len(table.header) > 2 and split_in(header) is None
                own = header if several and header.lower() not in ("value", "score") else None
                context = f"{row[0]} {header}"
                yield Claim(
                    name.metric,
                    printed,
                    "table",
                    number,
                    average_in(context),
                    split_in(context),
                    " ".join(filter(None, (name.subject, own))) or None,
                    record=f"table {line} column {column}",
                )


def _claims_by_column(table: Table, line: int) -> Iterator[Claim]:
    """`| Model | Accuracy | F1 |`, or the rows of a classification report."""
    columns = [read_name(name) for name in table.header]
    for number, row in enumerate(table.rows, start=line + 2):
        label = row[0] if row and not (columns and columns[0].known) else ""
        average, split = average_in(label), split_in(label)
        alone = len(table.rows) == 1 or bool(average or split)
        for name, cell in zip(columns, row, strict=False):
            printed = _prose_score(name.metric, cell) if name.known else None
            if printed:
                own = None if alone else label or f"row {number}"
                yield Claim(
                    name.metric,
                    printed,
                    "table",
                    number,
                    average or name.average,
                    split or name.split,
                    " ".join(filter(None, (name.subject, own))) or None,
                    record=f"table {line} row {number}",
                )


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
            if entry and entry[0].known:
                yield _json_claim(*entry, line, split)
                continue
            waiting += [value for value in node.values() if isinstance(value, Mapping | list)]
            for key, value in node.items():
                name, number = read_name(str(key)), of_yaml(value)
                if name.known and number:
                    yield _json_claim(name, as_score(name.metric, number), line, split)


def _json_claim(name: Name, printed: Printed, line: int, split: Split | None) -> Claim:
    found = name.average, name.split or split, name.subject
    return Claim(name.metric, printed, "JSON block", line, *found, record=f"JSON {line}")

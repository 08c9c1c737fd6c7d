"""A card's text in the forms that the readers of this room need."""

import re
from dataclasses import dataclass
from itertools import islice

from cardproof.audit.claims import blank_out, code_fences
from cardproof.audit.facts import CardFacts
from cardproof.audit.front_matter import split_document
from cardproof.audit.numbers import read_number
from cardproof.audit.reading import LARGEST, read_card
from cardproof.audit.tables import Table, find_tables

_SENTENCE_END = re.compile(r"\n|(?<=[.;!?])[ \t]")
_LONGEST_SENTENCE = 2_000  # characters
_MARKS = re.compile(r"^[\s•*>#-]{1,20}|\*\*|`")  # of lists, headings, bold type and code
_LIST = re.compile(r"hyperparameters were used during training:?", re.I)
_LIST_REACH = 20_000  # characters: the Trainer's list is far shorter
_LIST_END = re.compile(r"\s#{1,4} |\n\s*(?:Training results|Framework versions)\b", re.I)
_ITEM = re.compile(r"(?:^|(?<=\s))[-•*] {1,3}(\w{2,60}): *")


@dataclass(frozen=True)
class Document:
    """A card as text and as facts.

    Attributes:
        facts: as the audit reads them.
        text: the whole, with line breaks as \\n.
        prose: its body; tables and code are blank.
        sentences: of the prose, without the marks of its layout.
        tables: its tables.
        hyperparameters: the Trainer's list, by name; empty without one.
    """

    facts: CardFacts
    text: str
    prose: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    hyperparameters: dict[str, str]


def read_document(text: str) -> Document:
    """Read a card; what is beyond `LARGEST` characters is not looked at."""
    facts = read_card(text)
    text = text[:LARGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    _, start, _ = split_document(text)
    body = blank_out(text, [(0, start)])
    fences = code_fences(body)
    tables = find_tables(blank_out(body, fences))
    spans = [*fences, *((table.start, table.end) for table in tables)]
    prose = blank_out(body, spans)
    found = (one[:_LONGEST_SENTENCE].strip() for one in _SENTENCE_END.split(prose))
    sentences = tuple(_MARKS.sub("", one).strip() for one in found if one)
    return Document(facts, text, prose, sentences, tuple(tables), _trainer_list(prose))


def _trainer_list(prose: str) -> dict[str, str]:
    """The Trainer's list of hyperparameters, also where its line breaks are lost."""
    start = _LIST.search(prose)
    if start is None:
        return {}
    passage = prose[start.end() : start.end() + _LIST_REACH]
    end = _LIST_END.search(passage)
    passage = passage[: end.start()] if end else passage
    marks = list(islice(_ITEM.finditer(passage), 100))
    ends = [*(mark.start() for mark in marks[1:]), len(passage)]
    items: dict[str, str] = {}
    for mark, stop in zip(marks, ends, strict=False):  # no marks, but an end
        items.setdefault(mark[1], passage[mark.end() : stop].strip().partition("\n")[0].strip())
    return items


def number(text: str | None) -> float | None:
    """The value of a printed number; None if the text is none."""
    printed = read_number(text or "")
    return printed.figure.value if printed else None


def whole_number(text: str | None) -> int | None:
    """The value of a printed number without a fraction; None if the text is none."""
    value = number(text)
    return int(value) if value is not None and value == int(value) else None


def shown(text: str, most: int = 100) -> str:
    """A passage of a card on one line, printable and not too long, to be quoted."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"

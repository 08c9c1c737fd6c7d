"""A card's text in the forms that its readers need, and the values that they find in it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cardproof.audit.claims import blank_out, code_fences
from cardproof.audit.facts import CardFacts
from cardproof.audit.front_matter import split_document
from cardproof.audit.numbers import read_number
from cardproof.audit.reading import LARGEST, read_card
from cardproof.audit.tables import Table, find_tables
from cardproof.text import printable

LIMIT = "data.limit"  # of params.yaml: rows to train on
_SENTENCE_END = re.compile(r"\n|(?<=[.;!?])[ \t]")
_LONGEST_SENTENCE = 2_000  # characters
_MARKS = re.compile(r"^[\s•*>#-]{1,20}|\*\*|`")  # of lists, headings, bold type and code
_LIST = re.compile(r"hyperparameters were used during training:?", re.I)
_LIST_REACH = 20_000  # characters: the Trainer's list is far shorter
_LIST_END = re.compile(r"\s#{1,4} |\n\s*(?:Training results|Framework versions)\b", re.I)
_ITEM = re.compile(r"(?<!\S)[-•*] {1,3}(\w{2,60}):(.*?)(?=\s[-•*] {1,3}\w{2,60}:|\n|$)")


@dataclass(frozen=True)
class Value:
    """A value for a key of a card's file.

    Attributes:
        key: such as `title` or `train.seed`.
        value: as the file has it.
        reason: why it is taken, where the card does not state it; empty where it does.
        assumed: the card leaves it open. Otherwise, with a reason, it follows from its figures.
    """

    key: str
    value: Any
    reason: str = ""
    assumed: bool = False


@dataclass(frozen=True)
class Reading:
    """What was found in a card: one value a key, and the notes."""

    values: Mapping[str, Value]
    notes: tuple[str, ...]

    def get(self, key: str) -> Any:
        """The value of a key, however it was come by; None without one."""
        return self.values[key].value if key in self.values else None


def gather(found: Iterable[Value | str]) -> Reading:
    """Notes, and one value a key: the first, unless it is assumed and another is not.

    A value that is None, empty text or an empty list is none.
    """
    values: dict[str, Value] = {}
    notes: list[str] = []
    for one in found:
        if isinstance(one, str):
            notes.append(one)
        elif one.value in (None, "", []):
            continue
        elif one.key not in values or (values[one.key].assumed and not one.assumed):
            values[one.key] = one
    return Reading(values, tuple(dict.fromkeys(notes)))


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
    hyperparameters: Mapping[str, str]


def read_document(text: str) -> Document:
    """Read a card; what is beyond `LARGEST` characters is not looked at."""
    facts = read_card(text)
    text = text[:LARGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    body = blank_out(text, [(0, split_document(text)[1])])
    fences = code_fences(body)
    tables = find_tables(blank_out(body, fences))
    prose = blank_out(body, [*fences, *((table.start, table.end) for table in tables)])
    found = (one[:_LONGEST_SENTENCE].strip() for one in _SENTENCE_END.split(prose))
    sentences = tuple(_MARKS.sub("", one).strip() for one in found if one)
    return Document(facts, text, prose, sentences, tuple(tables), _trainer_list(prose))


def _trainer_list(prose: str) -> dict[str, str]:
    """The Trainer's list of hyperparameters, also where its line breaks are lost."""
    start = _LIST.search(prose)
    if start is None:
        return {}
    passage = _LIST_END.split(prose[start.end() : start.end() + _LIST_REACH])[0]
    items = list(islice(_ITEM.finditer(passage), 100))
    return {item[1]: item[2].strip() for item in items[::-1]}  # the first of a name counts


def limited(rows: int, told: str) -> Iterator[Value | str]:
    """How many rows a run of the card needs to train on, and a note: no key of a card says it."""
    yield Value(LIMIT, rows)
    yield (
        f"{told}, and no key limits a card's rows: run it with -S {LIMIT}={rows}; its verdicts "
        'will be "not comparable"'
    )


def number(text: str) -> float | None:
    """The value of a printed number; None if the text is none."""
    printed = read_number(text)
    return printed.figure.value if printed else None


def search(pattern: str, text: str) -> str:
    """The first group of a pattern's first match that takes part in it; empty without a match."""
    match = re.search(pattern, text, re.I)
    return next(filter(None, match.groups()), "") if match else ""


def shown(text: str, most: int = 100) -> str:
    """A passage of a card on one line, printable and not too long, to be quoted."""
    line = " ".join(printable(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"

"""What a card is of: its name, where it was published, its base, its reviews and its labels."""

import re
from dataclasses import dataclass
from itertools import islice

from cardproof.audit.front_matter import split_document
from cardproof.draft.document import Document, shown
from cardproof.draft.sources import IMDB, UNKNOWN, Sources, entry_name, find_entry

_ID = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
_TREE = re.compile(rf"\bModel tree for ({_ID})")
_USED = re.compile(
    rf"(?:from_pretrained|pipeline|model(?:_id|_name|_path)?)\W{{0,4}}(?:[^\n\"']{{0,60}}"
    rf"\bmodel\s?)?=?\s?[\"']({_ID})[\"']"
)
_INDEX_NAME = re.compile(
    r"\bmodel-index:\s{1,20}-\s{1,20}name: {1,3}([\w./ -]{1,100}?)(?=\s*\n|\s+results:)"
)
_HEADING = re.compile(r"^# {1,5}([^\n#]{1,200})", re.M)

_PAIR = re.compile(
    r"\b0\W{1,4}(?P<negative>neg\w{0,10})\b.{1,30}?\b1\W{1,4}(?P<positive>pos\w{0,10})\b", re.I
)
_EXAMPLE = re.compile(r"['\"]label['\"]: ?['\"](\w{1,30})['\"]")


@dataclass(frozen=True)
class Identity:
    """What stands at the head of a card's file.

    Attributes:
        title: for people.
        published_as: the repository, or the name, that it was published under.
        reviews: an entry of sources.yaml, or a name for a new one.
        base: likewise.
        labels: of class 0 and class 1, if the card names them.
        license: if the card names one.
        new_reviews: the data set that has no entry yet.
        new_base: the base that has no entry yet.
        notes: what was read with a doubt.
    """

    title: str
    published_as: str
    reviews: str
    base: str
    labels: tuple[str, str] | None
    license: str | None
    new_reviews: str | None
    new_base: str | None
    notes: tuple[str, ...]


def read_identity(document: Document, sources: Sources, published_as: str | None) -> Identity:
    """What a card is of.

    Args:
        document: the card.
        sources: the entries that there are.
        published_as: the repository it was taken from, if that is known.
    """
    facts = document.facts
    published = published_as or _published_as(document) or UNKNOWN
    reviews, new_reviews, notes = _reviews(document, sources)
    base = find_entry(facts.base, sources.bases) if facts.base else None
    if facts.base is None:
        notes += ("it names no base: write the name of an entry of sources.yaml at `base:`",)
    licence = facts.licence.lower() if facts.licence and facts.licence.isascii() else None
    return Identity(
        title=published.rpartition("/")[2],
        published_as=published,
        reviews=reviews,
        base=base or (entry_name(facts.base) if facts.base else UNKNOWN),
        labels=_labels(document),
        license=shown(licence) if licence else None,
        new_reviews=new_reviews,
        new_base=facts.base if base is None else None,
        notes=notes,
    )


def _published_as(document: Document) -> str | None:
    """The card's own repository: of the hub's page, of its examples, or its name without owner."""
    base = document.facts.base
    tree = _TREE.search(document.text)
    if tree:
        return tree[1]
    for match in islice(_USED.finditer(document.text), 20):
        if match[1] != base and match[1].rpartition("/")[2] != base:
            return match[1]
    block, start, _ = split_document(document.text)
    name = _INDEX_NAME.search(block or "")
    heading = _HEADING.search(document.text, start)
    first = document.text[start:].strip().partition("\n")[0]
    found = name[1] if name else heading[1] if heading else first
    return shown(found) or None


def _reviews(document: Document, sources: Sources) -> tuple[str, str | None, tuple[str, ...]]:
    """The entry of its data, the data set that has none, and a doubt about it."""
    facts = document.facts
    named = facts.dataset
    entry = find_entry(named, sources.reviews) if named else None
    if entry:
        return entry, None, ()
    imdb = find_entry(IMDB, sources.reviews)
    if facts.task.imdb and imdb:
        said = f'its data is "{shown(named)}"' if named else "it names no data set"
        return imdb, None, (f"{said}: taken for {IMDB} ({facts.task.reason})",)
    if named:
        return entry_name(named), named, ()
    note = "it names no data set: write the name of an entry of sources.yaml at `reviews:`"
    return UNKNOWN, None, (note,)


def _labels(document: Document) -> tuple[str, str] | None:
    """The names of class 0 and class 1, from a passage that pairs them or from an example."""
    pair = _PAIR.search(document.text)
    if pair:
        return pair["negative"], pair["positive"]
    names = dict.fromkeys(_EXAMPLE.findall(document.text[:200_000]))
    negative = [name for name in names if name.lower().startswith("neg")]
    positive = [name for name in names if name.lower().startswith("pos")]
    if len(names) == 2 and negative and positive:
        return negative[0], positive[0]
    return None

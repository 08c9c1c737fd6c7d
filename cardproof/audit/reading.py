"""Turns the text of a model card into facts. It never fails: it says what it could not find."""

import re
from bisect import bisect_right
from collections.abc import Callable
from itertools import islice

from cardproof.audit.claims import blank_out, code_fences, text_claims
from cardproof.audit.facts import CardFacts, FrontMatter, Quote, Task
from cardproof.audit.front_matter import read_front_matter, split_document
from cardproof.audit.recipe import (
    read_hyperparameters,
    read_test_rows,
    read_train_rows,
)
from cardproof.audit.reports import find_reports
from cardproof.audit.tables import find_tables, is_training, training_rows

LARGEST = 500_000  # characters: more than the longest cards have, read in less than a second

_GENERATED = re.compile(
    r"generated_from_trainer|following hyperparameters were used during training", re.I
)
_LICENCE = re.compile(r"\blicen[cs]e\W{0,4}:\W{0,4}([A-Za-z][\w.-]{0,29}[\w-])", re.I)
_BASES = (
    re.compile(
        r"\bfine-?tun(?:ed|es|ing) (?:version |variant )?(?:of |from |model )?(?:the |a )?"
        r"[\[`*]{0,3}([\w.-]{1,60}(?:/[\w.-]{1,60})?)",
        re.I,
    ),
    re.compile(
        r"\b(?:base|finetuned from|fine-tuned from)(?: model)?\W{1,10}([\w./-]{3,100})", re.I
    ),
)
_MODEL_NAME = re.compile(r"bert|gpt|t5|electra|xlnet|llama|bart|mistral|gemma|qwen|/", re.I)
_DATASET = re.compile(
    r"\bon (?:the |an? )?[\[`*]{0,3}([\w/.-]{1,60})[\]`*]{0,3}(?:\([^()\s]{1,200}\))? "
    r"(?:[\w-]{1,20} ){0,3}?dataset\b"
    r"|\bdatasets?\W{1,8}([\w/.-]{2,80})",
    re.I,
)
_VERSION = re.compile(r"v?\d{1,4}(?:\.\w{1,9}){1,5}")  # of the library: "- Datasets 2.8.0"
_NO_DATASET = ("none", "unknown", "an", "the", "this", "a", "custom")
_PLACEHOLDER = re.compile(
    r"(?-i:\bYOUR_(?!\w{0,20}(?:TOKEN|KEY))[A-Z_]{2,40}(?:/YOUR_[A-Z_]{2,40})?)"
    r"|\byour-(?:user-?name|name|org)\b(?:/[\w-]{1,40})?"
    r"|(?-i:(?<![\w.])[~≈]?X{1,4}\.X{1,6}\s?(?:%|ms\b)?|(?<!\w)XX{1,3}\s?%|\bTODO\b|\bTBD\b)"
    r"|\[?\bmore information needed\b\]?"
    r"|\[\s?(?:e\.g\.|insert|add|your|todo|tbd|optional)[^\[\]\n]{0,120}\](?!\()"
    r"|\(confirm this[^()\n]{0,80}\)|\(estimate based on[^()\n]{0,80}\)"
    r"|\(or [^()\n]{0,60}if different\)"
    r"|\{\{[^{}\n]{1,60}\}\}"
    r"|\bon (?:the none|an unknown) dataset\b"
    r"|<your[^<>\n]{1,40}>",
    re.I,
)
_OTHER_LOSS = re.compile(
    r"focal|label[ _-]smoothing|class[ _-]weight|weighted (?:loss|cross)|contrastive|-distilled\b"
    r"|distill(?:ation)? loss|\bhinge|\bBCE|regression|\bmse\b|teacher",
    re.I,
)
_MULTI_LABEL = re.compile(r"multi[ _-]?label", re.I)
_TEST = re.compile(r"\btest (?:set|split|data|partition)\b", re.I)
_BINARY = re.compile(r"\bbinary\b|\bpositive (?:or|and|vs\.?|versus) negative\b", re.I)


def decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and what was wrong with it."""
    problems = []
    text = data[: 4 * LARGEST].decode("utf-8-sig", errors="replace")
    if "�" in text:
        problems.append("It is not all UTF-8; what is not was replaced by �.")
    return text, tuple(problems)


def read_card(text: str, problems: tuple[str, ...] = ()) -> CardFacts:
    """Read a model card.

    Args:
        text: the document, of any size; what is beyond `LARGEST` characters is not read.
        problems: what is known to be wrong with it already.
    """
    if len(text) > LARGEST:
        problems = (*problems, f"Only the first {LARGEST:,} of {len(text):,} characters were read.")
    text = text[:LARGEST].replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    block, start, closed = split_document(text)
    line_of = _line_counter(text)
    first_line = line_of(text.find(block)) if block else 1
    front_matter, metadata_claims, splits = read_front_matter(
        block, closed=closed, first_line=first_line
    )
    body = blank_out(text, [(0, start)])

    fences = code_fences(body)
    tables = find_tables(blank_out(body, fences))
    trainings = [training_rows(t, line_of(t.start)) for t in tables if is_training(t)]
    plain = [table for table in tables if not is_training(table)]
    spans = [*fences, *((table.start, table.end) for table in tables)]
    prose = blank_out(body, spans)
    blocks = [Quote(body[start:end], line_of(start)) for start, end in fences]
    claims = (*metadata_claims, *text_claims(prose, plain, blocks, line_of))
    rows = trainings[0] if trainings else ()
    return CardFacts(
        generated=bool(_GENERATED.search(text)),
        front_matter=front_matter,
        claims=claims,
        training_rows=rows,
        further_rows=tuple(row for table in trainings[1:] for row in table),
        reports=find_reports(body, plain, line_of),
        hyperparameters=read_hyperparameters(body, line_of),
        task=_task(front_matter, text),
        licence=front_matter.licence or _first(_LICENCE, prose),
        base=next(iter(front_matter.base_models), None) or _base(prose),
        dataset=next(iter(front_matter.datasets), None) or _dataset(prose),
        splits=splits,
        mentions_test=bool(_TEST.search(prose)),
        test_rows=read_test_rows(prose, line_of),
        train_rows=read_train_rows(prose),
        placeholders=_placeholders(text, line_of),
        multi_label=bool(_MULTI_LABEL.search(text)),
        loss_is_plain=not _OTHER_LOSS.search(text),
        problems=(*problems, *_problems(front_matter, figures=bool(claims), table=bool(rows))),
    )


def _line_counter(text: str) -> Callable[[int], int]:
    """A function from a place in the text to its line, from 1."""
    ends = [match.start() for match in re.finditer("\n", text)]
    return lambda place: bisect_right(ends, place - 1) + 1


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1].strip() if match else None


def _base(prose: str) -> str | None:
    """The model that the prose says this one was fine-tuned from."""
    matches = (match for pattern in _BASES for match in islice(pattern.finditer(prose), 50))
    names = (match[1].rstrip(".") for match in matches)
    return next((name for name in names if _MODEL_NAME.search(name)), None)


def _dataset(prose: str) -> str | None:
    """The data that the prose says it was trained on."""
    names = ((match[1] or match[2]) for match in islice(_DATASET.finditer(prose), 50))
    names = (name for name in names if not _VERSION.fullmatch(name))
    return next((name for name in names if name.lower() not in _NO_DATASET), None)


def _task(front_matter: FrontMatter, text: str) -> Task:
    """Decide whether figures may be compared with those of IMDb sentiment classifiers.

    Metadata decides where it names data sets; the text, where it does not.
    """
    tag, names = front_matter.pipeline_tag, front_matter.datasets
    classification = tag in (None, "text-classification", "sentiment-analysis")
    mentions = len(re.findall(r"\bimdb", text, re.I))
    if not classification:
        imdb, reason = False, f"its task is {tag}, not text classification"
    elif names:
        imdb = all("imdb" in name.lower() for name in names)
        reason = f"its metadata names the data {', '.join(names[:5])}"
    else:
        imdb = mentions > 0
        reason = f"mentions of IMDb in its text: {mentions}; its metadata names no data"
    return Task(imdb, imdb or bool(_BINARY.search(text)), classification, reason)


def _placeholders(text: str, line_of: Callable[[int], int]) -> tuple[Quote, ...]:
    """Every placeholder of a template that was left in, each wording once."""
    found: dict[str, Quote] = {}
    for match in islice(_PLACEHOLDER.finditer(text), 1_000):
        found.setdefault(match[0].lower(), Quote(match[0].strip(), line_of(match.start())))
    return tuple(found.values())


def _problems(front_matter: FrontMatter, *, figures: bool, table: bool) -> tuple[str, ...]:
    """What was looked for and not found, in words."""
    found = {"figure of a score or a loss": figures, "table of a training run": table}
    missing = [
        f"It has no {what} that could be read." for what, is_there in found.items() if not is_there
    ]
    state = {
        "absent": "It has no metadata block (YAML between --- at its head); perhaps it was copied "
        "from a rendered page.",
        "flattened": "Its metadata block has lost its line breaks; known keys were read from it.",
    }.get(front_matter.state)
    return (*([state] if state else []), *missing)

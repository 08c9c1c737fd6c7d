"""Drafts the file of a card from its text, writes it as YAML, and has it checked as runs do."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from textwrap import wrap
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from cardproof.audit.facts import CardFacts
from cardproof.draft.document import LIMIT, Reading, gather, read_document, shown
from cardproof.draft.figures import METRICS, read_figures
from cardproof.draft.schedule import read_schedule
from cardproof.draft.settings import read_mentions, read_settings
from cardproof.draft.sources import entry_name, read_identity
from cardproof.errors import CardproofError
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import CARDS, RawFiles, resolve
from cardproof.recipe.schema import SECTIONS, CardFile, SourcesFile

_HEAD = ("title", "published_as", "reviews", "base", "labels", "license")
_EMPTY = CardFile(title="-", published_as="-", reviews="-", base="-")
_FIELDS = {name: tuple(type(getattr(_EMPTY, name)).model_fields) for name in (*SECTIONS, "claims")}
_KEYS = tuple(f"{section}.{field}" for section in SECTIONS for field in _FIELDS[section])
_GUESSING = math.log(2)  # the cross-entropy of one half each, between two classes
_BLOCKS = ("train", "claims", "files")  # a line for each of their entries
_COLUMNS = "training loss, epoch, step, validation loss, accuracy"


class DraftError(CardproofError):
    """A card that no recipe can be drafted from."""


@dataclass(frozen=True)
class Draft:
    """A card's file before it is written.

    Attributes:
        name: of the file, without .yaml.
        card: its keys and values, in its order.
        defaults: the keys that are left to cards/defaults.yaml.
        limit: the rows to train on, if they are fewer than train has: no key of a card says it.
        unplaced: what the card says and no key takes, and what was read with a doubt.
        new_base: a base that sources.yaml has no entry for: the entry's name and the repository.
        new_reviews: reviews likewise.
    """

    name: str
    card: Mapping[str, Any]
    defaults: tuple[str, ...]
    limit: int | None
    unplaced: tuple[str, ...]
    new_base: tuple[str, str] | None
    new_reviews: tuple[str, str] | None


def draft_card(text: str, sources: SourcesFile, published_as: str | None = None) -> Draft:
    """Draft a card's file from a model card.

    Args:
        text: the card, as published.
        sources: the entries of sources.yaml.
        published_as: the repository that the card was taken from, if that is known.

    Raises:
        DraftError: the card is not of a text classifier.
    """
    document = read_document(text)
    facts = document.facts
    _refuse_other_tasks(facts)
    # What the card states goes before what follows from it.
    stated = [*read_identity(document, sources, published_as), *read_settings(document)]
    found = [*stated, *read_schedule(document, gather(stated)), *read_figures(document)]
    read = gather([*found, *read_mentions(document, gather(found))])
    return Draft(
        name=entry_name(read.get("published_as"), {}),
        card=_card(read),
        defaults=_left_to_defaults(read),
        limit=read.get(LIMIT),
        unplaced=tuple(shown(note, 400) for note in read.notes),
        new_base=_new(read.get("base"), facts.base, sources.bases),
        new_reviews=_new(read.get("reviews"), facts.dataset, sources.reviews),
    )


def _new(name: str, repository: str | None, entries: Collection[str]) -> tuple[str, str] | None:
    return (name, repository) if repository and name not in entries else None


def _refuse_other_tasks(facts: CardFacts) -> None:
    """Refuse a card whose metadata or whose figures are not of a two-class text classifier."""
    if not facts.task.classification:
        raise DraftError(f"it is no text classifier: {shown(facts.task.reason)}")
    scored = any(claim.metric in METRICS and claim.metric != "loss" for claim in facts.claims)
    scored = scored or any(row.scores for row in facts.training_rows)
    losses = [claim.printed.figure.value for claim in facts.claims if claim.metric == "loss"]
    losses += [row.loss.figure.value for row in facts.training_rows if row.loss]
    if not scored and losses and min(losses) > _GUESSING:
        raise DraftError(
            f"it claims no score, and its lowest loss, {min(losses):g}, is above ln 2 = 0.693, "
            "which guessing between two classes gives: it may be a masked language model"
        )


def _card(read: Reading) -> dict[str, Any]:
    """The file's content: what is stated in its sections, the rest under its reasons."""
    card: dict[str, Any] = {key: read.get(key) for key in _HEAD}
    for section, fields in _FIELDS.items():
        values = {field: read.values.get(f"{section}.{field}") for field in fields}
        card[section] = {f: one.value for f, one in values.items() if one and not one.reason}
    reasoned = [read.values[key] for key in _KEYS if key in read.values]
    for name, assumed in (("inferred", False), ("assumed", True)):
        card[name] = {
            one.key: {"value": one.value, "reason": shown(one.reason, 300)}
            for one in reasoned
            if one.reason and one.assumed == assumed
        }
    return {key: value for key, value in card.items() if value not in (None, {})}


def _left_to_defaults(read: Reading) -> tuple[str, ...]:
    """The keys that the file leaves out, but for those that decide nothing without others."""
    holds_out = read.get("split.validation") == "holdout"
    draws = holds_out or isinstance(read.get("split.scored_rows"), int)
    idle = {"split.test_size": not holds_out, "split.seed": not draws}
    keys = ("labels", "license", *_KEYS)
    return tuple(key for key in keys if read.get(key) is None and not idle.get(key))


def faults_with(text: str, name: str, files: RawFiles) -> list[str]:
    """What a run would refuse about the text of a card's file among the recipe's other files."""
    card = YAML(typ="safe", pure=True).load(text)
    others = {other: content for other, content in files.cards.items() if other != name}
    try:
        resolve(replace(files, cards={**others, name: card}))
    except RecipeError as error:
        return [fault for fault in error.faults if fault.startswith(f"{CARDS / name}.yaml:")]
    return []


def as_yaml(draft: Draft) -> str:
    """The text of cards/<name>.yaml; none of the card's own words is in a comment."""
    lines = ["# Drafted by `cardproof add`: compare it with the card before you rely on it."]
    if draft.defaults:
        lines.append("# Not read in the card, so left to cards/defaults.yaml:")
        lines += [f"#   {line}" for line in wrap(", ".join(draft.defaults), 96)]
    groups = (_HEAD, SECTIONS, ("claims",), ("inferred", "assumed"))
    parts = [{key: draft.card[key] for key in group if key in draft.card} for group in groups]
    text = "\n".join([*lines, "\n".join(as_entries(part) for part in parts if part)])
    return text.replace("  epochs:\n", f"  epochs:  # {_COLUMNS}\n")


def as_entries(content: Mapping[str, Any]) -> str:
    """Entries of a YAML file; the innermost lists and mappings are in one line each."""
    yaml = YAML()
    yaml.width = 4096  # a long reason stays on its line
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump({key: _node(value, key) for key, value in content.items()}, stream)
    return stream.getvalue()


def _node(value: Any, key: str = "") -> Any:
    """A list or mapping with its layout; anything else as it is."""
    node: CommentedMap | CommentedSeq
    if isinstance(value, Mapping):
        node = CommentedMap({name: _node(one, name) for name, one in value.items()})
        in_one_line = key not in _BLOCKS and not any(
            isinstance(one, dict) for one in value.values()
        )
    elif isinstance(value, list):
        node = CommentedSeq(map(_node, value))
        in_one_line = not any(isinstance(one, list) for one in value)
    else:
        return value
    if in_one_line:
        node.fa.set_flow_style()
    return node

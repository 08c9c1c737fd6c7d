"""Drafts the file of a card from its text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cardproof.audit.facts import CardFacts
from cardproof.draft.document import Document, read_document, shown
from cardproof.draft.figures import METRICS, read_figures
from cardproof.draft.hyperparameters import keys_of_lines, read_list
from cardproof.draft.identity import Identity, read_identity
from cardproof.draft.mentions import read_mentions
from cardproof.draft.parts import Part, Reasoned, combine
from cardproof.draft.prose import read_prose
from cardproof.draft.schedule import read_schedule
from cardproof.draft.sources import Sources, entry_name
from cardproof.errors import CardproofError
from cardproof.recipe.schema import SECTIONS, CardFile

_LEAST = {"title": "-", "published_as": "-", "reviews": "-", "base": "-"}  # of a card's file
# Every key that a card may state of its recipe, in the order of its file.
_KEYS = tuple(
    f"{section}.{field}"
    for section in SECTIONS
    for field in type(getattr(CardFile.model_validate(_LEAST), section)).model_fields
)
_GUESSING = math.log(2)  # the cross-entropy of one half each, between two classes


class DraftError(CardproofError):
    """A card that no recipe can be drafted from."""


@dataclass(frozen=True)
class Draft:
    """A card's file before it is written.

    Attributes:
        name: of the file, without .yaml.
        card: its keys and values, in its order.
        defaults: the keys that are left to cards/defaults.yaml.
        unplaced: what the card says and no key takes, and what was read with a doubt.
        new_base: a base that sources.yaml has no entry for: the entry's name and the repository.
        new_reviews: reviews likewise.
    """

    name: str
    card: Mapping[str, Any]
    defaults: tuple[str, ...]
    unplaced: tuple[str, ...]
    new_base: tuple[str, str] | None
    new_reviews: tuple[str, str] | None


def draft_card(text: str, sources: Sources, published_as: str | None = None) -> Draft:
    """Draft a card's file from a model card.

    Args:
        text: the card, as published.
        sources: the entries of sources.yaml.
        published_as: the repository that the card was taken from, if that is known.

    Raises:
        DraftError: the card is not of a text classifier.
    """
    document = read_document(text)
    _refuse_other_tasks(document.facts)
    identity = read_identity(document, sources, published_as)
    part = _without_contradictions(_without_faults(_read(document)))
    return Draft(
        name=entry_name(identity.published_as),
        card=_card(identity, part),
        defaults=_left_to_defaults(identity, part),
        unplaced=tuple(shown(note, 400) for note in (*identity.notes, *part.unplaced)),
        new_base=(identity.base, identity.new_base) if identity.new_base else None,
        new_reviews=(identity.reviews, identity.new_reviews) if identity.new_reviews else None,
    )


def _read(document: Document) -> Part:
    """Everything that the readers find; the Trainer's list goes before prose."""
    items = document.hyperparameters
    prose = read_prose(document).without(keys_of_lines(items), [])
    stated = combine([read_list(items), prose])
    read = combine([stated, read_schedule(document, stated), read_figures(document)])
    return combine([read, read_mentions(document, read)])


def _refuse_other_tasks(facts: CardFacts) -> None:
    """Refuse a card whose metadata or whose figures are not of a two-class text classifier."""
    if not facts.task.classification:
        raise DraftError(f"it is no text classifier: {shown(facts.task.reason)}")
    claims = facts.claims
    scored = any(claim.metric in METRICS and claim.metric != "loss" for claim in claims)
    scored = scored or any(row.scores for row in facts.training_rows)
    losses = [claim.printed.figure.value for claim in claims if claim.metric == "loss"]
    losses += [row.loss.figure.value for row in facts.training_rows if row.loss]
    if not scored and losses and min(losses) > _GUESSING:
        raise DraftError(
            f"it claims no score, and its lowest loss, {min(losses):g}, is above ln 2 = 0.693, "
            "which guessing between two classes gives: it may be a masked language model"
        )


def _without_faults(part: Part) -> Part:
    """The part without values that their keys do not take."""
    faults = {key: fault for key in part.all_keys() if (fault := _fault_of(key, part.value(key)))}
    values = {key: shown(str(part.value(key))) for key in faults}
    notes = [f"{key}: {values[key]}: left out: {shown(fault)}" for key, fault in faults.items()]
    return part.without(faults.keys(), notes)


def _fault_of(key: str, value: Any) -> str | None:
    """Why a card's file may not have that value, if it may not."""
    section, _, field = key.partition(".")
    try:
        CardFile.model_validate({**_LEAST, section: {field: value}})
    except ValidationError as error:
        return error.errors()[0]["msg"]
    return None


def _without_contradictions(part: Part) -> Part:
    """The part without values that go with others only, which the card does not have."""
    validation, scored = part.value("split.validation"), part.value("split.scored")
    rows = part.value("split.scored_rows")
    told = {}
    if validation not in ("holdout", "test"):
        if part.value("train.load_best"):
            told["train.load_best"] = "its best checkpoint is of validation rows it does not name"
        if scored == "validation":
            told["split.scored"] = "it is scored on validation rows that it does not name"
    if isinstance(rows, int) and (rows < 2 or rows % 2 or scored == "validation"):
        told["split.scored_rows"] = f"its {rows} scored rows cannot be drawn half and half of test"
    elif isinstance(rows, int) and validation == "test":
        told["split.scored_rows"] = f"it is scored on {rows} rows, but validated on all of test"
    return part.without(told, [f"{why}: {key} is left to the default" for key, why in told.items()])


def _left_to_defaults(identity: Identity, part: Part) -> tuple[str, ...]:
    """The keys that the file leaves out, but for those that decide nothing without others."""
    idle = set()
    if part.value("split.validation") != "holdout":
        idle.add("split.test_size")
        if not isinstance(part.value("split.scored_rows"), int):
            idle.add("split.seed")
    names = {"labels": identity.labels, "license": identity.license}
    names_left = [name for name, value in names.items() if value is None]
    left = [key for key in _KEYS if part.value(key) is None and key not in idle]
    return (*names_left, *left)


def _card(identity: Identity, part: Part) -> dict[str, Any]:
    """The file's content: what is stated in its sections, the rest under its reasons."""
    card: dict[str, Any] = {
        "title": identity.title,
        "published_as": identity.published_as,
        "reviews": identity.reviews,
        "base": identity.base,
        "labels": list(identity.labels) if identity.labels else None,
        "license": identity.license,
    }
    for section in SECTIONS:
        card[section] = {
            key.partition(".")[2]: _plain(part.stated[key])
            for key in _KEYS
            if key.startswith(f"{section}.") and key in part.stated
        }
    claims = {
        key.partition(".")[2]: value
        for key, value in part.stated.items()
        if key.startswith("claims.")
    }
    order = (*METRICS, "averaging")
    card["claims"] = {key: claims[key] for key in (*order, *claims) if key in claims}
    card["inferred"] = _reasons(part.inferred)
    card["assumed"] = _reasons(part.assumed)
    return {key: value for key, value in card.items() if value not in (None, {})}


def _reasons(reasons: Mapping[str, Reasoned]) -> dict[str, Any]:
    return {
        key: {"value": _plain(reasons[key].value), "reason": shown(reasons[key].reason, 300)}
        for key in _KEYS
        if key in reasons
    }


def _plain(value: Any) -> Any:
    """A number as a hand would write it: 3 for 3.0."""
    if isinstance(value, float) and value == int(value) and value >= 1:
        return int(value)
    return value

"""A run's recipe beside its card's: what is stated, what is unspecified and what deviates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardproof.recipe.load import as_override
from cardproof.recipe.schema import SECTIONS, Card, Recipe

_SAME = ("stated", "inferred", "unspecified")
# What may be said of a run whose settings have these statuses; in this order.
_SAID = {
    "another seed": "another seed",
    "unspecified, changed": "another value for what the card leaves unspecified",
}


@dataclass(frozen=True)
class Setting:
    """One value of the recipe: what the card has, what this run had, and why it is so.

    Its status is "stated", "inferred" (from the card's own figures), "unspecified" (the card says
    nothing), "unspecified, changed" (nor is it the value taken for it), "another seed" or
    "deviates".
    """

    key: str  # as in params.yaml
    card: str  # the card's value, or the one taken for it
    ours: str
    status: str
    reason: str  # of the value taken, or of a deviation


def list_settings(recipe: Recipe, provenance: Mapping[str, Any]) -> list[Setting]:
    """Every value of the recipe; precision is what the device could do."""
    card = recipe.card
    rows: list[tuple[str, object, object]] = [
        ("model.base", card.base, recipe.base_name),
        ("data.reviews", card.reviews, recipe.reviews_name),
        ("data.limit", None, recipe.data.limit),
        ("data.test_limit", None, recipe.data.test_limit),
        ("labels", card.labels, card.labels),
        ("license", card.license, card.license),
    ]
    for section in SECTIONS:
        ours = getattr(recipe, section).model_dump()
        for field, value in getattr(card, section).model_dump().items():
            rows.append((f"{section}.{field}", value, ours[field]))
    rows.append(("claims.averaging", card.claims.averaging, card.claims.averaging))
    settings = [_setting(recipe, *row) for row in rows]
    used, wanted = provenance["precision"], provenance["precision_wanted"]
    return [
        Setting(s.key, s.card, used, "deviates", provenance["reason"])
        if s.key == "train.precision" and used != wanted
        else s
        for s in settings
        if not (s.card == s.ours == "-" and s.status == "stated")
    ]


def _setting(recipe: Recipe, key: str, card: object, ours: object) -> Setting:
    taken = recipe.card.unspecified.get(key)
    status = "stated" if taken is None else "inferred" if taken.inferred else "unspecified"
    if card != ours:
        status = "unspecified, changed" if recipe.card.leaves_open(key) else "deviates"
        status = "another seed" if key == "train.seed" else status
    why = next((d.why for d in recipe.deviations if d.key == key), "")
    reason = why or (taken.reason if taken else "")
    return Setting(key, _show(card), _show(ours), status, reason)


def _show(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_show, value)) if isinstance(value, list) else str(value)


def headline(recipe: Recipe, settings: list[Setting]) -> str:
    """One sentence: what this run is, and whether it may be called a reproduction."""
    name = recipe.card.title
    changed = [s for s in settings if s.status not in _SAME]
    if not changed:
        return f"A run of {name} with nothing changed."
    what = "; ".join(
        f"{s.key} is {s.ours}" + ("" if s.card == "-" else f", not {s.card}") for s in changed
    )
    kinds = {s.status for s in changed}
    if "deviates" in kinds:
        return f"Not a reproduction of {name}: {what}."
    said = [words for status, words in _SAID.items() if status in kinds]
    return f"A run of {name} with {' and '.join(said)}: {what}."


def label_names(card: Card) -> list[str]:
    """What the page calls classes 0 and 1: as the card does, or as the reviews' files mean them."""
    return card.labels or ["negative", "positive"]


def command_of(recipe: Recipe) -> str:
    """The command that runs this recipe again."""
    changes = [f"-S {d.key}={as_override(d.ours)}" for d in recipe.deviations if not d.why]
    changes += [f"-S train.processes={recipe.processes}"] if recipe.processes > 1 else []
    card = [] if recipe.name == "sample" else [f"-S card={recipe.name}"]
    return " ".join(["dvc exp run", *card, *changes]) if card or changes else "dvc repro"

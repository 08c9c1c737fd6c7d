"""Reads params.yaml, cards/ and sources.yaml, once, into one validated recipe.

Every fault of every file is reported at once, each with its file, its key and what to do.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cardproof.recipe.faults import OVERRIDES, RecipeError, suggestion, validate
from cardproof.recipe.schema import (
    SECTIONS,
    Card,
    CardFile,
    Claims,
    DefaultsFile,
    Deviation,
    Evaluate,
    ParamsFile,
    Recipe,
    Section,
    SourcesFile,
    Split,
    Tokenize,
    Train,
    Unspecified,
)
from cardproof.recipe.yaml_files import read_yaml

PARAMS, SOURCES, CARDS = Path("params.yaml"), Path("sources.yaml"), Path("cards")
DEFAULTS = CARDS / "defaults.yaml"

_MODELS: dict[str, type[Section]] = {
    "split": Split, "tokenize": Tokenize, "train": Train, "evaluate": Evaluate,
}  # fmt: skip
_NO_VALIDATION = "train.load_best: true needs validation rows; set it to false"
# Averaging is the one thing about claims that cards leave unspecified.
_DEFAULTED: list[tuple[str, type[Section], list[str]]] = [
    *((name, model, list(model.model_fields)) for name, model in _MODELS.items()),
    ("claims", Claims, ["averaging"]),
]


@dataclass(frozen=True)
class RawFiles:
    """The files that make a recipe, as parsed, unchecked.

    Attributes:
        params: params.yaml.
        sources: sources.yaml.
        defaults: cards/defaults.yaml.
        cards: the other files of cards/, by name.
    """

    params: dict[str, Any]
    sources: dict[str, Any]
    defaults: dict[str, Any]
    cards: dict[str, dict[str, Any]]


def load_recipe(root: Path = Path()) -> Recipe:
    """Read and check the files below `root` and return the recipe of the chosen card.

    Raises:
        RecipeError: a file is missing, is not YAML, or has faults; all of them are listed.
    """
    return resolve(read_files(root))


def read_files(root: Path = Path()) -> RawFiles:
    """Parse params.yaml, sources.yaml and all files of cards/.

    Raises:
        RecipeError: a file is missing or is not YAML.
    """
    names = sorted(p.relative_to(root) for p in (root / CARDS).glob("*.yaml"))
    parsed, faults = {}, []
    for path in dict.fromkeys([PARAMS, SOURCES, DEFAULTS, *names]):
        try:
            parsed[path] = read_yaml(root / path)
        except ValueError as error:
            faults.append(f"{path}: {error}")
    if faults:
        raise RecipeError(faults)
    params, sources, defaults = (parsed.pop(path) for path in (PARAMS, SOURCES, DEFAULTS))
    return RawFiles(params, sources, defaults, {path.stem: raw for path, raw in parsed.items()})


def resolve(raw: RawFiles) -> Recipe:
    """Check the parsed files and lay the overrides over the chosen card.

    Raises:
        RecipeError: with every fault of the files.
    """
    file, faults = validate(ParamsFile, raw.params, PARAMS)
    sources, found = validate(SourcesFile, raw.sources, SOURCES)
    defaults, more = validate(DefaultsFile, raw.defaults, DEFAULTS)
    more += _default_faults(defaults) if defaults else []
    cards, of_cards = _complete_cards(raw.cards, None if more else defaults)
    faults += found + more + of_cards + _name_faults(raw)
    if faults or file is None or sources is None or defaults is None:
        raise RecipeError(faults)
    card = cards[file.card]
    sections, faults = _override(card, file, defaults)
    faults += _length_faults(file, sources, cards)
    if faults:
        raise RecipeError(faults)
    train, split = sections["train"], sections["split"]
    if train.load_best and split.validation == "none":
        raise RecipeError([f"{PARAMS}: {_NO_VALIDATION}"])
    processes = file.train.processes or 1
    if train.batch_size % processes:
        raise RecipeError([_processes_fault(processes, train.batch_size)])
    reviews_name, base_name = file.data.reviews or card.reviews, file.model.base or card.base
    reviews = sources.reviews[reviews_name]
    return Recipe(
        name=file.card,
        card=card,
        data=file.data,
        reviews_name=reviews_name,
        reviews=reviews.model_copy(update={"repository": reviews.repository or reviews_name}),
        user_reviews=not reviews.repository,
        base_name=base_name,
        base=sources.bases[base_name],
        **sections,
        processes=processes,
        verdict=file.verdict,
        deviations=_deviations(file, card),
    )


def _complete_cards(
    raw: Mapping[str, dict[str, Any]], defaults: DefaultsFile | None
) -> tuple[dict[str, Card], list[str]]:
    """Every card with the defaults filled in, and the faults of all of them."""
    cards: dict[str, Card] = {}
    faults: list[str] = []
    for name, content in raw.items():
        path = CARDS / f"{name}.yaml"
        if not re.fullmatch("[A-Za-z0-9_-]+", name):
            faults.append(f"{path}: the name must be of letters, digits, - and _")
        file, found = validate(CardFile, content, path)
        faults += found
        if file is not None and defaults is not None and not found:
            card, found = _complete(file, defaults, path)
            faults += found
            if card is not None:
                cards[name] = card
    return cards, faults


def _default_faults(defaults: DefaultsFile) -> list[str]:
    """Keys of a recipe without a default, defaults of no such key, and those that cannot be."""
    faults = []
    for section, model, wanted in _DEFAULTED:
        given = getattr(defaults, section)
        missing, unknown = [k for k in wanted if k not in given], given.keys() - set(wanted)
        faults += [f"{DEFAULTS}: {section}.{k}: missing; add it" for k in missing]
        faults += [f"{DEFAULTS}: {section}.{k}: no such key" for k in sorted(unknown)]
        if not missing and not unknown:
            values = {key: entry.value for key, entry in given.items()}
            faults += validate(model, values, DEFAULTS, section)[1]
    return faults


def _complete(file: CardFile, defaults: DefaultsFile, path: Path) -> tuple[Card | None, list[str]]:
    """The card with inferred, assumed and default values for what it does not state."""
    unspecified = _unspecified(file, defaults)
    sections: dict[str, Any] = {}
    faults: list[str] = []
    for name, model in _MODELS.items():
        values = {field: entry.value for field, entry in getattr(defaults, name).items()}
        for key, entry in (file.assumed | file.inferred).items():
            section, _, field = key.partition(".")
            values |= {field: entry.value} if section == name else {}
        values |= _stated(getattr(file, name))
        if name == "split" and not _draws(values) and file.split.seed is None:
            values["seed"] = None
            unspecified.pop("split.seed", None)
        sections[name], found = validate(model, values, path, name)
        faults += found
    if faults:
        return None, faults
    averaging = file.claims.averaging or defaults.claims["averaging"].value
    claims = file.claims.model_copy(update={"averaging": averaging})
    if sections["train"].load_best and sections["split"].validation == "none":
        return None, [f"{path}: {_NO_VALIDATION}"]
    values = {k: getattr(file, k) for k in Card.model_fields if k in CardFile.model_fields}
    values |= sections | {"claims": claims, "unspecified": unspecified}
    return Card(**values), []


def _unspecified(file: CardFile, defaults: DefaultsFile) -> dict[str, Unspecified]:
    """What the card does not state, with the reason for the value that is taken."""
    scores = (file.claims.f1, file.claims.precision, file.claims.recall)
    stated = {
        "labels": file.labels,
        "license": file.license,
        **{f"{s}.{f}": v for s in SECTIONS for f, v in _stated(getattr(file, s)).items()},
        "claims.averaging": file.claims.averaging or not any(scores) or None,
    }
    reasons = {"labels": defaults.labels, "license": defaults.license} | {
        f"{section}.{field}": entry
        for section in (*SECTIONS, "claims")
        for field, entry in getattr(defaults, section).items()
    }
    reasons |= file.assumed | file.inferred
    return {
        key: Unspecified(reason=entry.reason, inferred=key in file.inferred)
        for key, entry in reasons.items()
        if entry.reason and stated.get(key) is None
    }


def _draws(split: Mapping[str, Any]) -> bool:
    """Whether rows are drawn, so that a seed decides which."""
    return bool(split["validation"] == "holdout" or split["scored_rows"] != "all")


def _override(
    card: Card, file: ParamsFile, defaults: DefaultsFile
) -> tuple[dict[str, Any], list[str]]:
    """The card's sections with every value of an override section that is not null."""
    sections: dict[str, Any] = {}
    faults: list[str] = []
    for name, model in _MODELS.items():
        values = getattr(card, name).model_dump() | _stated(getattr(file, name))
        if name == "split" and _draws(values) and values["seed"] is None:
            values["seed"] = defaults.split["seed"].value
        sections[name], found = validate(model, values, PARAMS, name)
        faults += found
    return sections, faults


def _stated(section: BaseModel) -> dict[str, Any]:
    """What a section with optional fields says about the recipe."""
    return section.model_dump(exclude_none=True, exclude={"processes"})


def _processes_fault(processes: int, batch_size: int) -> str:
    fitting = [str(n) for n in range(1, batch_size + 1) if batch_size % n == 0]
    return (
        f"{PARAMS}: train.processes: {processes} cannot share a batch of {batch_size} evenly; "
        f"set it to one of {', '.join(fitting)}"
    )


def _name_faults(raw: RawFiles) -> list[str]:
    """Names of cards, reviews and bases that there are none of."""
    uses: list[tuple[str, object, str, Mapping[Any, Any]]] = [
        (f"{PARAMS}: card", raw.params.get("card"), f"{CARDS}/", raw.cards)
    ]
    places: list[tuple[str, object, str]] = [
        (f"{PARAMS}: data.reviews", _get(raw.params, "data", "reviews"), "reviews"),
        (f"{PARAMS}: model.base", _get(raw.params, "model", "base"), "bases"),
    ]
    for name, card in raw.cards.items():
        for key, mapping in (("reviews", "reviews"), ("base", "bases")):
            places.append((f"{CARDS / name}.yaml: {key}", _get(card, key), mapping))
    for key, value, mapping in places:
        known = _get(raw.sources, mapping)
        if isinstance(known, dict):  # else that is the fault
            uses.append((key, value, f"{mapping} of {SOURCES}", known))
    return [
        f"{key}: {value!r} is not in {where}{suggestion(value, [str(k) for k in known])}"
        for key, value, where, known in uses
        if isinstance(value, str) and value not in known  # other types are reported elsewhere
    ]


def _get(raw: object, *keys: str) -> object:
    """raw[key1][key2]... where every step is a mapping; None otherwise."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw


def _length_faults(file: ParamsFile, sources: SourcesFile, cards: Mapping[str, Card]) -> list[str]:
    """A max_length over the positions of the base that it is used with."""
    faults = []
    for name, card in cards.items():
        length, used = card.tokenize.max_length, card.base
        key = f"{CARDS / name}.yaml: tokenize.max_length"
        if name == file.card:
            used = file.model.base or used
            if file.tokenize.max_length is not None:
                length, key = file.tokenize.max_length, f"{PARAMS}: tokenize.max_length"
        positions = sources.bases[used].max_positions
        if length > positions:
            faults.append(
                f"{key}: {length} is over the {positions} positions of the base {used}; "
                f"set it to {positions} or less"
            )
    return faults


def _deviations(file: ParamsFile, card: Card) -> list[Deviation]:
    """Every override that says something else than the card, in the file's order."""
    of_card: dict[str, dict[str, Any]] = {
        "data": {"reviews": card.reviews},
        "model": {"base": card.base},
        **{name: getattr(card, name).model_dump() for name in SECTIONS},
    }
    found = []
    for section in OVERRIDES:
        for field, ours in _stated(getattr(file, section)).items():
            stated = of_card[section].get(field)
            if ours != stated:
                found.append(Deviation(key=f"{section}.{field}", card=stated, ours=ours))
    return found


def as_override(value: object) -> str:
    """A value as `dvc exp run -S` takes it, with all its digits."""
    if isinstance(value, list):
        return "[" + ",".join(map(as_override, value)) + "]"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return f"{value}".lower()

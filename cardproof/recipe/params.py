"""Reads params.yaml, once, into one validated object: the recipe of the chosen card.

A recipe is the card's own values with the override sections laid over them. Every fault of the
file is reported at once, each with its key, its value and what to do.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.errors import CardproofError
from cardproof.recipe.reported import check_printed, is_blank

PARAMS_FILE = Path("params.yaml")
_OVERRIDES = ("data", "model", "split", "tokenize", "train", "evaluate")


def _check_md5(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", value):
        raise ValueError(f"{value!r} must be an md5: 32 hexadecimal digits")
    return value


def _check_name(value: str) -> str:
    # DVC reads `cards.<name>.train`: a dot would part the name.
    if not re.fullmatch("[A-Za-z0-9_-]+", value):
        raise ValueError(f"{value!r} must be a name of letters, digits, - and _")
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, AfterValidator(_check_md5)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(_check_name)]
Figure = Annotated[str, AfterValidator(check_printed)]  # as a card prints it, or its placeholder


class ParamsError(CardproofError):
    """Faults of params.yaml, all of them, one a line: what is not printable in one is escaped."""

    def __init__(self, faults: list[str], path: Path = PARAMS_FILE) -> None:
        faults = [
            "".join(c if c.isprintable() else ascii(c)[1:-1] for c in fault) for fault in faults
        ]
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n  ".join([f"{path}: {count}. Nothing was run.", *faults]))
        self.faults = faults


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Split(_Section):
    """Which rows are trained on, validated on and scored."""

    validation: Literal["holdout", "test", "none"]
    test_size: Annotated[float, Field(gt=0, lt=1)] | None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None
    scored: Literal["test", "validation"]
    scored_rows: int | Literal["all"]

    @model_validator(mode="after")
    def _fits_together(self) -> "Split":
        if self.validation == "holdout" and (self.test_size is None or self.seed is None):
            raise ValueError("validation: holdout needs test_size (e.g. 0.1) and seed (e.g. 42)")
        if self.validation == "none" and self.scored == "validation":
            raise ValueError("scored: validation needs validation rows; set validation: holdout")
        if self.scored_rows != "all" and (self.scored_rows < 2 or self.scored_rows % 2):
            raise ValueError(f"scored_rows: {self.scored_rows} must be all, or even: half each")
        if self.scored_rows != "all" and self.seed is None:
            raise ValueError("scored_rows is a draw and needs a seed, e.g. seed: 42")
        if self.scored_rows != "all" and self.validation_set == self.scored:
            raise ValueError("scored_rows: the validation rows are scored whole; set it to all")
        return self

    @property
    def validation_set(self) -> Literal["validation", "test"] | None:
        """The row set that each epoch is validated on, by its file name; None without one."""
        sets: dict[str, Literal["validation", "test"] | None]
        sets = {"holdout": "validation", "test": "test", "none": None}
        return sets[self.validation]

    @property
    def scored_set(self) -> Literal["validation", "test"]:
        """The row set that the headline figures are taken on, by its file name."""
        return "test" if self.scored == "test" else self.validation_set or "test"


class Tokenize(_Section):
    """How a review becomes word pieces."""

    max_length: Annotated[int, Field(ge=8)]
    cut: Literal["head_and_tail"] | None = None  # none: the head is kept, as all cards do


class Train(_Section):
    """The training recipe, in the terms of transformers' TrainingArguments.

    None of the published cards has `layer_decay` and `average_last`.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)]
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    epsilon: Annotated[float, Field(gt=0, le=1)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    epochs: Annotated[float, Field(gt=0, le=1000)]
    max_steps: Annotated[int, Field(ge=-1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    precision: Literal["fp32", "bf16", "fp16"]
    load_best: bool
    logging_steps: Annotated[int, Field(ge=1)]
    layer_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    average_last: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Train":
        if self.average_last and self.load_best:
            raise ValueError("average_last keeps a mean over epochs; set load_best: false")
        if self.max_steps == 0:
            raise ValueError("max_steps: 0 trains nothing; set -1 (all epochs) or 1 and more")
        return self


class Evaluate(_Section):
    """How the scored rows are run through the model."""

    batch_size: Annotated[int, Field(ge=1, le=4096)]


class Claims(_Section):
    """A card's figures, as printed. An epoch row: training loss, epoch, step, loss, accuracy."""

    accuracy: Figure | None = None
    loss: Figure | None = None
    f1: Figure | None = None
    precision: Figure | None = None
    recall: Figure | None = None
    averaging: Literal["binary", "macro", "weighted"] = "binary"
    milliseconds_per_example: Figure | None = None
    steps: Figure | None = None
    train_rows: Figure | None = None
    validation_rows: Figure | None = None
    test_rows: Figure | None = None
    scored_rows: Figure | None = None
    parameters: Figure | None = None
    model_mebibytes: Figure | None = None
    epochs: list[Annotated[list[Figure], Field(min_length=5, max_length=5)]] = []

    @model_validator(mode="after")
    def _epochs_are_numbered(self) -> "Claims":
        for row in self.epochs:
            if is_blank(row[1]):
                raise ValueError(f"epochs: the row {row} has no epoch in its second cell")
        return self


class VerdictRules(_Section):
    """When a measurement is the same thing as a claim.

    Margins are the differences that do not matter. The standard deviations are those of published
    runs of one recipe, for where there is a single run of ours; null: none is known.
    """

    share_margin: Annotated[float, Field(ge=0, lt=1)]
    loss_margin: Annotated[float, Field(ge=0)]
    share_sd: Annotated[float, Field(gt=0, lt=1)] | None
    loss_sd: Annotated[float, Field(gt=0)] | None
    level: Annotated[float, Field(gt=0.5, lt=1)]


class Data(_Section):
    """Which reviews, and how many: no card limits its rows, so every value is a deviation."""

    reviews: str | None = None
    limit: Annotated[int, Field(ge=2)] | None = None
    test_limit: Annotated[int, Field(ge=2)] | None = None


class Model(_Section):
    """Another base than the card's."""

    base: str | None = None


class Card(_Section):
    """One published card as an executable recipe."""

    title: Text
    published_as: Text
    reviews: str
    base: str
    labels: Annotated[list[Text], Field(min_length=2, max_length=2)] | None
    license: Text | None
    split: Split
    tokenize: Tokenize
    train: Train
    evaluate: Evaluate
    claims: Claims
    silent: dict[str, Text]

    @model_validator(mode="after")
    def _silences_exist(self) -> "Card":
        for key in self.silent:
            section, _, field = key.partition(".")
            value = getattr(self, section, None)
            if section not in type(self).model_fields or (
                field and field not in getattr(type(value), "model_fields", {})
            ):
                raise ValueError(f"silent: {key} is not a key of this card")
        return self

    def leaves_open(self, key: str) -> bool:
        """Whether another value of that key would still fit all that the card says."""
        return key in self.silent and not self.silent[key].startswith("inferred:")


class File(_Section):
    """A file of a repository, known by its sum, or one of one's own, where the sum is optional."""

    path: Text
    sha256: Sha256 | None = None


class Archive(_Section):
    """The original archive of the same reviews: its md5, and what its rows must add up to."""

    md5: Md5
    train: Sha256
    test: Sha256


class Reviews(_Section):
    """Where labelled reviews come from: a repository's files, or, without one, one's own.

    Those of a repository are parquet files with columns text and label; one's own are parquet, CSV
    or JSON lines. A recipe's own reviews bear the name of their entry as repository.
    """

    repository: Text = ""
    revision: Text | None = None
    train: File
    test: File
    archive: Archive | None = None


class Base(_Section):
    """A pretrained encoder in the hub's format."""

    repository: Text
    revision: Text | None
    max_positions: Annotated[int, Field(ge=8)]
    files: Annotated[dict[str, Sha256], Field(min_length=1)]


class Deviation(_Section):
    """A value of the run that is not the card's."""

    key: str
    card: Any
    ours: Any


class Recipe(_Section):
    """What to run: the chosen card with the overrides applied, and how that differs from it.

    `processes` train together, each on its share of every batch. It is no deviation.
    """

    name: str
    card: Card
    data: Data
    reviews_name: str
    reviews: Reviews
    own_reviews: bool
    base_name: str
    base: Base
    split: Split
    tokenize: Tokenize
    train: Train
    evaluate: Evaluate
    processes: int
    verdict: VerdictRules
    deviations: list[Deviation]


def _optional(model: type[_Section]) -> type[_Section]:
    """The model with every field optional: the shape of an override section."""
    fields: dict[str, Any] = {
        # Optional[...] because `|` is not defined between Annotated[...] with unpacked metadata
        name: (Optional[Annotated[info.annotation, *info.metadata]], None)  # noqa: UP045
        if info.metadata
        else (Optional[info.annotation], None)  # noqa: UP045
        for name, info in model.model_fields.items()
    }
    return create_model(f"{model.__name__}Override", __base__=_Section, **fields)


class _TrainOverride(_optional(Train)):  # type: ignore[misc]
    # No part of a card's recipe: it changes who computes what, and the last digits of sums.
    processes: Optional[Annotated[int, Field(ge=1, le=4096)]] = None  # noqa: UP045


def _check_reviews(reviews: Reviews) -> Reviews:
    """What an entry of the file must have; a recipe's own reviews have a name besides."""
    sums = (reviews.train.sha256, reviews.test.sha256)
    if reviews.repository and None in sums:
        raise ValueError("the files of a repository need a sha256 each; add it")
    if reviews.repository and "revision" not in reviews.model_fields_set:
        raise ValueError("revision is missing; add it, or null if it is in sample/hub")
    if not reviews.repository and (reviews.revision or reviews.archive):
        raise ValueError("revision and archive are of a repository; add it, or remove them")
    return reviews


class _ParamsFile(_Section):
    card: str
    data: Data
    model: Model
    split: _optional(Split)  # type: ignore[valid-type]
    tokenize: _optional(Tokenize)  # type: ignore[valid-type]
    train: _TrainOverride
    evaluate: _optional(Evaluate)  # type: ignore[valid-type]
    verdict: VerdictRules
    cards: dict[Name, Card]
    reviews: dict[str, Annotated[Reviews, AfterValidator(_check_reviews)]]
    bases: dict[str, Base]


def load_recipe(path: Path = PARAMS_FILE) -> Recipe:
    """Read and check params.yaml and return the recipe of the chosen card.

    Raises:
        ParamsError: the file is missing, is not YAML, or has faults; all of them are listed.
    """
    return resolve(_read_yaml(path), path)


def resolve(raw: dict[str, Any], path: Path = PARAMS_FILE) -> Recipe:
    """Check the parsed params.yaml and lay its overrides over the chosen card.

    Raises:
        ParamsError: with every fault of the file.
    """
    file, faults = _validate(_ParamsFile, raw)
    faults += _name_faults(raw)
    faults += _length_faults(raw)
    if faults or file is None:
        raise ParamsError(faults, path)
    card = file.cards[file.card]
    split, split_faults = _override(card.split, file.split, "split")
    tokenize, _ = _override(card.tokenize, file.tokenize, "tokenize")
    train, train_faults = _override(card.train, file.train, "train")
    evaluate, _ = _override(card.evaluate, file.evaluate, "evaluate")
    if split is None or tokenize is None or train is None or evaluate is None:
        raise ParamsError(split_faults + train_faults, path)
    if train.load_best and split.validation == "none":
        raise ParamsError(["train.load_best: true needs validation rows; set it to false"], path)
    processes = file.train.processes or 1
    if train.batch_size % processes:
        raise ParamsError([_processes_fault(processes, train.batch_size)], path)
    reviews_name, base_name = file.data.reviews or card.reviews, file.model.base or card.base
    reviews = file.reviews[reviews_name]
    return Recipe(
        name=file.card,
        card=card,
        data=file.data,
        reviews_name=reviews_name,
        reviews=reviews.model_copy(update={"repository": reviews.repository or reviews_name}),
        own_reviews=not reviews.repository,
        base_name=base_name,
        base=file.bases[base_name],
        split=split,
        tokenize=tokenize,
        train=train,
        evaluate=evaluate,
        processes=processes,
        verdict=file.verdict,
        deviations=_deviations(file, card),
    )


def _processes_fault(processes: int, batch_size: int) -> str:
    fitting = [str(n) for n in range(1, batch_size + 1) if batch_size % n == 0]
    return (
        f"train.processes: {processes} cannot share a batch of {batch_size} evenly; "
        f"set it to one of {', '.join(fitting)}"
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ParamsError(["the file is missing; run from the repository's root"], path)
    try:
        # YAML 1.2, as DVC reads it: 2e-5 is a number, and a key given twice is an error.
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, dates, numbers
        reason = " ".join(str(error).split())
        raise ParamsError([f"not readable as YAML; mend it: {reason}"], path) from error
    if not isinstance(raw, dict):
        raise ParamsError(["holds no mapping of keys; restore it from Git"], path)
    return raw


def as_override(value: object) -> str:
    """A value as `dvc exp run -S` takes it, with all its digits."""
    if isinstance(value, list):
        return "[" + ",".join(map(as_override, value)) + "]"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return f"{value}".lower()


M = TypeVar("M", bound=_Section)


def _validate(model: type[M], raw: object, prefix: str = "") -> tuple[M | None, list[str]]:
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        faults: dict[str, str] = {}
        for e in error.errors():
            key, advice = _fault(model, dict(e), prefix)
            # A union reports one error a branch, all of the same key.
            faults[key] = f"{faults[key]}, or {advice}" if key in faults else advice
        return None, [f"{key}: {advice}" for key, advice in faults.items()]


def _override(own: M, override: BaseModel, section: str) -> tuple[M | None, list[str]]:
    """The card's section with every value of the override section that is not null."""
    values = own.model_dump() | _values(override)
    return _validate(type(own), values, section)


def _values(override: BaseModel) -> dict[str, Any]:
    """What an override section says about the recipe."""
    return override.model_dump(exclude_none=True, exclude={"processes"})


# pydantic's error type: what to do about it. Types not listed here speak for themselves.
_REMEDIES = {
    "missing": "missing; add it",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping of keys",
    "invalid_key": "must be text; put this key in quotes",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have {min_length} items or more",
    "too_long": "must have {max_length} items or fewer",
    "string_too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must be a sha256: 64 hexadecimal digits",
    "value_error": "{error}",
}


def _fault(model: type[BaseModel], error: dict[str, Any], prefix: str) -> tuple[str, str]:
    """The key that a pydantic error is about, and what to do about it."""
    # A union's branches are named in the location ('int', "literal['all']"): not keys of the file.
    unknown = [str(error["loc"][-1])] if error["type"] == "extra_forbidden" else []
    path = [str(p) for p in error["loc"]][: -1 if unknown else None]
    parts = [p for p in path if "[" not in p and p not in ("int", "float")] + unknown
    key = ".".join([*([prefix] if prefix else []), *parts]) or "params.yaml"
    if unknown:
        return key, f"no such key{_suggestion(parts[-1], _known_keys(model, parts[:-1]))}"
    advice = _REMEDIES.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    if error["type"] in ("missing", "value_error", "invalid_key"):
        return key, advice
    null = ", or null for the card's own value" if parts[0] in _OVERRIDES else ""
    return key, f"{error['input']!r} {advice}{null}"


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The field names of the model found by following `path` down from `model`."""
    for part in path:
        if part not in model.model_fields:
            continue  # a name in a mapping, such as a card's
        inner: Any = model.model_fields[part].annotation
        arguments = getattr(inner, "__args__", ())
        candidates = [inner, *arguments]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if models:
            model = models[0]
    return list(model.model_fields)


def _suggestion(name: object, known: list[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def _mapping(raw: dict[str, Any], *keys: object) -> dict[str, Any]:
    """raw[key1][key2]... where every step is a mapping; an empty one otherwise."""
    value: Any = raw
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _name_faults(raw: dict[str, Any]) -> list[str]:
    """Names of cards, reviews and bases that are not in their mappings."""
    uses: list[tuple[str, object, str]] = [
        ("card", raw.get("card"), "cards"),
        ("data.reviews", _mapping(raw, "data").get("reviews"), "reviews"),
        ("model.base", _mapping(raw, "model").get("base"), "bases"),
    ]
    for name in _mapping(raw, "cards"):
        card = _mapping(raw, "cards", name)
        uses.append((f"cards.{name}.reviews", card.get("reviews"), "reviews"))
        uses.append((f"cards.{name}.base", card.get("base"), "bases"))
    faults = []
    for key, value, mapping in uses:
        known = [str(k) for k in _mapping(raw, mapping)]
        if isinstance(value, str) and value not in known:  # other types are reported elsewhere
            faults.append(f"{key}: {value!r} is not in {mapping}{_suggestion(value, known)}")
    return faults


def _length_faults(raw: dict[str, Any]) -> list[str]:
    """A max_length over the positions of the base that it is used with."""
    faults = []
    override = _mapping(raw, "tokenize").get("max_length")
    base = _mapping(raw, "model").get("base")
    for name in _mapping(raw, "cards"):
        card = _mapping(raw, "cards", name)
        chosen = name == raw.get("card")
        length, key = _mapping(card, "tokenize").get("max_length"), f"cards.{name}.tokenize"
        if chosen and override is not None:
            length, key = override, "tokenize"
        used = base if chosen and base is not None else card.get("base")
        if not isinstance(used, str):
            continue  # reported elsewhere
        positions = _mapping(raw, "bases", used).get("max_positions")
        if isinstance(length, int) and isinstance(positions, int) and length > positions:
            faults.append(
                f"{key}.max_length: {length} is over the {positions} positions of the base "
                f"{used}; set it to {positions} or less"
            )
    return faults


def _deviations(file: _ParamsFile, card: Card) -> list[Deviation]:
    """Every override that says something else than the card, in the file's order."""
    found = []
    for section in _OVERRIDES:
        own = {"data": {"reviews": card.reviews}, "model": {"base": card.base}}.get(section)
        own = own or getattr(card, section, _Section()).model_dump()
        for field, ours in _values(getattr(file, section)).items():
            if ours != own.get(field):
                found.append(Deviation(key=f"{section}.{field}", card=own.get(field), ours=ours))
    return found

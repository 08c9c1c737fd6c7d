"""The parts of a recipe, as validated objects: cards, overrides, pins, and what follows of them.

A recipe is a card's own values, with defaults for what the card leaves unspecified, and the
overrides of params.yaml laid over them.
"""

import re
from typing import Annotated, Any, Literal, Optional

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

from cardproof.recipe.pins import Commit, Flat, RepositoryName, RepositoryPath, check_path
from cardproof.recipe.reported import check_printed, check_share, check_small, is_blank

MOST = 10**9  # rows, steps: more than any run can have
LEAST = 1e-30  # of a rate or an epsilon: less is nothing in fp32, and a division by it no number
SECTIONS = ("split", "tokenize", "train", "evaluate")  # of a recipe; a card states some of each


def _check_md5(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", value):
        raise ValueError(f"{value!r} must be an md5: 32 hexadecimal digits")
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, AfterValidator(_check_md5)]
Text = Annotated[str, Field(min_length=1)]
# As a card prints them, or their placeholders:
Figure = Annotated[str, AfterValidator(check_printed)]
Share = Annotated[str, AfterValidator(check_share)]
Loss = Annotated[str, AfterValidator(check_small)]


class Section(BaseModel):
    """What all parts of a recipe have in common: no unknown keys, no conversion of values."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Split(Section):
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
        rows = self.scored_rows
        if rows != "all" and rows > MOST:  # it may have more digits than Python writes
            raise ValueError(f"scored_rows must be all, or {MOST:,} at most")
        if rows != "all" and (rows < 2 or rows % 2):
            raise ValueError(f"scored_rows: {rows} must be all, or even: half each")
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


class Tokenize(Section):
    """How a review becomes tokens."""

    max_length: Annotated[int, Field(ge=8, le=MOST)]
    truncation: Literal["head", "head_and_tail"]  # which part of a longer review is kept


class Train(Section):
    """The training recipe, in the terms of transformers' TrainingArguments."""

    learning_rate: Annotated[float, Field(ge=LEAST, le=1)]
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    warmup_steps: Annotated[int, Field(ge=0, le=MOST)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    epsilon: Annotated[float, Field(ge=LEAST, le=1)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    epochs: Annotated[float, Field(gt=0, le=1000)]
    max_steps: Annotated[int, Field(ge=-1, le=MOST)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    precision: Literal["fp32", "bf16", "fp16"]
    load_best: bool
    logging_steps: Annotated[int, Field(ge=1, le=MOST)]

    @model_validator(mode="after")
    def _trains(self) -> "Train":
        if self.max_steps == 0:
            raise ValueError("max_steps: 0 trains nothing; set -1 (all epochs) or 1 and more")
        return self


class Evaluate(Section):
    """How the scored rows are run through the model."""

    batch_size: Annotated[int, Field(ge=1, le=4096)]


Averaging = Literal["binary", "macro", "weighted"]


def _check_epoch(row: list[str]) -> list[str]:
    training_loss, epoch, _, loss, accuracy = row
    if is_blank(epoch):
        raise ValueError(f"the row {row} has no epoch in its second cell")
    for figure in (training_loss, epoch, loss):
        check_small(figure)
    check_share(accuracy)
    return row


EpochRow = Annotated[list[Figure], Field(min_length=5, max_length=5), AfterValidator(_check_epoch)]


class Claims(Section):
    """A card's figures, as printed. An epoch row: training loss, epoch, step, loss, accuracy."""

    accuracy: Share | None = None
    loss: Loss | None = None
    f1: Share | None = None
    precision: Share | None = None
    recall: Share | None = None
    averaging: Averaging | None = None  # of F1, precision and recall; filled in by the defaults
    milliseconds_per_example: Figure | None = None
    steps: Figure | None = None
    train_rows: Figure | None = None
    validation_rows: Figure | None = None
    test_rows: Figure | None = None
    scored_rows: Figure | None = None
    parameters: Figure | None = None
    model_mebibytes: Figure | None = None
    epochs: list[EpochRow] = []


class VerdictRules(Section):
    """When a measurement is the same thing as a claim.

    Margins are the differences that do not matter; the level is 1 minus the error rates.
    """

    share_margin: Annotated[float, Field(ge=0, lt=1)]
    loss_margin: Annotated[float, Field(ge=0, le=100)]
    level: Annotated[float, Field(gt=0.5, lt=1)]


class Data(Section):
    """Which reviews, and how many: no card limits its rows, so every value is a deviation."""

    reviews: str | None = None
    limit: Annotated[int, Field(ge=2, le=MOST)] | None = None
    test_limit: Annotated[int, Field(ge=2, le=MOST)] | None = None


class Model(Section):
    """Another base than the card's."""

    base: str | None = None


class Reasoned(Section):
    """A value that a card does not state, and why it is taken; no reason: cards never state it."""

    value: Any
    reason: Text | None = None


class Unspecified(Section):
    """Why a value that the card does not state was taken.

    Attributes:
        reason: for people.
        inferred: whether it follows from the card's own figures: no other value fits them.
    """

    reason: Text
    inferred: bool = False


class Card(Section):
    """One published card as an executable recipe, whatever it leaves unspecified filled in.

    Attributes:
        unspecified: the keys ("train.seed") whose values the card does not state, and why they
            were taken.
    """

    title: Text
    published_as: Text
    reviews: str
    base: str
    labels: list[str] | None
    license: str | None
    split: Split
    tokenize: Tokenize
    train: Train
    evaluate: Evaluate
    claims: Claims
    unspecified: dict[str, Unspecified]

    def leaves_open(self, key: str) -> bool:
        """Whether another value of that key would still fit all that the card says."""
        return key in self.unspecified and not self.unspecified[key].inferred


class File(Section):
    """A file of a repository, known by its checksum, or a user's, whose checksum is optional."""

    path: Text
    sha256: Sha256 | None = None


class Archive(Section):
    """The original archive of the same reviews: its md5, and what its rows must add up to."""

    md5: Md5
    train: Sha256
    test: Sha256


class Reviews(Section):
    """Where labelled reviews come from: a repository's files, or, without one, the user's.

    Those of a repository are parquet files with columns text and label; a user's are parquet, CSV
    or JSON lines. In a recipe, user files bear the name of their entry as repository.
    """

    repository: RepositoryName = ""
    revision: Commit | None = None
    train: File
    test: File
    archive: Archive | None = None


class Base(Section):
    """A pretrained encoder in the hub's format."""

    repository: RepositoryName
    revision: Commit | None
    max_positions: Annotated[int, Field(ge=8, le=MOST)]
    files: Annotated[dict[RepositoryPath, Sha256], Field(min_length=1), Flat]


class Deviation(Section):
    """A value of the run that is not the card's; `why` where no override says so."""

    key: str
    card: Any
    ours: Any
    why: str = ""


class Identity(Section):
    """What a run used, by its bytes: `cardproof.recipe.identity` has what they should be."""

    reviews: Sha256
    base: Sha256


class Recipe(Section):
    """What to run: the chosen card with the overrides applied, and how that differs from it.

    `processes` train together, each on its share of every batch. It is no deviation. `identity` is
    known once reviews and base are there: from then on their names say what they are.
    """

    name: str
    card: Card
    data: Data
    reviews_name: str
    reviews: Reviews
    user_reviews: bool
    base_name: str
    base: Base
    split: Split
    tokenize: Tokenize
    train: Train
    evaluate: Evaluate
    processes: int
    verdict: VerdictRules
    deviations: list[Deviation]
    identity: Identity | None = None


def optional(model: type[Section], **more: Any) -> type[Section]:
    """The model with every field optional: an override section, or what a card states of it.

    Args:
        model: a section of a recipe.
        more: further optional fields, by name: their types.
    """
    fields: dict[str, Any] = {
        # Optional[...] because `|` is not defined between Annotated[...] with unpacked metadata
        name: (Optional[Annotated[info.annotation, *info.metadata]], None)  # noqa: UP045
        if info.metadata
        else (Optional[info.annotation], None)  # noqa: UP045
        for name, info in model.model_fields.items()
    }
    fields |= {name: (kind, None) for name, kind in more.items()}
    return create_model(f"{model.__name__}Override", __base__=Section, **fields)


def _check_reviews(reviews: Reviews) -> Reviews:
    """What an entry of sources.yaml must have; a recipe's user files have a name besides."""
    sums = (reviews.train.sha256, reviews.test.sha256)
    if reviews.repository and None in sums:
        raise ValueError("the files of a repository need a sha256 each; add it")
    if reviews.repository and "revision" not in reviews.model_fields_set:
        raise ValueError("revision is missing; add it, or null if it is in sample/hub")
    if reviews.repository:
        for file in (reviews.train, reviews.test):
            check_path(file.path, (".parquet",))
    if not reviews.repository and (reviews.revision or reviews.archive):
        raise ValueError("revision and archive are of a repository; add it, or remove them")
    return reviews


class SourcesFile(Section):
    """sources.yaml: the pinned reviews and bases, by name."""

    reviews: dict[RepositoryName, Annotated[Reviews, AfterValidator(_check_reviews)]]
    bases: dict[RepositoryName, Base]


class CardFile(Section):
    """cards/<name>.yaml: what one card states, and what was inferred or assumed for the rest.

    Attributes:
        inferred: by key, what follows from the card's own figures.
        assumed: by key, what the card leaves open and is not left to cards/defaults.yaml.
    """

    title: Text
    published_as: Text
    reviews: str
    base: str
    labels: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = None
    license: Text | None = None
    split: optional(Split) = optional(Split)()  # type: ignore[valid-type]
    tokenize: optional(Tokenize) = optional(Tokenize)()  # type: ignore[valid-type]
    train: optional(Train) = optional(Train)()  # type: ignore[valid-type]
    evaluate: optional(Evaluate) = optional(Evaluate)()  # type: ignore[valid-type]
    claims: Claims = Claims()
    inferred: dict[str, Reasoned] = {}
    assumed: dict[str, Reasoned] = {}

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> "CardFile":
        known = {f"{s}.{f}" for s in SECTIONS for f in type(getattr(self, s)).model_fields}
        for name, reasoned in (("inferred", self.inferred), ("assumed", self.assumed)):
            for key, entry in reasoned.items():
                if key not in known:
                    raise ValueError(f"{name}: {key} is not a key of a recipe, such as train.seed")
                if entry.reason is None:
                    raise ValueError(f"{name}: {key} has no reason; add it")
        section_of = {key: key.partition(".") for key in [*self.inferred, *self.assumed]}
        for key, (section, _, field) in section_of.items():
            if getattr(getattr(self, section), field) is not None:
                raise ValueError(f"{key} is stated, and inferred or assumed besides; keep one")
            if key in self.inferred and key in self.assumed:
                raise ValueError(f"{key} is both inferred and assumed; keep one")
        return self


class DefaultsFile(Section):
    """cards/defaults.yaml: the values of what a card leaves unspecified, and why."""

    labels: Reasoned
    license: Reasoned
    split: dict[str, Reasoned]
    tokenize: dict[str, Reasoned]
    train: dict[str, Reasoned]
    evaluate: dict[str, Reasoned]
    claims: dict[str, Reasoned]


class ParamsFile(Section):
    """params.yaml: the card to run, the overrides, and when a claim counts as reproduced."""

    card: str
    data: Data
    model: Model
    split: optional(Split)  # type: ignore[valid-type]
    tokenize: optional(Tokenize)  # type: ignore[valid-type]
    # Processes are no part of a card's recipe: they change who computes what, and the last digits.
    train: optional(Train, processes=Annotated[int, Field(ge=1, le=4096)] | None)  # type: ignore[valid-type]
    evaluate: optional(Evaluate)  # type: ignore[valid-type]
    verdict: VerdictRules

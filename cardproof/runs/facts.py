"""Everything that a report is made of, read from a run's files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cardproof.data.duplicates import occurs_in, repeats_earlier
from cardproof.errors import CardproofError
from cardproof.model.tokens import open_tokens
from cardproof.recipe.schema import Recipe
from cardproof.tables import read_csv

Rows = list[dict[str, float | None]]


class FactsError(CardproofError):
    """A run's files that do not belong together."""


@dataclass(frozen=True)
class Predictions:
    """What the model makes of a set of rows.

    Attributes:
        labels: 0 or 1; shape (rows,).
        logits: shape (rows, 2).
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float64]


@dataclass(frozen=True)
class ScoredReviews:
    """The reviews behind the scored rows, in their order.

    Attributes:
        rows: each one's number in the file of reviews, from 0; shape (rows,).
        texts: as published, of any length.
        full_lengths: in tokens, before the cut; shape (rows,).
        lengths: in tokens, as the model read them; shape (rows,).
        in_train: whether the text also stands in the training rows; shape (rows,).
        in_validation: the same for the validation rows; None where there are none but these.
        repeated: whether the text stands earlier among these; shape (rows,).
    """

    rows: NDArray[np.int64]
    texts: list[str]
    full_lengths: NDArray[np.int64]
    lengths: NDArray[np.int64]
    in_train: NDArray[np.bool_]
    in_validation: NDArray[np.bool_] | None
    repeated: NDArray[np.bool_]


@dataclass(frozen=True)
class RunFacts:
    """A finished run: its recipe and what each stage wrote.

    Attributes:
        recipe: what was run.
        metrics: all metrics files in one mapping, each key led by its file's name: "train.steps".
        provenance: model/training.json.
        epochs: the per-epoch table.
        curve: the training curve.
        labels: of the scored rows; shape (rows,).
        logits: of the scored rows; shape (rows, 2).
        reviews: the texts of the scored rows.
        validation: the validation rows; None where there are none but the scored ones.
    """

    recipe: Recipe
    metrics: dict[str, float]
    provenance: dict[str, Any]
    epochs: Rows
    curve: Rows
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    reviews: ScoredReviews
    validation: Predictions | None


def read_run(recipe: Recipe, root: Path = Path()) -> RunFacts:
    """Read a run's outputs below `root`."""
    metrics: dict[str, float] = {}
    for name in ("split", "tokenize", "train", "evaluate", "evaluate_time"):
        figures = json.loads((root / f"metrics/{name}.json").read_text(encoding="utf-8"))
        metrics |= {f"{name}.{key}": value for key, value in figures.items()}
    name, validated = recipe.split.scored_set, recipe.split.validation_set
    other = None if validated == name else validated
    scored = _read_predictions(root, name)
    return RunFacts(
        recipe=recipe,
        metrics=metrics,
        provenance=json.loads((root / "model/training.json").read_text(encoding="utf-8")),
        epochs=read_csv(root / "plots/epochs.csv"),
        curve=read_csv(root / "plots/training_curve.csv"),
        labels=scored.labels,
        logits=scored.logits,
        reviews=_read_reviews(root, name, other),
        validation=_read_predictions(root, other) if other else None,
    )


def _read_predictions(root: Path, name: str) -> Predictions:
    table = pq.read_table(root / f"data/predictions/{name}.parquet")
    logits = [table[c].to_numpy().astype(np.float64) for c in ("logit_negative", "logit_positive")]
    return Predictions(table["label"].to_numpy(), np.stack(logits, axis=1))


def _read_reviews(root: Path, name: str, validation: str | None) -> ScoredReviews:
    """The reviews of the set `name`, beside those of train and of another validation set."""
    reviews = pq.read_table(root / f"data/split/{name}.parquet", columns=["row", "text"])
    scored = pq.read_table(root / f"data/predictions/{name}.parquet", columns=["row"])
    if not reviews["row"].equals(scored["row"]):
        raise FactsError(
            f"data/predictions/{name}.parquet is of other rows than data/split/{name}.parquet; "
            "run `dvc repro`, which runs what is out of date"
        )
    texts = reviews["text"].to_pylist()
    tokens = open_tokens(root / "data/tokens" / name)
    return ScoredReviews(
        rows=reviews["row"].to_numpy(),
        texts=texts,
        full_lengths=np.asarray(tokens.full_lengths),
        lengths=tokens.lengths,
        in_train=occurs_in(texts, _read_texts(root, "train")),
        in_validation=occurs_in(texts, _read_texts(root, validation)) if validation else None,
        repeated=repeats_earlier(texts),
    )


def _read_texts(root: Path, name: str) -> list[str]:
    table = pq.read_table(root / f"data/split/{name}.parquet", columns=["text"])
    return list(table["text"].to_pylist())

"""Everything that a report is made of, read from a run's files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cardproof.params import Recipe
from cardproof.tables import read_csv

Rows = list[dict[str, float | None]]


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
    """

    recipe: Recipe
    metrics: dict[str, float]
    provenance: dict[str, Any]
    epochs: Rows
    curve: Rows
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]


def read_run(recipe: Recipe, root: Path = Path()) -> RunFacts:
    """Read a run's outputs below `root`."""
    metrics: dict[str, float] = {}
    for name in ("split", "tokenize", "train", "evaluate", "evaluate_time"):
        figures = json.loads((root / f"metrics/{name}.json").read_text(encoding="utf-8"))
        metrics |= {f"{name}.{key}": value for key, value in figures.items()}
    scored = pq.read_table(root / f"data/predictions/{recipe.split.scored_set}.parquet")
    logits = [scored[c].to_numpy().astype(np.float64) for c in ("logit_negative", "logit_positive")]
    return RunFacts(
        recipe=recipe,
        metrics=metrics,
        provenance=json.loads((root / "model/training.json").read_text(encoding="utf-8")),
        epochs=read_csv(root / "plots/epochs.csv"),
        curve=read_csv(root / "plots/training_curve.csv"),
        labels=scored["label"].to_numpy(),
        logits=np.stack(logits, axis=1),
    )

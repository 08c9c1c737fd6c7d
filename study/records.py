"""Reads the records that `python -m study.record` wrote."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        name: of its folder.
        said: record.json: command, date, card, base, seed, machine, versions.
        metrics: by "<file>.<key>".
        labels: of the scored rows; shape (rows,).
        logits: of the scored rows; shape (rows, 2).
    """

    name: str
    said: dict[str, Any]
    metrics: dict[str, float]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]


def read_records(results: Path) -> list[Record]:
    """Every record below `results`, by name."""
    return [read_record(path.parent) for path in sorted(results.glob("*/record.json"))]


def read_record(folder: Path) -> Record:
    """Read one record."""
    said = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    metrics: dict[str, float] = {}
    for path in sorted((folder / "metrics").glob("*.json")):
        figures = json.loads(path.read_text(encoding="utf-8"))
        metrics |= {f"{path.stem}.{key}": value for key, value in figures.items()}
    table = pq.read_table(folder / f"data/predictions/{said['scored_set']}.parquet")
    logits = [table[c].to_numpy().astype(np.float64) for c in ("logit_negative", "logit_positive")]
    return Record(folder.name, said, metrics, table["label"].to_numpy(), np.stack(logits, axis=1))

"""Reads the records that `python -m dev.study.record` wrote."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cardproof.errors import CardproofError
from cardproof.runs.reading import Run, UnavailableError, read_run
from cardproof.tables import read_csv


@dataclass(frozen=True, eq=False)
class Record:
    """A finished run.

    Attributes:
        name: of its folder, below results/.
        said: record.json: command, date, card, base, seed, machine, versions.
        metrics: by "<file>.<key>".
        epochs: the per-epoch table.
        labels: of the scored rows; shape (rows,).
        logits: of the scored rows; shape (rows, 2).
        right: which rows of each set that was predicted are right; shape (rows of the set,).
    """

    name: str
    said: dict[str, Any]
    metrics: dict[str, float]
    epochs: list[dict[str, float | None]]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    right: dict[str, NDArray[np.bool_]]


def read_records(results: Path) -> list[Record]:
    """Every record below `results`, by name."""
    return [_read_record(p.parent, results) for p in sorted(results.glob("**/record.json"))]


def _read_record(folder: Path, results: Path) -> Record:
    said = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    metrics: dict[str, float] = {}
    for path in sorted((folder / "metrics").glob("*.json")):
        figures = json.loads(path.read_text(encoding="utf-8"))
        metrics |= {f"{path.stem}.{key}": value for key, value in figures.items()}
    predictions = {
        path.stem: _read_predictions(path)
        for path in sorted((folder / "data/predictions").glob("*.parquet"))
    }
    labels, logits = predictions[said["scored_set"]]
    return Record(
        name=folder.relative_to(results).as_posix(),
        said=said,
        metrics=metrics,
        epochs=read_csv(folder / "plots/epochs.csv"),
        labels=labels,
        logits=logits,
        right={name: of.argmax(axis=1) == told for name, (told, of) in predictions.items()},
    )


def _read_predictions(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, shape (rows,), and logits, shape (rows, 2)."""
    table = pq.read_table(path)
    logits = [table[c].to_numpy().astype(np.float64) for c in ("logit_negative", "logit_positive")]
    return table["label"].to_numpy(), np.stack(logits, axis=1)


def read_runs(results: Path, names: list[str]) -> list[Run]:
    """The runs of those records that are there, as `cardproof.pages.compare` has them.

    Raises:
        CardproofError: a record is not what this version writes.
    """
    runs = []
    for name in names:
        folder = results / name
        if not (folder / "record.json").is_file():
            continue
        run = read_run(name, "", _reader(folder))
        if not isinstance(run, Run):
            raise CardproofError(f"{folder}: {run.reason}")
        runs.append(run)
    return runs


def _reader(folder: Path) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except OSError as error:
            raise UnavailableError(f"{path} is not in the record") from error

    return read

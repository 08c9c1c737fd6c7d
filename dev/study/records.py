"""Reads the records that `python -m dev.study.record` wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardproof.evaluation.metrics import Mask, right_rows
from cardproof.runs.reading import (
    Predictions,
    Rows,
    Run,
    files_below,
    read_predictions,
    read_rows,
    read_run,
)


@dataclass(frozen=True, eq=False)
class Record:
    """A finished run, named by its folder below results/, and what stands there beside it."""

    run: Run
    said: Mapping[str, Any]  # record.json: command, date, card, base, seed, machine, versions
    epochs: Rows
    predictions: Mapping[str, Predictions]  # by set

    @property
    def scored(self) -> Predictions:
        """Of the rows that the headline figures are of."""
        return self.predictions[self.run.recipe.split.scored_set]

    def right(self, name: str) -> Mask:
        """Which rows of a set are classified rightly; shape (rows of the set,)."""
        found = self.predictions[name]
        return right_rows(found.labels, found.logits)


def read_records(results: Path) -> dict[str, Record]:
    """Every record below `results`, by name.

    Raises:
        CardproofError: a record is not what this version writes.
    """
    folders = sorted(path.parent for path in results.glob("**/record.json"))
    return {folder.relative_to(results).as_posix(): _read(folder, results) for folder in folders}


def _read(folder: Path, results: Path) -> Record:
    read = files_below(folder)
    predicted = sorted((folder / "data/predictions").glob("*.parquet"))
    return Record(
        run=read_run(folder.relative_to(results).as_posix(), "", read),
        said=json.loads(read("record.json")),
        epochs=read_rows(read, "plots/epochs.csv"),
        predictions={path.stem: read_predictions(read, path.stem) for path in predicted},
    )

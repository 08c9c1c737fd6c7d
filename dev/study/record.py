"""Keep a finished run: `python -m dev.study.record NAME` writes results/NAME/.

A record holds the run's files at their own paths: the resolved recipe, metrics, tables and every
logit of the scored rows. There is no review in it and no weight.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cardproof.errors import CardproofError
from cardproof.evaluation.metrics import Mask, right_rows
from cardproof.files import working_folder, write_json
from cardproof.pages.settings import command_of
from cardproof.runs import reading
from cardproof.runs.findings import read_outputs
from cardproof.runs.reading import Predictions, Rows, Run

RESULTS = Path("results")
FILE = "record.json"
EPOCHS = "plots/epochs.csv"
COPIED = ("metrics", "data/predictions", reading.RECIPE, EPOCHS, "plots/training_curve.csv",
          "model/training.json")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Record:
    """A finished run, named by its folder below results/, and what stands there beside it."""

    run: Run
    made: Mapping[str, str]  # record.json: the run's command, date, machine and commit
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
    records = {}
    for path in sorted(results.glob(f"**/{FILE}")):
        name, read = path.parent.relative_to(results).as_posix(), reading.files_below(path.parent)
        sets = sorted(found.stem for found in path.parent.glob("data/predictions/*.parquet"))
        records[name] = Record(
            run=reading.read_run(name, "", read),
            made=json.loads(read(FILE)),
            epochs=reading.read_rows(read, EPOCHS),
            predictions={one: reading.read_predictions(read, one) for one in sets},
        )
    return records


def write_record(root: Path, target: Path) -> None:
    """Copy what a run came to from `root` to the folder `target`, without texts and weights.

    Raises:
        CardproofError: a file of the run is missing.
        CalledProcessError: `root` is not in a Git repository.
    """
    outputs = read_outputs(root)
    made = {
        "command": command_of(outputs.run.recipe),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "commit": _commit(root).strip(),
    }
    with working_folder(target) as folder:
        for path in COPIED:
            copy = shutil.copytree if (root / path).is_dir() else shutil.copy
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            copy(root / path, folder / path)
        (folder / "metrics/.gitignore").unlink(missing_ok=True)  # a record's are Git's to keep
        write_json(folder / FILE, made)


def _commit(root: Path) -> str:
    """Whose code ran."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def _processor() -> str:
    """The processor's name, as the kernel has it where it tells."""
    known = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.*)$", known.read_text(), re.M) if known.exists() else None
    return named[1] if named else platform.processor()


def main() -> int:
    """Write a record of the run in the workspace; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.study.record", description=__doc__)
    parser.add_argument("name", metavar="NAME", help="of the folder below results/")
    target = RESULTS / parser.parse_args().name
    try:
        write_record(Path(), target)
    except (CardproofError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}; run `dvc repro` first", file=sys.stderr)
        return 1
    print(f"{target} holds the run; commit it")
    return 0


if __name__ == "__main__":
    sys.exit(main())

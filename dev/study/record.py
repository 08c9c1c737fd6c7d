"""Keep a finished run: `python -m dev.study.record NAME` writes results/NAME/.

A record holds the run's files at their own paths: the resolved recipe, metrics, tables and every
logit of the scored rows. It has the report page, too, without the texts of its mistakes. There is
no review in it and no weight.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cardproof.errors import CardproofError
from cardproof.files import working_folder, write_text_atomic
from cardproof.pages.figures import draw_figures
from cardproof.pages.report import render_model_card, render_page
from cardproof.pages.settings import command_of
from cardproof.runs.findings import find, read_outputs
from cardproof.runs.reading import RECIPE, Run

RESULTS = Path("results")
FILES = (RECIPE, "plots/epochs.csv", "plots/training_curve.csv",
         "model/training.json")  # fmt: skip

_EPILOG = """\
examples:
  python -m dev.study.record grojeda-on-minilm            the run that the workspace holds
  python -m dev.study.record x --root .dvc/tmp/exps/y     one that lies elsewhere
"""


def main() -> int:
    """Write a record of the run in the workspace; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.study.record",
        description=(__doc__ or "").partition("\n")[0],
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="of the folder below results/")
    parser.add_argument("--root", type=Path, default=Path(), help="where the run lies")
    parser.add_argument("--no-page", action="store_true", help="leave out the report page")
    options = parser.parse_args()
    try:
        write_record(options.root, RESULTS / options.name, page=not options.no_page)
    except (CardproofError, OSError) as error:
        print(f"error: {error}; run `dvc repro` first", file=sys.stderr)
        return 1
    print(f"results/{options.name} holds the run; commit it")
    return 0


def write_record(root: Path, target: Path, *, page: bool) -> None:
    """Copy what a run came to from `root` to the folder `target`, without texts and weights.

    With `page` its report and its model card are added, about half a megabyte.
    """
    outputs = read_outputs(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(target) as folder:
        for path in ("metrics", "data/predictions"):
            shutil.copytree(root / path, folder / path)
        for path in FILES:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path, folder / path)
        if page:
            found = find(dataclasses.replace(outputs, texts_of=lambda places: [""] * len(places)))
            write_text_atomic(folder / "README.md", render_model_card(found))
            write_text_atomic(folder / "index.html", render_page(found, draw_figures(found)))
        said = describe(outputs.run) | {"commit": _commit(root)}
        write_text_atomic(folder / "record.json", json.dumps(said, indent=2) + "\n")


def describe(run: Run) -> dict[str, Any]:
    """What was run, when and where."""
    recipe = run.recipe
    return {
        "command": command_of(recipe),
        "date": datetime.now(UTC).date().isoformat(),
        "card": recipe.name,
        "base": recipe.base.repository,
        "reviews": recipe.reviews.repository,
        "revision": recipe.reviews.revision,
        "seed": recipe.train.seed,
        "deviations": {d.key: d.ours for d in recipe.deviations},
        "scored_set": recipe.split.scored_set,
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "versions": {
            key: run.provenance[key] for key in ("python", "torch", "transformers", "tokenizers")
        },
        "device": run.provenance["device"],
        "precision": run.provenance["precision"],
    }


def _commit(root: Path) -> str:
    """Whose code ran."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _processor() -> str:
    """The processor's name, as the kernel has it where it tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


if __name__ == "__main__":
    sys.exit(main())

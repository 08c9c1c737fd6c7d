"""A run out of the files of one revision: pure, whatever the files are read with."""

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.errors import CardproofError
from cardproof.recipe.schema import Recipe
from cardproof.recipe.stages import FOLDER, parse_recipe

METRICS = ("split", "tokenize", "train", "evaluate", "evaluate_time")
COLUMNS = ("row", "label", "logit_negative", "logit_positive")
RECIPE = f"{FOLDER}/report.json"
JUDGING = "report"  # the stage that measures nothing: it says what the figures mean

Read = Callable[[str], bytes]  # the bytes of a file by its path from the root, or UnavailableError


class UnavailableError(CardproofError):
    """A file that a revision does not have, or whose contents are not at hand."""


@dataclass(frozen=True, eq=False)
class Scored:
    """Which of its scored rows a run has right.

    Attributes:
        rows: a sum over the reviews' file, the row numbers and the labels: equal only where the
            very same rows were scored.
        what: the rows, for people.
        right: one mark per row; shape (rows,).
    """

    rows: str
    what: str
    right: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run.

    Attributes:
        name: an experiment, a branch, a tag, a commit, HEAD or workspace.
        commit: its sha; empty for the workspace.
        recipe: what was run.
        metrics: all metrics files in one mapping, each key led by its file's name.
        precision: what it computed in; None where that is not on record.
        code: sums of the code that made the figures, by path, as dvc.lock has them.
        scored: None where the logits are not at hand.
        remarks: what could not be read, and why.
    """

    name: str
    commit: str
    recipe: Recipe
    metrics: Mapping[str, float]
    precision: str | None = None
    code: Mapping[str, str] | None = None
    scored: Scored | None = None
    remarks: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """Of training."""
        return self.recipe.train.seed


@dataclass(frozen=True)
class LeftOut:
    """A revision that is not compared, and the reason."""

    name: str
    reason: str


def read_run(name: str, commit: str, read: Read) -> Run | LeftOut:
    """Read a run of this version of the project, or say why it is none."""
    try:
        recipe = parse_recipe(read(RECIPE))
        stages = _read_stages(read)
    except ValueError:
        return LeftOut(name, f"its {RECIPE} is of another version")
    except UnavailableError as error:
        return LeftOut(name, str(error))
    outdated = _outdated(stages, read)
    if outdated:
        return LeftOut(name, f"its figures are of another run: {outdated}; `dvc repro` renews them")
    metrics, remarks = _read_metrics(read)
    if "evaluate.accuracy" not in metrics and "evaluate.loss" not in metrics:
        return LeftOut(name, f"nothing was scored: {remarks[0] if remarks else 'no accuracy'}")
    precision = _read_precision(read, remarks)
    scored = _read_scored(read, recipe, metrics, remarks)
    return Run(name, commit, recipe, metrics, precision, _code(stages), scored, tuple(remarks))


def _read_stages(read: Read) -> dict[str, Any]:
    """The stages of dvc.lock; none where it is not there, as in a record of a run."""
    try:
        content = read("dvc.lock")
    except UnavailableError:
        return {}
    try:
        # YAML 1.2, as DVC's
        parsed = YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, dates, numbers
        raise UnavailableError("its dvc.lock is not readable as YAML") from error
    if not isinstance(parsed, dict):
        raise UnavailableError("its dvc.lock holds no mapping of keys")
    return parsed.get("stages") or {}


def _outdated(stages: dict[str, Any], read: Read) -> str:
    """What a file or an earlier stage says otherwise than the run did; empty if nothing."""
    outs = {o["path"]: o.get("md5") for s in stages.values() for o in s.get("outs", [])}
    for name, stage in stages.items():
        if name == JUDGING:
            continue
        for dep in stage.get("deps", []):
            path, ran = dep["path"], dep.get("md5")
            if path == "params.yaml" and _md5(read, path) != ran:
                return "params.yaml was changed after it"
            if path.startswith(f"{FOLDER}/") and _md5(read, path) != ran:
                return f"{name} did not run on the {path} that is there"
            if outs.get(path, ran) != ran:
                return f"{name} did not run on the {path} that is there"
    return ""


def _md5(read: Read, path: str) -> str:
    """The checksum that DVC notes of a file; empty where it is not there."""
    try:
        return hashlib.md5(read(path), usedforsecurity=False).hexdigest()
    except UnavailableError:
        return ""


def _code(stages: dict[str, Any]) -> dict[str, str]:
    return {
        dep["path"]: dep.get("md5", "")
        for name, stage in stages.items()
        for dep in stage.get("deps", [])
        if name != JUDGING and dep["path"].startswith(("cardproof", "stages"))
    }


def _read_metrics(read: Read) -> tuple[dict[str, float], list[str]]:
    """All figures that are finite numbers, and a remark on each file that is not there."""
    metrics: dict[str, float] = {}
    remarks = []
    for name in METRICS:
        path = f"metrics/{name}.json"
        try:
            figures = json.loads(read(path))
            metrics |= {f"{name}.{k}": v for k, v in figures.items() if _is_figure(v)}
            bad = [k for k, v in figures.items() if not _is_figure(v)]
            remarks += [f"{path}: {', '.join(bad)}: no finite number"] if bad else []
        except UnavailableError as error:
            remarks.append(str(error))
        except (ValueError, AttributeError):  # not JSON, or no mapping
            remarks.append(f"{path} holds no figures by name")
    return metrics, remarks


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _read_precision(read: Read, remarks: list[str]) -> str | None:
    try:
        precision = json.loads(read("model/training.json")).get("precision")
    except (UnavailableError, ValueError, AttributeError):
        precision = None
    if not isinstance(precision, str):
        remarks.append("model/training.json is not at hand: the precision is taken from the recipe")
        return None
    return precision


def _read_scored(
    read: Read, recipe: Recipe, metrics: Mapping[str, float], remarks: list[str]
) -> Scored | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = recipe.split.scored_set
    path = f"data/predictions/{name}.parquet"
    try:
        table = pq.read_table(io.BytesIO(read(path)), columns=list(COLUMNS))
        row, label, negative, positive = (table[c].to_numpy() for c in COLUMNS)
    except UnavailableError as error:
        remarks.append(f"{error}: no paired test")
        return None
    except (pa.ArrowException, KeyError):
        remarks.append(f"{path} is of another version: no paired test")
        return None
    right = (positive > negative) == (label == 1)
    accuracy = float(right.mean()) if len(right) else math.nan
    if not math.isclose(accuracy, metrics.get("evaluate.accuracy", accuracy), abs_tol=1e-6):
        remarks.append(f"{path} gives another accuracy than metrics/evaluate.json: no paired test")
        return None
    source = recipe.reviews.test if name == "test" else recipe.reviews.train
    if source.sha256 is None:
        remarks.append(
            f"reviews.{recipe.reviews_name} has no sha256 in sources.yaml: no paired test"
        )
        return None
    digest = hashlib.sha256(source.sha256.encode())
    for column in (row, label):
        digest.update(np.ascontiguousarray(column, dtype=np.int64).tobytes())
    what = f"{len(right):,} {name} rows of {recipe.reviews_name}"
    return Scored(digest.hexdigest(), what, right)

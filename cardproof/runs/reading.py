"""A finished run out of its files, whatever they are read with: a folder, a record, a revision.

`read_run` reads what every caller needs; tables and logits are read by those who ask for them.
"""

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.claims.summary import summarised_metrics
from cardproof.csv_files import parse_csv
from cardproof.errors import CardproofError
from cardproof.evaluation.metrics import right_rows
from cardproof.recipe.identity import ORIGIN, IdentityError, common_origin, origin_of
from cardproof.recipe.schema import Recipe
from cardproof.recipe.stages import FOLDER, parse_recipe

METRICS = ("split", "tokenize", "train", "evaluate", "evaluate_time")
RECIPE = f"{FOLDER}/report.json"
_COLUMNS = ("row", "label", "logit_negative", "logit_positive")
_JUDGING = "report"  # the stage that measures nothing: it says what the figures mean

Read = Callable[[str], bytes]  # the bytes of a file by its path from the root, or UnavailableError
Rows = list[dict[str, float | None]]


class UnavailableError(CardproofError):
    """A file that a revision does not have, or whose contents are not available."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model makes of a set of rows."""

    rows: NDArray[np.int64]  # each one's number in the file of reviews, from 0; shape (rows,)
    labels: NDArray[np.int64]  # 0 or 1; shape (rows,)
    logits: NDArray[np.float64]  # shape (rows, 2)


@dataclass(frozen=True, eq=False)
class Scored:
    """Which of its scored rows a run has right."""

    rows: str  # a checksum of reviews, row numbers and labels: equal for the very same rows only
    what: str  # the rows, for people
    right: NDArray[np.bool_]  # one mark per row; shape (rows,)
    places: NDArray[np.int64]  # each row's number in the file of reviews; shape (rows,)
    labels: NDArray[np.int64]  # 0 or 1; shape (rows,)


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run."""

    name: str  # an experiment, a branch, a tag, a commit, HEAD or workspace
    commit: str  # its sha; empty for the workspace
    recipe: Recipe
    metrics: Mapping[str, float]  # of all files, by "<file>.<key>"
    provenance: Mapping[str, Any] = field(default_factory=dict)  # where it ran, if at hand
    code: Mapping[str, str] = field(default_factory=dict)  # checksums by path, as in dvc.lock
    scored: Scored | None = None  # None where the logits are not at hand
    remarks: tuple[str, ...] = ()  # what could not be read, and why

    @property
    def seed(self) -> int:
        """Of training."""
        return self.recipe.train.seed

    @property
    def precision(self) -> str | None:
        """What it computed in; None where that is not on record."""
        return self.provenance.get("precision")


@dataclass(frozen=True)
class LeftOut:
    """A revision that is not compared, and the reason."""

    name: str
    reason: str


def files_below(root: Path) -> Read:
    """Reads the files of a folder that is laid out like the repository."""

    def read(path: str) -> bytes:
        try:
            return (root / path).read_bytes()
        except OSError as error:
            raise UnavailableError(f"{path} is not there") from error

    return read


def read_current_run(name: str, commit: str, read: Read) -> Run | LeftOut:
    """Read a run that dvc.lock says is of the parameters beside it, or say why there is none."""
    try:
        stages = _read_stages(read)
        outdated = _outdated(stages, read)
        if outdated:
            said = f"its figures are of another run: {outdated}; `dvc repro` renews them"
            return LeftOut(name, said)
        return replace(read_run(name, commit, read), code=_code(stages))
    except UnavailableError as error:
        return LeftOut(name, str(error))


def read_run(name: str, commit: str, read: Read) -> Run:
    """Read a run's recipe, figures and provenance.

    Raises:
        UnavailableError: its recipe or its scores are not there, or of another version, or its
            predictions were made from other things than its recipe says.
    """
    try:
        recipe = parse_recipe(read(RECIPE))
        _check_origin(read, recipe)
    except IdentityError as error:
        raise UnavailableError(str(error)) from error
    except ValueError as error:
        raise UnavailableError(f"its {RECIPE} is of another version") from error
    metrics, remarks = _read_metrics(read)
    if not _is_scored(metrics):  # Git has the summary of each run; the cache may not have the rest
        summary, remarks = _read_summary(read, recipe, remarks)
        metrics |= summary
    if not _is_scored(metrics):
        raise UnavailableError(f"nothing was scored: {remarks[0] if remarks else 'no accuracy'}")
    provenance = _read_provenance(read, remarks)
    scored = _read_scored(read, recipe, metrics, remarks)
    return Run(name, commit, recipe, metrics, provenance, {}, scored, tuple(remarks))


def _is_scored(metrics: Mapping[str, float]) -> bool:
    return "evaluate.accuracy" in metrics or "evaluate.loss" in metrics


def _check_origin(read: Read, recipe: Recipe) -> None:
    """Compare what a run's predictions were made from with what its recipe says, if they say it."""
    path = f"data/predictions/{ORIGIN}"
    try:
        origin = json.loads(read(path))
    except UnavailableError:  # Git does not have it, or the run is of an earlier version
        return
    common_origin({path: origin, RECIPE: origin_of(recipe)})


def read_rows(read: Read, path: str) -> Rows:
    """A table of numbers, "plots/epochs.csv" or another; an empty cell is None."""
    return parse_csv(read(path).decode("utf-8"))


def read_predictions(read: Read, name: str) -> Predictions:
    """What the model makes of a set of rows.

    Raises:
        UnavailableError: the file is not there, or of another version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = f"data/predictions/{name}.parquet"
    try:
        table = pq.ParquetFile(io.BytesIO(read(path))).read(columns=list(_COLUMNS))
        # By lists: pyarrow imports pandas to make arrays of NumPy's.
        row, label, negative, positive = (np.array(table[c].to_pylist()) for c in _COLUMNS)
    except (pa.ArrowException, KeyError) as error:
        raise UnavailableError(f"{path} is of another version") from error
    return Predictions(row, label, np.stack([negative, positive], axis=1).astype(np.float64))


def _read_stages(read: Read) -> dict[str, Any]:
    """The stages of dvc.lock."""
    content = read("dvc.lock")
    try:
        parsed = YAML(typ="safe", pure=True).load(content.decode("utf-8"))  # YAML 1.2, as DVC's
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, dates, numbers
        raise UnavailableError("its dvc.lock is not readable as YAML") from error
    if not isinstance(parsed, dict):
        raise UnavailableError("its dvc.lock holds no mapping of keys")
    return parsed.get("stages") or {}


def _outdated(stages: dict[str, Any], read: Read) -> str:
    """What a file or an earlier stage says otherwise than the run did; empty if nothing."""
    outs = {o["path"]: o.get("md5") for s in stages.values() for o in s.get("outs", [])}
    for name, stage in stages.items():
        if name == _JUDGING:
            continue
        for dep in stage.get("deps", []):
            path, ran = dep["path"], dep.get("md5")
            if path == "params.yaml" and _md5(read, path) != ran:
                return "params.yaml was changed after it"
            of_recipe = path.startswith(f"{FOLDER}/") and _md5(read, path) != ran
            if of_recipe or outs.get(path, ran) != ran:
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
        if name != _JUDGING and dep["path"].startswith(("cardproof", "stages"))
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


def _read_summary(
    read: Read, recipe: Recipe, remarks: list[str]
) -> tuple[dict[str, float], list[str]]:
    try:
        summary = json.loads(read("metrics/summary.json"))
        names = summarised_metrics(recipe.card.claims.averaging)
        found = {name: summary[short] for short, name in names.items() if short in summary}
    except (UnavailableError, ValueError, TypeError):
        return {}, remarks
    said = "its metrics are not available: figures are those of metrics/summary.json, rounded"
    return {name: value for name, value in found.items() if _is_figure(value)}, [said]


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _read_provenance(read: Read, remarks: list[str]) -> dict[str, Any]:
    """What the run recorded of how its model was trained."""
    try:
        said = json.loads(read("model/training.json"))
        if not isinstance(said["precision"], str):
            raise TypeError
    except (UnavailableError, ValueError, TypeError, KeyError):
        remarks.append(
            "model/training.json is not available: the precision is taken from the recipe"
        )
        return {}
    return dict(said)


def _read_scored(
    read: Read, recipe: Recipe, metrics: Mapping[str, float], remarks: list[str]
) -> Scored | None:
    name = recipe.split.scored_set
    try:
        found = read_predictions(read, name)
    except UnavailableError as error:
        remarks.append(f"{error}: no paired test")
        return None
    right = right_rows(found.labels, found.logits)
    accuracy = float(right.mean()) if len(right) else math.nan
    if not math.isclose(accuracy, metrics.get("evaluate.accuracy", accuracy), abs_tol=1e-5):
        remarks.append(
            f"data/predictions/{name}.parquet gives another accuracy than metrics/evaluate.json: "
            "no paired test"
        )
        return None
    source = recipe.reviews.test if name == "test" else recipe.reviews.train
    if source.sha256 is None:
        remarks.append(
            f"reviews.{recipe.reviews_name} has no sha256 in sources.yaml: no paired test"
        )
        return None
    digest = hashlib.sha256(source.sha256.encode())
    for column in (found.rows, found.labels):
        digest.update(np.ascontiguousarray(column, dtype=np.int64).tobytes())
    what = f"{len(right):,} {name} rows of {recipe.reviews_name}"
    return Scored(digest.hexdigest(), what, right, found.rows, found.labels)

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
from cardproof.recipe.params import ParamsError, Recipe, resolve

METRICS = ("split", "tokenize", "train", "evaluate", "evaluate_time")
COLUMNS = ("row", "label", "logit_negative", "logit_positive")
# Stages whose code and parameters change nothing that was measured, only what is said of it.
_JUDGING = ("check", "report")

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
        raw = _parse_yaml(read("params.yaml"), "params.yaml")
        recipe = resolve(raw)
        stages = _parse_yaml(read("dvc.lock"), "dvc.lock").get("stages") or {}
    except ParamsError as error:
        more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        return LeftOut(name, f"its params.yaml is of another version: {error.faults[0]}{more}")
    except UnavailableError as error:
        return LeftOut(name, str(error))
    outdated = _outdated(stages, raw)
    if outdated:
        return LeftOut(name, f"its figures are of another run: {outdated}; `dvc repro` renews them")
    metrics, remarks = _read_metrics(read)
    if "evaluate.accuracy" not in metrics and "evaluate.loss" not in metrics:
        return LeftOut(name, f"nothing was scored: {remarks[0] if remarks else 'no accuracy'}")
    precision = _read_precision(read, remarks)
    scored = _read_scored(read, recipe, metrics, remarks)
    return Run(name, commit, recipe, metrics, precision, _code(stages), scored, tuple(remarks))


def _parse_yaml(content: bytes, path: str) -> dict[str, Any]:
    try:
        parsed = YAML(typ="safe", pure=True).load(content.decode("utf-8"))  # YAML 1.2, as DVC's
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, dates, numbers
        raise UnavailableError(f"its {path} is not readable as YAML") from error
    if not isinstance(parsed, dict):
        raise UnavailableError(f"its {path} holds no mapping of keys")
    return parsed


def _outdated(stages: dict[str, Any], raw: dict[str, Any]) -> str:
    """What params.yaml or an earlier stage says otherwise than the run did; empty if nothing."""
    outs = {o["path"]: o.get("md5") for s in stages.values() for o in s.get("outs", [])}
    for name, stage in stages.items():
        if name in _JUDGING:
            continue
        for key, ran in stage.get("params", {}).get("params.yaml", {}).items():
            now = _look_up(raw, key)
            if now != ran:
                return f"params.yaml was changed after it ({_changed(key, ran, now)})"
        for dep in stage.get("deps", []):
            if outs.get(dep["path"], dep.get("md5")) != dep.get("md5"):
                return f"{name} did not run on the {dep['path']} that is there"
    return ""


def _look_up(raw: object, key: str) -> object:
    for part in key.split("."):
        raw = raw.get(part) if isinstance(raw, dict) else None
    return raw


def _changed(key: str, ran: object, now: object) -> str:
    """The first single value that differs, by its key."""
    if isinstance(ran, dict) and isinstance(now, dict):
        inner = next(k for k in [*ran, *now] if ran.get(k) != now.get(k))
        return _changed(f"{key}.{inner}", ran.get(inner), now.get(inner))
    return f"{key} is {json.dumps(now)}, it ran with {json.dumps(ran)}"


def _code(stages: dict[str, Any]) -> dict[str, str]:
    return {
        dep["path"]: dep.get("md5", "")
        for name, stage in stages.items()
        for dep in stage.get("deps", [])
        if name not in _JUDGING and dep["path"].startswith(("cardproof", "stages"))
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
            f"reviews.{recipe.reviews_name} has no sha256 in params.yaml: no paired test"
        )
        return None
    digest = hashlib.sha256(source.sha256.encode())
    for column in (row, label):
        digest.update(np.ascontiguousarray(column, dtype=np.int64).tobytes())
    what = f"{len(right):,} {name} rows of {recipe.reviews_name}"
    return Scored(digest.hexdigest(), what, right)

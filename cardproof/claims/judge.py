"""A card's claims beside what our runs measured, and the verdict on each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from cardproof.claims.verdicts import Verdict, judge
from cardproof.recipe.reported import PrintedFigure, is_blank, parse_figure, print_like
from cardproof.recipe.schema import Claims, Recipe, VerdictRules

MEBIBYTE = 2**20
EPOCH_FIELDS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")
_AVERAGED = ("f1", "precision", "recall")
HEADLINES = ("accuracy", "loss", "f1", "precision", "recall")

Metrics = Mapping[str, float]  # of one run, by "<file>.<key>": "evaluate.accuracy"
EpochRow = Mapping[str, float | None]
Kind = Literal["share", "loss", "training loss", "count", "time"]

# What may make a figure another one than the card's, by the keys of params.yaml or their sections.
# Seeds are not among them: runs that differ in seed only are repeats of one recipe.
_ROWS = ("data", "split")
_TRAINED_ROWS = ("data.reviews", "data.limit", "split")
_STEPS = (*_TRAINED_ROWS, "train.batch_size", "train.epochs", "train.max_steps")
_SCORE = (
    *_ROWS, "model", "tokenize", "train.learning_rate", "train.scheduler", "train.warmup_steps",
    "train.weight_decay", "train.betas", "train.epsilon", "train.batch_size", "train.epochs",
    "train.max_steps", "train.precision", "train.load_best",
)  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """What a claim is about.

    Attributes:
        name: for people; {averaging} is the card's.
        metric: the run's, by "<file>.<key>".
        kind: how it varies from run to run.
        depends_on: keys or sections of params.yaml that, if changed, make it another figure.
    """

    name: str
    metric: str
    kind: Kind
    depends_on: tuple[str, ...]


_MEASURES = {
    "accuracy": Measure("accuracy", "evaluate.accuracy", "share", _SCORE),
    "loss": Measure("cross-entropy loss", "evaluate.loss", "loss", _SCORE),
    "f1": Measure("F1 ({averaging})", "evaluate.f1_{averaging}", "share", _SCORE),
    "precision": Measure(
        "precision ({averaging})", "evaluate.precision_{averaging}", "share", _SCORE
    ),
    "recall": Measure("recall ({averaging})", "evaluate.recall_{averaging}", "share", _SCORE),
    "milliseconds_per_example": Measure(
        "time per example", "evaluate_time.milliseconds_per_example", "time", ()
    ),
    "steps": Measure("optimizer steps", "train.steps", "count", _STEPS),
    "train_rows": Measure("training rows", "split.train_rows", "count", _TRAINED_ROWS),
    "validation_rows": Measure("validation rows", "split.validation_rows", "count", _TRAINED_ROWS),
    "test_rows": Measure("test rows", "split.test_rows", "count", _ROWS),
    "scored_rows": Measure("scored rows", "evaluate.rows", "count", _ROWS),
    "parameters": Measure("parameters", "train.parameters", "count", ("model",)),
    "model_mebibytes": Measure("model file, MiB", "train.model_bytes", "count", ("model",)),
}
_EPOCH_MEASURES = {
    "training_loss": Measure(
        "training loss", "", "training loss", (*_SCORE, "train.logging_steps")
    ),
    "epoch": Measure("epoch", "", "count", ("train.max_steps",)),
    "step": Measure("step", "", "count", (*_TRAINED_ROWS, "train.batch_size", "train.max_steps")),
    "validation_loss": Measure("validation loss", "", "loss", _SCORE),
    "accuracy": Measure("accuracy", "", "share", _SCORE),
}


@dataclass(frozen=True)
class JudgedClaim:
    """One claim and what came of it.

    Attributes:
        key: the claim's key in params.yaml, or `epoch_<n>_<column>` for a cell of its table.
        name: the figure's name for people.
        metric: ours, by "<file>.<key>"; empty for a cell of the table.
        printed: the claim as the card prints it.
        claimed: the interval it stands for; None where the card has a placeholder.
        measured: ours in plain units (a share, rows, MiB), the mean over runs; None without any.
        shown: ours in the card's own format; empty without a measurement.
        verdict: what our runs say of it.
        inside: whether the claim meets the interval of one more run, whatever else may differ;
            where there is no interval, whether ours prints as the claim does. None where there is
            nothing to compare.
    """

    key: str
    name: str
    metric: str
    printed: str
    claimed: PrintedFigure | None
    measured: float | None
    shown: str
    verdict: Verdict
    inside: bool | None

    @property
    def full(self) -> str:
        """Ours with digits to spare: four decimals, or a count."""
        if self.measured is None or self.claimed is None:
            return self.shown
        return f"{self.measured:.4f}" if self.measured < 10 else f"{self.measured:,.0f}"

    @property
    def difference(self) -> float | None:
        """Measured minus claimed."""
        if self.claimed is None or self.measured is None:
            return None
        return self.measured - self.claimed.value


def departures(recipe: Recipe, precision: str | None = None) -> list[str]:
    """The keys in which a run departs from what its card states, or leaves to its base.

    A value that the card leaves open is an assumption of ours: to choose another one is another
    reading of the card, not a departure from it. What a device forces on a run always is one.

    Args:
        recipe: of the run.
        precision: what it computed in, if known; the device may not do the recipe's.
    """
    keys = [d.key for d in recipe.deviations if not recipe.card.leaves_open(d.key)]
    if precision not in (None, recipe.train.precision):
        keys.append("train.precision")
    return list(dict.fromkeys(keys))


def judge_claims(
    recipe: Recipe, runs: Sequence[Metrics], precision: str | None = None
) -> list[JudgedClaim]:
    """Judge each figure that a card claims, in the card's order.

    Args:
        recipe: of the runs, which differ in seed only.
        runs: the metrics of each.
        precision: as in `departures`.
    """
    claims, departing = recipe.card.claims, departures(recipe, precision)
    judged = []
    for key, measure in _MEASURES.items():
        printed = getattr(claims, key)
        if printed is None:
            continue
        ours = replace(
            measure,
            name=measure.name.format(averaging=claims.averaging),
            metric=measure.metric.format(averaging=claims.averaging),
        )
        scale = 1 / MEBIBYTE if key == "model_mebibytes" else 1
        values = [run[ours.metric] * scale for run in runs if ours.metric in run]
        judged.append(_judge(key, ours, printed, values, departing, recipe))
    return judged


def judge_epochs(
    recipe: Recipe, tables: Sequence[Sequence[EpochRow]], precision: str | None = None
) -> list[list[JudgedClaim]]:
    """Judge each cell of a card's per-epoch table by our rows of the same epoch.

    Args:
        recipe: of the runs, which differ in seed only.
        tables: the per-epoch table of each.
        precision: as in `departures`.

    Returns:
        For each of the card's rows its five cells: training loss, epoch, step, validation loss
        and accuracy.
    """
    departing = departures(recipe, precision)
    judged = []
    for printed_row in recipe.card.claims.epochs:
        number = parse_figure(printed_row[1]).value
        rows = [row for table in tables for row in table if row["epoch"] == number]
        cells = []
        for field, printed in zip(EPOCH_FIELDS, printed_row, strict=True):
            measure = _EPOCH_MEASURES[field]
            named = replace(measure, name=f"{measure.name}, epoch {number:g}")
            values = [value for row in rows if (value := row.get(field)) is not None]
            key = f"epoch_{number:g}_{field}"
            cells.append(_judge(key, named, printed, values, departing, recipe))
        judged.append(cells)
    return judged


def _judge(
    key: str,
    measure: Measure,
    printed: str,
    values: list[float],
    departing: list[str],
    recipe: Recipe,
) -> JudgedClaim:
    claimed = None if is_blank(printed) else parse_figure(printed)
    differs = [k for k in departing if _concerns(k, measure.depends_on)]
    if measure.kind == "time":
        differs = ["the machine"]  # the cards do not say which one they timed
    margin, sd = _margin_and_sd(measure.kind, recipe.verdict)
    judged = partial(
        judge,
        claimed,
        values,
        margin=margin,
        published_sd=sd if recipe.reviews_name == "imdb" else None,
        level=recipe.verdict.level,
        exact=measure.kind == "count",
    )
    comparable = claimed is not None and bool(values)
    mean = sum(values) / len(values) if values else None
    return JudgedClaim(
        key=key,
        name=measure.name,
        metric=measure.metric,
        printed=printed,
        claimed=claimed,
        measured=mean,
        shown="" if mean is None else print_like(printed, mean),
        verdict=judged(deviations=differs if claimed is not None else []),
        inside=judged(deviations=[]).word == "reproduced" if comparable else None,
    )


def _concerns(key: str, depends_on: tuple[str, ...]) -> bool:
    return key in depends_on or key.partition(".")[0] in depends_on


def _margin_and_sd(kind: Kind, rules: VerdictRules) -> tuple[float, float | None]:
    if kind == "share":
        return rules.share_margin, rules.share_sd
    if kind == "loss":
        return rules.loss_margin, rules.loss_sd
    if kind == "training loss":  # the published spread is of losses on rows held out
        return rules.loss_margin, None
    return 0.0, None


def summarise_run(metrics: Metrics, judged: Sequence[JudgedClaim]) -> dict[str, float | str]:
    """The figures that people compare runs by, the most asked for first; rounded for a table.

    Args:
        metrics: of the run.
        judged: its card's claims.

    Returns:
        By short names. `claimed` and `verdict` are of accuracy, `claimed_loss` and `loss_verdict`
        of the loss; F1, precision and recall are averaged as the card averages them. What the
        card does not claim has no key.
    """
    claims = {c.key: c for c in judged}
    averaging = next((c.metric.rpartition("_")[2] for k, c in claims.items() if k == "f1"), None)
    scores = {k: metrics.get(f"evaluate.{k}_{averaging or 'binary'}") for k in _AVERAGED}
    accuracy, loss = claims.get("accuracy"), claims.get("loss")
    figures: dict[str, float | str | None] = {
        "accuracy": metrics.get("evaluate.accuracy"),
        "claimed": accuracy.claimed.value if accuracy and accuracy.claimed else None,
        "verdict": accuracy.verdict.word if accuracy else None,
        "loss": metrics.get("evaluate.loss"),
        "f1": scores["f1"],
        "claimed_loss": loss.claimed.value if loss and loss.claimed else None,
        "loss_verdict": loss.verdict.word if loss else None,
        "precision": scores["precision"],
        "recall": scores["recall"],
        "roc_auc": metrics.get("evaluate.roc_auc"),
        "calibration_error": metrics.get("evaluate.calibration_error"),
        "scored_rows": metrics.get("evaluate.rows"),
        "train_rows": metrics.get("train.train_rows"),
        "steps": metrics.get("train.steps"),
        "best_epoch": metrics.get("train.best_epoch"),
    }
    return {
        key: round(value, 5) if isinstance(value, float) else value
        for key, value in figures.items()
        if value is not None
    }


def claimed_epochs(claims: Claims) -> list[list[float]]:
    """A card's per-epoch table as numbers, columns as in `EPOCH_FIELDS`; NaN for a blank."""
    return [
        [math.nan if is_blank(cell) else parse_figure(cell).value for cell in row]
        for row in claims.epochs
    ]

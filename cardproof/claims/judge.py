"""A card's claims beside what our runs measured, and the verdict on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cardproof.claims.verdicts import Verdict, judge
from cardproof.recipe.reported import PrintedFigure, is_blank, parse_figure, print_like
from cardproof.recipe.schema import Recipe

MEBIBYTE = 2**20
EPOCH_FIELDS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")
AVERAGED = ("f1", "precision", "recall")  # over classes, as a card chooses
HEADLINES = ("accuracy", "loss", *AVERAGED)
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
    """What a claim is about."""

    name: str  # for people; {averaging} is the card's
    metric: str  # the run's, by "<file>.<key>"
    kind: Kind  # how it varies from run to run
    depends_on: tuple[str, ...]  # keys or sections of the recipe that make it another figure


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
    """One claim and what came of it."""

    key: str  # of the claim in its card, or `epoch_<n>_<column>` for a cell of its table
    name: str  # for people
    metric: str  # ours, by "<file>.<key>"; empty for a cell of the table
    printed: str  # the claim as the card prints it
    claimed: PrintedFigure | None  # the interval it stands for; None for a placeholder
    measured: float | None  # ours in plain units, the mean over runs; None without any
    verdict: Verdict

    @property
    def shown(self) -> str:
        """Ours in the card's own format; empty without a measurement."""
        return "" if self.measured is None else print_like(self.printed, self.measured)

    @property
    def full(self) -> str:
        """Ours with digits to spare: four decimals, or a count."""
        if self.measured is None or self.claimed is None:
            return self.shown
        return f"{self.measured:.4f}" if self.measured < 10 else f"{self.measured:,.0f}"

    @property
    def word(self) -> str:
        """The verdict's word; for a placeholder, that our figure fills it in."""
        filled = self.claimed is None and self.measured is not None
        return "blank filled in" if filled else self.verdict.word

    @property
    def short_word(self) -> str:
        """The verdict's word; "blank" for a placeholder."""
        return self.verdict.word if self.claimed else "blank"

    @property
    def difference(self) -> float | None:
        """Measured minus claimed."""
        if self.claimed is None or self.measured is None:
            return None
        return self.measured - self.claimed.value


def breaking_deviations(recipe: Recipe, precision: str | None = None) -> list[str]:
    """The keys in which a run deviates from what its card states, or leaves to its base.

    Another value for what the card leaves unspecified still fits all that the card says: it breaks
    no comparison. What a device forces on a run always does.

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
        precision: as in `breaking_deviations`.
    """
    claims, breaking = recipe.card.claims, breaking_deviations(recipe, precision)
    judged = []
    for key, of_any in _MEASURES.items():
        printed = getattr(claims, key)
        if printed is None:
            continue
        name, metric = (text.format(averaging=claims.averaging)
                        for text in (of_any.name, of_any.metric))  # fmt: skip
        scale = 1 / MEBIBYTE if key == "model_mebibytes" else 1
        values = [run[metric] * scale for run in runs if metric in run]
        measure = replace(of_any, name=name, metric=metric)
        judged.append(_judge(key, measure, printed, values, breaking, recipe))
    return judged


def judge_epochs(
    recipe: Recipe, tables: Sequence[Sequence[EpochRow]], precision: str | None = None
) -> list[list[JudgedClaim]]:
    """Judge each cell of a card's per-epoch table by the same epoch of our `tables`.

    Returns:
        For each of the card's rows its five cells, as `EPOCH_FIELDS` has them.
    """
    breaking = breaking_deviations(recipe, precision)
    judged = []
    for printed_row in recipe.card.claims.epochs:
        number = parse_figure(printed_row[1]).value
        rows = [row for table in tables for row in table if row["epoch"] == number]
        cells = []
        for (field, of_any), printed in zip(_EPOCH_MEASURES.items(), printed_row, strict=True):
            measure = replace(of_any, name=f"{of_any.name}, epoch {number:g}")
            values = [value for row in rows if (value := row.get(field)) is not None]
            key = f"epoch_{number:g}_{field}"
            cells.append(_judge(key, measure, printed, values, breaking, recipe))
        judged.append(cells)
    return judged


def _judge(
    key: str,
    measure: Measure,
    printed: str,
    values: list[float],
    breaking: list[str],
    recipe: Recipe,
) -> JudgedClaim:
    claimed = None if is_blank(printed) else parse_figure(printed)
    depends_on, rules = measure.depends_on, recipe.verdict
    differs = [k for k in breaking if k in depends_on or k.partition(".")[0] in depends_on]
    if measure.kind == "time":
        differs = ["the machine"]  # the cards do not say which one they timed
    margin, sd = {
        "share": (rules.share_margin, rules.share_sd),
        "loss": (rules.loss_margin, rules.loss_sd),
        # the published spread is of losses on rows held out
        "training loss": (rules.loss_margin, None),
    }.get(measure.kind, (0.0, None))
    verdict = judge(
        claimed,
        values,
        margin=margin,
        published_sd=sd if recipe.reviews_name == "imdb" else None,
        deviations=differs if claimed is not None else [],
        level=rules.level,
        exact=measure.kind == "count",
    )
    mean = sum(values) / len(values) if values else None
    return JudgedClaim(key, measure.name, measure.metric, printed, claimed, mean, verdict)


def summarised_metrics(averaging: str | None) -> dict[str, str]:
    """What a summary holds of a run's metrics: "<file>.<key>" by its short names for them.

    Args:
        averaging: of F1, precision and recall, as the card has it.
    """
    names = {"accuracy": "evaluate.accuracy", "loss": "evaluate.loss"}
    names |= {key: f"evaluate.{key}_{averaging or 'binary'}" for key in AVERAGED}
    names |= {key: f"evaluate.{key}" for key in ("roc_auc", "calibration_error")}
    names |= {"scored_rows": "evaluate.rows", "train_rows": "split.train_rows"}
    return names | {"steps": "train.steps", "best_epoch": "train.best_epoch"}


def summarise_run(
    recipe: Recipe, metrics: Metrics, judged: Sequence[JudgedClaim]
) -> dict[str, float | str]:
    """The figures that people compare runs by, the most asked for first; five decimals.

    Returns:
        By short names. `claimed` is of accuracy, and `verdict` too, or of the loss where no
        accuracy is claimed. What the card does not claim or the run does not have has no key.
    """
    names = summarised_metrics(recipe.card.claims.averaging)
    claims = {c.key: c for c in judged}
    accuracy, loss = claims.get("accuracy"), claims.get("loss")
    headline = accuracy or loss
    first: dict[str, float | str | None] = {
        "accuracy": metrics.get("evaluate.accuracy"),
        "claimed": accuracy.claimed.value if accuracy and accuracy.claimed else None,
        "verdict": headline.short_word if headline else None,
        "loss": metrics.get("evaluate.loss"),
        "f1": metrics.get(names["f1"]),
        "claimed_loss": loss.claimed.value if loss and loss.claimed else None,
        "loss_verdict": loss.short_word if loss else None,
    }
    figures = first | {short: metrics.get(name) for short, name in names.items()}
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}
    return {key: value for key, value in rounded.items() if value is not None}

"""A card's claims beside what our runs measured, and the verdict on each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cardproof.claims.variation import Spread, earlier_spreads
from cardproof.claims.verdicts import Rule, Verdict, judge
from cardproof.evaluation.intervals import confusion_errors
from cardproof.recipe.reported import (
    PrintedFigure,
    is_blank,
    parse_figure,
    print_in_unit,
    print_like,
)
from cardproof.recipe.schema import Recipe, VerdictRules

MEBIBYTE = 2**20
AVERAGED = ("f1", "precision", "recall")  # over classes, as a card chooses
Metrics = Mapping[str, float]  # of one run, by "<file>.<key>": "evaluate.accuracy"
CheckWord = Literal["matches", "differs", "not comparable", "left blank", "not measured"]

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
_TIME = "milliseconds_per_example"

FIGURES = {
    "accuracy": "accuracy",
    "loss": "cross-entropy loss",
    "f1": "F1 ({averaging})",
    "precision": "precision ({averaging})",
    "recall": "recall ({averaging})",
}  # the names of what is judged, by the keys of claims


@dataclass(frozen=True)
class Check:
    """A figure that a recipe fixes, or the machine: seeds do not move it."""

    name: str  # for people
    metric: str  # the run's, by "<file>.<key>"
    depends_on: tuple[str, ...]  # keys or sections of the recipe that make it another figure


_CHECKS = {
    "steps": Check("optimizer steps", "train.steps", _STEPS),
    "train_rows": Check("training rows", "split.train_rows", _TRAINED_ROWS),
    "validation_rows": Check("validation rows", "split.validation_rows", _TRAINED_ROWS),
    "test_rows": Check("test rows", "split.test_rows", _ROWS),
    "scored_rows": Check("scored rows", "evaluate.rows", _ROWS),
    "parameters": Check("parameters", "train.parameters", ("model",)),
    "model_mebibytes": Check("model file, MiB", "train.model_bytes", ("model",)),
    _TIME: Check("time per example", f"evaluate_time.{_TIME}", ()),
}


@dataclass(frozen=True)
class JudgedClaim:
    """A claimed score or loss and what came of it."""

    key: str  # of the claim in its card
    name: str  # for people
    metric: str  # ours, by "<file>.<key>"
    printed: str  # the claim as the card prints it
    claimed: PrintedFigure | None  # the interval it stands for; None for a placeholder
    values: tuple[float, ...]  # ours in plain units, one a run
    verdict: Verdict

    @property
    def measured(self) -> float | None:
        """Ours, the mean over runs; None without any."""
        return self.verdict.mean

    @property
    def shown(self) -> str:
        """Ours in the card's own format; empty without a measurement."""
        return "" if self.measured is None else print_like(self.printed, self.measured)

    @property
    def full(self) -> str:
        """Ours with digits to spare, in the unit of the card's; empty without a measurement."""
        return "" if self.measured is None else print_in_unit(self.printed, self.measured)

    @property
    def difference(self) -> float | None:
        """Measured minus claimed."""
        if self.claimed is None or self.measured is None:
            return None
        return self.measured - self.claimed.value


@dataclass(frozen=True)
class CheckedFigure:
    """A claimed count or time beside ours: a check of the recipe, with no error rate to it."""

    key: str  # of the claim in its card
    name: str  # for people
    printed: str  # as the card prints it
    shown: str  # ours in the card's own format; empty without a measurement
    word: CheckWord
    reason: str


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
    """Judge each score and loss that a card claims: accuracy, loss, F1, precision and recall.

    Args:
        recipe: of the runs, which differ in seed only.
        runs: the metrics of each.
        precision: as in `breaking_deviations`.
    """
    claims, breaking = recipe.card.claims, breaking_deviations(recipe, precision)
    differs = _concerned(breaking, _SCORE)
    metrics = {k: f"evaluate.{k}_{claims.averaging}" for k in AVERAGED}
    found = []
    for key, name in FIGURES.items():
        printed = getattr(claims, key)
        if printed is None:
            continue
        metric = metrics.get(key, f"evaluate.{key}")
        values = tuple(run[metric] for run in runs if metric in run)
        claimed = None if is_blank(printed) else parse_figure(printed)
        verdict = Verdict("not measured", "")
        named = name.format(averaging=claims.averaging)
        found.append(JudgedClaim(key, named, metric, printed, claimed, values, verdict))
    together = sum(c.claimed is not None and bool(c.values) for c in found) or 1
    return [
        replace(claim, verdict=_judge(claim, recipe, runs, differs, together)) for claim in found
    ]


def _judge(
    claim: JudgedClaim,
    recipe: Recipe,
    runs: Sequence[Metrics],
    differs: Sequence[str],
    together: int,
) -> Verdict:
    rule = rule_of(recipe.verdict, claim.key, together)
    sizes = [run.get(key, 0.0) for run in runs[:1] for key in ("split.train_rows", "evaluate.rows")]
    earlier = known_repeats(recipe, claim.key, *sizes, ours=runs) if sizes else ()
    return judge(
        claim.claimed,
        claim.values,
        rule,
        earlier=earlier,
        row_variance=row_variance(recipe, claim.metric, runs),
        deviations=differs if claim.claimed is not None else [],
    )


def known_repeats(
    recipe: Recipe, key: str, train_rows: float, rows: float, *, ours: Sequence[Metrics] = ()
) -> tuple[Spread, ...]:
    """The spreads of earlier repeats of a claimed figure; arguments as of `earlier_spreads`.

    F1, precision and recall are on record for the positive class only, where they vary more or
    less than their macro averages do.
    """
    claims = recipe.card.claims
    if key in AVERAGED and claims.averaging != "binary":
        return ()
    claimed_by = recipe.card.published_as
    return earlier_spreads(
        key, recipe.reviews_name, train_rows, rows, claimed_by=claimed_by, ours=ours
    )


def rule_of(rules: VerdictRules, key: str, together: int) -> Rule:
    """The rule for one of `FIGURES`, by the verdict settings.

    Args:
        rules: the settings.
        key: of the figure.
        together: how many figures of the card are judged.
    """
    loss = key == "loss"
    return Rule(
        margin=rules.loss_margin if loss else rules.share_margin,
        level=rules.level,
        together=together,
        highest=math.inf if loss else 1.0,
    )


def scores_our_rows(recipe: Recipe) -> bool:
    """Whether the card scored the very rows that a run of its recipe scores.

    All test rows are the same for everyone. Rows that are drawn are, where the card states the
    seed of the draw.
    """
    split = recipe.card.split
    drawn = split.scored_set != "test" or split.scored_rows != "all"
    return not drawn or "split.seed" not in recipe.card.unspecified


def row_variance(recipe: Recipe, metric: str, runs: Sequence[Metrics]) -> float | None:
    """The variance of claim minus ours by their test rows; None if the runs do not tell.

    That of our score over rows, as `confusion_errors` has it, once for our rows and once for the
    claim's.
    """
    if scores_our_rows(recipe):
        return 0.0
    errors = [error for run in runs if (error := _row_error(metric, run)) is not None]
    rows = [run["evaluate.rows"] for run in runs if "evaluate.rows" in run]
    if not errors or not rows:
        return None
    printed = recipe.card.claims.scored_rows
    theirs = rows[0] if printed is None or is_blank(printed) else parse_figure(printed).value
    ours = sum(error**2 for error in errors) / len(errors)
    return ours * (1 + rows[0] / theirs)


def _row_error(metric: str, run: Metrics) -> float | None:
    """Standard error of a run's score over rows; None where the run does not tell."""
    if metric == "evaluate.loss":
        return run.get("evaluate.loss_error")
    keys = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    counts = [run.get(f"evaluate.{key}") for key in keys]
    found = [count for count in counts if count is not None]
    if len(found) < len(keys):
        return None
    return confusion_errors(found)[metric.removeprefix("evaluate.")]


def check_claims(
    recipe: Recipe, metrics: Metrics, precision: str | None = None
) -> list[CheckedFigure]:
    """Hold the counts and times that a card claims against a run's, in the card's order."""
    breaking = breaking_deviations(recipe, precision)
    checked = []
    for key, check in _CHECKS.items():
        printed = getattr(recipe.card.claims, key)
        if printed is None:
            continue
        value = metrics.get(check.metric)
        if value is not None and key == "model_mebibytes":
            value /= MEBIBYTE
        shown = "" if value is None else print_like(printed, value)
        word, reason = _check(key, printed, value, _concerned(breaking, check.depends_on))
        checked.append(CheckedFigure(key, check.name, printed, shown, word, reason))
    return checked


def _check(
    key: str, printed: str, value: float | None, differs: Sequence[str]
) -> tuple[CheckWord, str]:
    if is_blank(printed):
        return "left blank", "The card leaves this figure blank."
    if value is None:
        return "not measured", "The run did not measure it."
    if key == _TIME:
        return "not comparable", "The card does not say which machine it timed."
    if differs:
        return "not comparable", f"The run differs from the card's in {', '.join(differs)}."
    if parse_figure(printed).covers(value):
        return "matches", "The run's figure prints as the card's."
    return "differs", f"The run counted {value:,.12g}."


def _concerned(breaking: Sequence[str], depends_on: Sequence[str]) -> list[str]:
    return [k for k in breaking if k in depends_on or k.partition(".")[0] in depends_on]

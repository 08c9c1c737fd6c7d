"""What a finished run came to, computed once: for the page, figures, model card and metrics."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cardproof.claims.judge import CheckedFigure, JudgedClaim, check_claims, judge_claims
from cardproof.claims.summary import verdict_sentence
from cardproof.evaluation import error_analysis as analysis
from cardproof.evaluation.error_analysis import Calibration, Subset
from cardproof.evaluation.intervals import score_intervals
from cardproof.evaluation.metrics import Floats, logit_gap, right_rows
from cardproof.evaluation.statistics import Interval
from cardproof.files import sha256_of
from cardproof.recipe.identity import IdentityError, common_origin, origin_of, read_origin
from cardproof.recipe.schema import Recipe
from cardproof.runs.reading import (
    RECIPE,
    Predictions,
    Rows,
    Run,
    files_below,
    read_predictions,
    read_rows,
    read_run,
)
from cardproof.runs.scored_reviews import ScoredReviews, read_scored_reviews, read_texts

# What each folder's identity.json says it was made from.
_MADE_FROM = {
    "data/predictions": ("reviews", "base", "model"),
    "data/split": ("reviews",),
    "data/tokens": ("reviews", "base"),
    "model": ("reviews", "base"),
}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the stages of a run wrote."""

    run: Run
    epochs: Rows  # the per-epoch table
    curve: Rows  # the training curve
    scored: Predictions
    validation: Predictions | None  # None where there are no such rows but the scored ones
    reviews: ScoredReviews
    texts_of: Callable[[Sequence[int]], list[str]]  # reads those at some places of the scored rows


@dataclass(frozen=True, eq=False)
class Analysis:
    """How the model behaves on the scored rows. What is not applicable is None."""

    calibration: Calibration
    temperature: analysis.TemperatureFit | None  # fitted on other validation rows than the scored
    scaled: Calibration | None  # at that temperature
    lengths: list[analysis.LengthBucket]
    truncated: Subset
    truncation_p: float | None  # of Fisher's exact test that truncated rows are no harder
    selective: Floats  # accuracy on the k most confident rows, for each k; shape (rows,)
    coverage: list[analysis.CoveragePoint]  # of that curve
    tied: bool  # whether all rows have the same confidence
    errors: list[analysis.ConfidentError]
    label_issues: analysis.LabelIssues
    duplicates: dict[str, Subset]  # "train", "validation", "repeats", "overlap" (train or
    # validation) and "any"; no "validation" where there are no other validation rows


@dataclass(frozen=True, eq=False)
class Findings:
    """All that is computed of a run."""

    outputs: Outputs
    analysis: Analysis
    sentence: str  # the verdict on the card as a whole
    claims: list[JudgedClaim]  # scores and losses
    checks: list[CheckedFigure]  # counts and times
    intervals: dict[str, Interval]  # of the scores over rows, by the keys of `metrics.score`
    texts: list[str]  # of `analysis.errors`


def read_outputs(root: Path = Path()) -> Outputs:
    """Read what the stages wrote below `root`; of the texts, none yet.

    Raises:
        UnavailableError: a file is missing.
        IdentityError: folders were not made from the same reviews, base or model.
    """
    read = files_below(root)
    run = read_run("workspace", "", read)
    _check_origins(root, run.recipe)
    name, validated = run.recipe.split.scored_set, run.recipe.split.validation_set
    other = None if validated == name else validated
    scored = read_predictions(read, name)
    return Outputs(
        run=run,
        epochs=read_rows(read, "plots/epochs.csv"),
        curve=read_rows(read, "plots/training_curve.csv"),
        scored=scored,
        validation=read_predictions(read, other) if other else None,
        reviews=read_scored_reviews(root, name, scored.rows, other),
        texts_of=partial(read_texts, root, name),
    )


def _check_origins(root: Path, recipe: Recipe) -> None:
    """Whether what is read was all made from the reviews, the base and the model that are named."""
    origins = {folder: read_origin(root / folder) for folder in _MADE_FROM}
    for folder, things in _MADE_FROM.items():
        if missing := set(things) - origins[folder].keys():
            raise IdentityError(
                f"{folder} does not say of which {' and '.join(sorted(missing))} it was made; "
                "`dvc repro` makes it again"
            )
    weights = {"model": sha256_of(root / "model/model.safetensors")}
    common_origin({**origins, "model/model.safetensors": weights, RECIPE: origin_of(recipe)})


def find(outputs: Outputs) -> Findings:
    """Analyse a run's predictions and judge its card's claims."""
    run, scored = outputs.run, outputs.scored
    found = analyse(scored, outputs.validation, outputs.reviews)
    claims = judge_claims(run.recipe, [run.metrics], run.precision)
    return Findings(
        outputs=outputs,
        analysis=found,
        sentence=verdict_sentence(claims),
        claims=claims,
        checks=check_claims(run.recipe, run.metrics, run.precision),
        intervals=score_intervals(scored.labels, scored.logits, scored.rows),
        texts=outputs.texts_of([error.index for error in found.errors]),
    )


def analyse(
    scored: Predictions, validation: Predictions | None, reviews: ScoredReviews
) -> Analysis:
    """Error analysis of the scored rows; a temperature is fitted on other validation rows only."""
    labels, logits = scored.labels, scored.logits
    right = right_rows(labels, logits)
    fit = analysis.fit_temperature(validation.labels, validation.logits) if validation else None
    issues = analysis.find_label_issues(labels, logits)
    truncated = reviews.full_lengths > reviews.lengths
    curve = analysis.selective_curve(labels, logits)
    kinds = {"train": reviews.in_train, "repeats": reviews.repeated, "overlap": reviews.in_train}
    if reviews.in_validation is not None:
        kinds["validation"] = reviews.in_validation
        kinds["overlap"] = reviews.in_train | reviews.in_validation
    return Analysis(
        calibration=analysis.calibration(labels, logits),
        temperature=fit,
        scaled=analysis.calibration(labels, logits / fit.temperature)
        if fit and fit.temperature
        else None,
        lengths=analysis.length_buckets(right, reviews.full_lengths, reviews.lengths),
        truncated=analysis.subset_accuracy(right, truncated),
        truncation_p=analysis.fisher_p(right, truncated),
        selective=curve,
        coverage=analysis.coverage_points(curve, logits),
        tied=bool(np.ptp(np.abs(logit_gap(logits))) == 0),
        errors=analysis.most_confident_errors(labels, logits, issues.rows),
        label_issues=issues,
        duplicates=analysis.duplicate_effects(right, kinds),
    )


def analysis_record(found: Analysis) -> dict[str, Any]:
    """The analysis for programs: all figures, none of single rows."""
    record = asdict(found) | {"label_issues": int(found.label_issues.rows.sum())}
    record["selective_accuracy_area"] = float(found.selective.mean())
    return {key: value for key, value in record.items() if key not in ("selective", "errors")}

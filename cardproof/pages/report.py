"""The report page (one HTML file) and the model card of a run."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData  # not ModelCard: the hub's client with it
from markupsafe import Markup

from cardproof.claims.judge import JudgedClaim
from cardproof.claims.variation import not_modelled
from cardproof.pages import report_tables as tables
from cardproof.pages.explanations import explain
from cardproof.pages.figures import WINDOWS
from cardproof.pages.forest import strips
from cardproof.pages.formats import NONE, number
from cardproof.pages.settings import command_of, headline, label_names, list_settings
from cardproof.pages.templates import render
from cardproof.runs.findings import Findings
from cardproof.runs.reading import Run


def render_page(findings: Findings, figures: Mapping[str, Markup]) -> str:
    """The report as one HTML file that needs nothing beside it."""
    context = _context(findings)
    return render(
        "report.html.j2",
        **context,
        claims=tables.claims_table(findings),
        epochs=tables.epochs_table(findings, with_card=True),
        tiles=tiles(findings),
        strips=strips(findings.claims),
        sentence=findings.sentence,
        not_modelled=not_modelled(
            findings.outputs.run.recipe.reviews_name, earlier_used=_earlier_used(findings.claims)
        ),
        mood=_mood(findings.claims),
        checks=tables.checks_table(findings),
        loss_caption=_loss_caption(findings),
        by=tables.analysis_tables(findings.analysis),
        errors=tables.errors_table(findings),
        data=tables.data_table(findings.outputs.run),
        explained=explain(findings),
        thresholds=findings.analysis.label_issues.thresholds,
        figures=figures,
    )


def render_model_card(findings: Findings, labels: Sequence[str]) -> str:
    """README.md for the hub: front matter with model-index, then what the run is and showed.

    Args:
        findings: of the run.
        labels: what the model that goes with it calls classes 0 and 1.
    """
    run = findings.outputs.run
    recipe = run.recipe
    data = ModelCardData(
        language=None if recipe.user_reviews else "en",
        license=_license(recipe.card.license),
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=recipe.base.repository,
        datasets=None if recipe.user_reviews else [recipe.reviews.repository],
        metrics=["accuracy", "f1"],
        tags=["sentiment-analysis", "reproduction", "cardproof"],
        model_name=f"{recipe.name}-rerun",
        eval_results=_eval_results(run),
    )
    text = render(
        "model_card.md.j2",
        **_context(findings) | {"labels": labels},
        scores=tables.scores_table(findings),
        epochs=tables.epochs_table(findings, with_card=False),
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}".rstrip() + "\n"


def _license(stated: str | None) -> str | None:
    """A licence as the hub has them, by an identifier; anything else is another one."""
    return "other" if stated and not re.fullmatch(r"[\w.+-]{1,60}", stated, re.ASCII) else stated


def _eval_results(run: Run) -> list[EvalResult]:
    """The scored figures, with the split and the revision that they were taken on."""
    recipe = run.recipe
    # Held-out validation rows are rows of the hub's train split: naming them "test" would mislead.
    split = "test" if recipe.split.scored_set == "test" else "train"
    rows = int(run.metrics["evaluate.rows"])
    names = {"accuracy": "accuracy", "f1": "f1_binary", "precision": "precision_binary"}
    names |= {"recall": "recall_binary", "roc_auc": "roc_auc", "loss": "loss"}
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Sentiment Analysis",
            dataset_type=recipe.reviews.repository,
            dataset_name=f"{recipe.reviews_name} ({rows:,} {recipe.split.scored} rows)",
            dataset_split=split,
            dataset_revision=recipe.reviews.revision,
            metric_type=metric,
            metric_name=metric.replace("_", " "),
            metric_value=run.metrics[f"evaluate.{key}"],
        )
        for metric, key in names.items()
        if f"evaluate.{key}" in run.metrics
    ]


def _context(findings: Findings) -> dict[str, Any]:
    """What both templates read."""
    run = findings.outputs.run
    settings = list_settings(run.recipe, run.provenance)
    return {
        "recipe": run.recipe,
        "card": run.recipe.card,
        "metrics": run.metrics,
        "provenance": run.provenance,
        "headline": headline(run.recipe, settings),
        "reproduction": not any(s.status == "deviates" for s in settings),
        "settings": tables.settings_table(settings),
        "command": command_of(run.recipe),
        "labels": label_names(run.recipe.card),
    }


class Tile(NamedTuple):
    """A figure at a glance."""

    name: str
    claimed: str  # as printed; empty without a claim
    measured: str


def tiles(findings: Findings) -> list[Tile]:
    """The claimed figures beside ours, then those of accuracy, loss and F1 that are not claimed."""
    claims, metrics = findings.claims, findings.outputs.run.metrics
    shown = [Tile(c.name, c.printed if c.claimed else "", c.full or NONE) for c in claims]
    usual = {"accuracy": "accuracy", "loss": "cross-entropy loss", "f1": "F1 (binary)"}
    keys = {"accuracy": "accuracy", "loss": "loss", "f1": "f1_binary"}
    claimed = {claim.key for claim in claims}
    return shown + [
        Tile(name, "", number(metrics.get(f"evaluate.{keys[key]}")))
        for key, name in usual.items()
        if key not in claimed
    ]


def _loss_caption(findings: Findings) -> str:
    """How the training loss is drawn, by how much of it there is."""
    smoothed = len(findings.outputs.curve) > WINDOWS
    said = "Each point is the mean of a logging interval"
    if smoothed:
        said = "The thin line is the mean of each logging interval, the thick one is smoothed"
    card = findings.outputs.run.recipe.card.claims.epochs
    return f"{said}{'; the orange marks are the card’s' if card else ''}."


def _earlier_used(claims: Sequence[JudgedClaim]) -> bool:
    """Whether the spread of any claim is not of our runs alone."""
    spreads = [(claim.verdict.spread, claim.verdict.n) for claim in claims]
    return any(spread is not None and spread.df > n - 1 for spread, n in spreads)


def _mood(claims: Sequence[JudgedClaim]) -> str:
    """The colour of the first line, by the word that decides it."""
    words = {claim.verdict.word for claim in claims}
    moods = [
        ("warn", {"not comparable"}), ("bad", {"higher", "lower"}), ("note", {"undecided"}),
        ("good", {"reproduced", "equivalent"}),
    ]  # fmt: skip
    return next((mood for mood, of in moods if words & of), "")

"""The report page (self-contained HTML) and the model card of a run."""

import base64
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from cardproof.claims.judge import JudgedClaim, judge_claims, judge_epochs
from cardproof.evaluation.intervals import score_intervals
from cardproof.evaluation.statistics import Interval
from cardproof.pages.report.behaviour import describe
from cardproof.recipe.load import as_override
from cardproof.recipe.schema import Recipe
from cardproof.runs.facts import RunFacts

TEMPLATES = Path(__file__).parent / "templates"
RECIPE_SECTIONS = ("split", "tokenize", "train", "evaluate")


@dataclass(frozen=True)
class Setting:
    """One value of the recipe: what the card has, what this run had, and why it is so.

    Attributes:
        key: as in params.yaml.
        card: the card's value, or the one assumed for it.
        ours: this run's.
        status: "stated", "assumed" (the card does not state it), "another reading" (it leaves that
            open, and ours is not the assumed value either), "another seed" or "deviates".
        remark: the assumption or the reason of a deviation.
    """

    key: str
    card: str
    ours: str
    status: str
    remark: str


def list_settings(run: RunFacts) -> list[Setting]:
    """Every value of the recipe, with what is assumed and what deviates."""
    recipe, card = run.recipe, run.recipe.card
    rows: list[tuple[str, object, object]] = [
        ("model.base", card.base, recipe.base_name),
        ("data.reviews", card.reviews, recipe.reviews_name),
        ("data.limit", None, recipe.data.limit),
        ("data.test_limit", None, recipe.data.test_limit),
        ("labels", card.labels, card.labels),
        ("license", card.license, card.license),
    ]
    for section in RECIPE_SECTIONS:
        ours = getattr(recipe, section).model_dump()
        for field, value in getattr(card, section).model_dump().items():
            rows.append((f"{section}.{field}", value, ours[field]))
    rows.append(("claims.averaging", card.claims.averaging, card.claims.averaging))
    settings = [_setting(recipe, *row) for row in rows]
    used, wanted = run.provenance["precision"], run.provenance["precision_wanted"]
    return [
        Setting(s.key, s.card, used, "deviates", run.provenance["reason"])
        if s.key == "train.precision" and used != wanted
        else s
        for s in settings
        if not (s.card == s.ours == "-" and s.status == "stated")
    ]


def _setting(recipe: Recipe, key: str, card: object, ours: object) -> Setting:
    unspecified = recipe.card.unspecified.get(key)
    same = "assumed" if unspecified else "stated"
    status = same if card == ours else _changed(recipe, key)
    return Setting(key, _show(card), _show(ours), status, unspecified.reason if unspecified else "")


def _changed(recipe: Recipe, key: str) -> str:
    """What a value is that is not the card's own, or not the one assumed for it."""
    if key == "train.seed":
        return "another seed"
    return "another reading" if recipe.card.leaves_open(key) else "deviates"


def _show(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_show, value)) if isinstance(value, list) else str(value)


def headline(recipe: Recipe, settings: list[Setting]) -> str:
    """One sentence: what this run is, and whether it may be called a reproduction."""
    name = recipe.card.title
    changed = [s for s in settings if s.status not in ("stated", "assumed")]
    if not changed:
        return f"A run of {name} with nothing changed."
    what = "; ".join(
        f"{s.key} is {s.ours}" + ("" if s.card == "-" else f", not {s.card}") for s in changed
    )
    kinds = {s.status for s in changed}
    if "deviates" in kinds:
        return f"Not a reproduction of {name}: {what}."
    return f"A run of {name} with {' and '.join(sorted(kinds))}: {what}."


def render_page(run: RunFacts, figures: dict[str, bytes]) -> str:
    """The report as one HTML file that needs nothing beside it."""
    encoded = {
        name: "data:image/png;base64," + base64.b64encode(png).decode()
        for name, png in figures.items()
    }
    return _template("page.html.j2").render(**_context(run), figures=encoded)


def render_model_card(run: RunFacts) -> str:
    """README.md for the hub: front matter with model-index, then what the run is and showed."""
    data = ModelCardData(
        language=None if run.recipe.user_reviews else "en",
        license=run.recipe.card.license,
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=run.recipe.base.repository,
        datasets=[run.recipe.reviews.repository],
        metrics=["accuracy", "f1"],
        tags=["sentiment-analysis", "reproduction", "cardproof"],
        model_name=f"{run.recipe.name}-rerun",
        eval_results=_eval_results(run),
    )
    text = _template("model_card.md.j2").render(**_context(run))
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")
    return str(card.content).rstrip() + "\n"


def _eval_results(run: RunFacts) -> list[EvalResult]:
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


def _context(run: RunFacts) -> dict[str, Any]:
    """What both templates read."""
    settings = list_settings(run)
    precision = run.provenance["precision"]
    claims = judge_claims(run.recipe, [run.metrics], precision)
    return {
        "recipe": run.recipe,
        "card": run.recipe.card,
        "metrics": run.metrics,
        "provenance": run.provenance,
        "headline": headline(run.recipe, settings),
        "reproduction": not any(s.status == "deviates" for s in settings),
        "settings": settings,
        "claims": claims,
        "verdict_summary": _summary(claims),
        "claimed_epochs": judge_epochs(run.recipe, [run.epochs], precision),
        "intervals": score_intervals(run.labels, run.logits),
        "epochs": run.epochs,
        "command": command_of(run.recipe),
        "behaviour": describe(run),
    }


def _summary(claims: list[JudgedClaim]) -> str:
    """How many claims came to which verdict, in one sentence."""
    words = Counter(c.verdict.word for c in claims if c.claimed is not None)
    blanks = sum(c.claimed is None for c in claims)
    counted = [f"{count} {word}" for word, count in words.most_common()]
    counted += [f"{blanks} left blank by the card"] if blanks else []
    return f"Of {len(claims)} figures: {', '.join(counted)}."


def command_of(recipe: Recipe) -> str:
    """The command that runs this recipe again."""
    changes = [f"-S {d.key}={as_override(d.ours)}" for d in recipe.deviations]
    changes += [f"-S train.processes={recipe.processes}"] if recipe.processes > 1 else []
    card = [] if recipe.name == "sample" else [f"-S card={recipe.name}"]
    return " ".join(["dvc exp run", *card, *changes]) if card or changes else "dvc repro"


def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,  # a name that the context lacks is an error, not an empty cell
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = _signed
    environment.filters["cell"] = _cell
    environment.filters["interval"] = _interval
    return environment.get_template(name)


def _signed(comparison: JudgedClaim) -> str:
    """The difference in the claim's own unit: points of a percentage, a count, or plain."""
    difference, claimed = comparison.difference, comparison.claimed
    if difference is None or claimed is None:
        return ""
    if comparison.printed.rstrip().endswith("%"):
        text = f"{100 * difference:+.2f} points"
    elif claimed.half_unit >= 0.5:
        text = f"{difference:+,.0f}"
    else:
        text = f"{difference:+.4f}"
    return text if any(digit in text for digit in "123456789") else "0"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def _cell(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"

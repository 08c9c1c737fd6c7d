"""The page of results: tables and figures from records, and what is still missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardproof.evaluation.intervals import score_intervals
from cardproof.pages.comparison import HOW_TO_READ
from cardproof.pages.comparison_tables import main_table, pairs_table
from cardproof.pages.tables import markdown_table
from cardproof.pages.templates import make_environment
from cardproof.runs.groups import group_runs
from cardproof.runs.paired import NOT_SHOWN, compare_groups
from cardproof.runs.reading import Run
from dev.study import leak
from dev.study.figures import draw_groups, draw_leak, draw_small_sets, to_svg
from dev.study.plan import (
    HONEST,
    KEPT,
    LEAKY,
    PLAN,
    READINGS,
    REMOVED,
    SEEDS,
    VARIANTS,
    Planned,
    command_of,
)
from dev.study.readings import (
    ACCURACY,
    LEVEL,
    Reading,
    compare_readings,
    is_shown,
    least_shown,
    spreads,
)
from dev.study.records import Record, read_records
from dev.study.small_sets import draw_scores
from dev.study.small_sets import spreads as spreads_of_draws

TEMPLATES = Path(__file__).parent / "templates"
DRAWS, DRAWN_ROWS, SEED = 10_000, 100, 42
DRAWN_FROM = "recipes/grojeda"  # whose logits the small test sets are drawn from
FULL_SIZE = "recipes/llm_project"  # the honest recipe on all rows

SUMMARY = "summary"

Section = dict[str, Any]


def render_results(results: Path) -> dict[str, str]:
    """The page, its figures (SVG) and the summary for the top-level README.

    Returns:
        By name below `results`; the summary as `SUMMARY`, which is no file.
    """
    records = read_records(results)
    figures: dict[str, str] = {}
    sections = {
        "recipes": _recipes(records, figures),
        "leak": _leak(records, figures),
        "unspecified": _changes("unspecified", READINGS, records, figures),
        "better": _changes("better", VARIANTS, records, figures),
        "small_sets": _small_sets(records[DRAWN_FROM], figures),
    }
    environment = make_environment(TEMPLATES)
    environment.filters["share"] = lambda value: f"{value:.4f}"
    environment.filters["points"] = lambda value: f"{100 * value:+.2f}"
    environment.filters["p"] = lambda p: "-" if p is None else f"{p:.2g}"
    whole = [
        record for name, record in records.items() if "/" not in name or name.startswith("recipes/")
    ]
    page = environment.get_template("results.md.j2").render(
        **sections,
        records=whole,
        bases=sorted({r.said["base"] for r in records.values()}),
        intervals={r.run.name: score_intervals(r.scored.labels, r.scored.logits) for r in whole},
        missing={question: _missing(plan, records) for question, plan in PLAN.items()},
    )
    summary = environment.get_template("summary.md.j2").render(**sections)
    return {"README.md": page, SUMMARY: summary, **figures}


def _missing(plan: Sequence[Planned], records: Mapping[str, Record]) -> str:
    """The planned runs that have no record, one recipe's seeds together; empty if all have."""
    waiting: dict[str, list[str]] = {}
    for run in plan:
        if run.name not in records:
            name, _, seed = run.name.rpartition("/")[2].partition("-seed-")
            waiting.setdefault(name, []).append(seed)
    return ", ".join(
        f"{name} (seed {', '.join(seeds)})" if seeds[0] else name for name, seeds in waiting.items()
    )


def _of(plan: Sequence[Planned], records: Mapping[str, Record]) -> list[Record]:
    return [records[run.name] for run in plan if run.name in records]


def _where(records: Sequence[Record]) -> str:
    """When, where and with what runs were made; one line."""
    days = sorted({r.said["date"] for r in records})
    machines = sorted({r.said["machine"] for r in records})
    versions = sorted(
        {f"torch {v['torch']}, transformers {v['transformers']}"
         for v in (r.said["versions"] for r in records)}
    )  # fmt: skip
    between = f"{days[0]} to {days[-1]}" if len(days) > 1 else days[0]
    return f"{between}; {' and '.join(machines)}; {' and '.join(versions)}"


def _recipes(records: Mapping[str, Record], figures: dict[str, str]) -> Section | None:
    """The five cards' recipes side by side."""
    found = _of(PLAN["recipes"], records)
    if not found:
        return None
    grouping = group_runs(record.run for record in found)
    paired = compare_groups(grouping.groups)
    best = max(grouping.groups, key=lambda group: group.values(ACCURACY))
    title_of = {group.label: group.recipe.card.title for group in grouping.groups}
    figures["recipes.svg"] = to_svg(draw_groups(grouping.groups, list(title_of.values())))
    return {
        "table": markdown_table(main_table(grouping.groups)),
        "pairs": markdown_table(pairs_table(paired)) if paired.pairs else "",
        "how_to_read": HOW_TO_READ if paired.pairs else "",
        "runs": len(found),
        "best": best.recipe.card.title,
        "accuracy": best.values(ACCURACY)[0],
        "differ": [
            f"{title_of[pair.a]} and {title_of[pair.b]}"
            for pair in paired.pairs
            if pair.said != NOT_SHOWN
        ],
        "rows": len(found[0].scored.labels),
        "where": _where(found),
    }


def _leak(records: Mapping[str, Record], figures: dict[str, str]) -> Section | None:
    """The same recipe from a clean base and from one that has seen all rows."""
    seeds = [s for s in SEEDS if {f"{HONEST}-seed-{s}", f"{LEAKY}-seed-{s}"} <= records.keys()]
    if not seeds:
        return None
    starts = {
        name: [records[f"{prefix}-seed-{seed}"] for seed in seeds]
        for name, prefix in (("the base", HONEST), ("tuned on all rows before", LEAKY))
    }
    honest, leaky = starts.values()
    epochs = {name: leak.epochs_of(found) for name, found in starts.items()}
    card = _card_epochs(honest[0].run)
    figures["leak.svg"] = to_svg(draw_leak(epochs, [row["accuracy"] for row in card]))
    return {
        "epochs": epochs,
        "card": card,
        "seeds": len(seeds),
        "optimism_gaps": {name: leak.optimism_gap(found) for name, found in starts.items()},
        "excess_gap": leak.excess_gap(honest, leaky),
        "rows": round(honest[0].run.metrics["split.train_rows"]),
        "validation_rows": len(honest[0].right("validation")),
        "test_rows": len(honest[0].right("test")),
        "commands": [command_of(PLAN["leak"][i]) for i in (1, 0)],
        "distance": leak.distance_to([row["accuracy"] for row in card], leaky),
        "where": _where([*honest, *leaky]),
        "full": records.get(FULL_SIZE),
    }


def _card_epochs(run: Run) -> list[dict[str, float]]:
    """The per-epoch table that a run's card prints."""
    return [
        {"training_loss": float(t), "validation_loss": float(v), "accuracy": float(a)}
        for t, _, _, v, a in run.recipe.card.claims.epochs
    ]


def _changes(
    question: str,
    changes: Mapping[str, Mapping[str, str]],
    records: Mapping[str, Record],
    figures: dict[str, str],
) -> Section | None:
    """One recipe with one thing changed at a time, each change beside the first."""
    found = _of(PLAN[question], records)
    runs = {record.run.name: record.run for record in found}
    by_change = {
        change: [run for name, run in runs.items()
                 if name.startswith(f"{question}/{change.replace(' ', '-')}-seed-")]
        for change in changes
    }  # fmt: skip
    if sum(bool(of_one) for of_one in by_change.values()) < 2 or not next(iter(by_change.values())):
        return None
    readings = compare_readings(by_change)
    groups = [reading.group for reading in readings]
    figures[f"{question}.svg"] = to_svg(draw_groups(groups, [group.label for group in groups]))
    several = [group for group in groups if len(group.runs) > 1]
    helps = [
        reading.group.label
        for reading in readings
        if reading.against and is_shown(reading.against) and reading.against.difference > 0
    ]
    return {
        "readings": readings,
        "settings": {
            change: " ".join(f"-S {key}={value}" for key, value in settings.items())
            for change, settings in changes.items()
        },
        "command": command_of(PLAN[question][0]).rpartition(" -S train.seed=")[0],
        "spreads": spreads(several) if len(several) > 1 else None,
        "least": least_shown([reading.against for reading in readings if reading.against]),
        "most": max(readings[1:], key=lambda reading: abs(_points(reading))).group.label,
        "helps": helps,
        "removed": REMOVED,
        "kept": [KEPT[change] for change in helps if change in KEPT],
        "level": LEVEL,
        "most_seeds": max(len(group.runs) for group in groups),
        "reviews_cut": _reviews_truncated(found[0].run.metrics),
        "train_rows": round(found[0].run.metrics["split.train_rows"]),
        "rows": len(found[0].scored.labels),
        "where": _where(found),
    }


def _reviews_truncated(metrics: Mapping[str, float]) -> float:
    """Their share of the training reviews; the older records call it cut."""
    old = "tokenize.train_reviews_cut"
    return metrics[old if old in metrics else "tokenize.train_reviews_truncated"]


def _points(reading: Reading) -> float:
    """The difference from the first reading; 0 of that one itself."""
    return reading.against.difference if reading.against else 0.0


def _small_sets(source: Record, figures: dict[str, str]) -> Section:
    """What a draw of a few test rows does to one model's scores."""
    labels, logits = source.scored.labels, source.scored.logits
    drawn = draw_scores(labels, logits, DRAWN_ROWS, DRAWS, SEED)
    found = spreads_of_draws(labels, logits, drawn)
    all_rows, whole = len(labels), found["accuracy"].whole
    figures["small-test-sets.svg"] = to_svg(draw_small_sets(drawn, found, DRAWN_ROWS, all_rows))
    return {
        "source": source,
        "spreads": found,
        "draws": DRAWS,
        "rows": DRAWN_ROWS,
        "all_rows": all_rows,
        "seed": SEED,
        "same_digit": float(np.mean(_first_digit(drawn["accuracy"]) == _first_digit(whole))),
        "off_by_two": float(np.mean(abs(drawn["accuracy"] - whole) > 0.02)),
    }


def _first_digit(share: Any) -> Any:
    """The tens of a percentage; draws are counts of rows, so what is below 1e-9 is rounding."""
    return np.floor(np.asarray(share) * 10 + 1e-9)

"""The page of results: tables and figures from records, and what is still missing."""

import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cardproof.claims.published import IMDB_SPLIT, published_runs
from cardproof.evaluation.intervals import score_intervals
from cardproof.evaluation.metrics import right_rows, row_losses
from cardproof.evaluation.statistics import BLOCK, Interval, design_effect, summarise
from cardproof.pages.comparison_figure import draw
from cardproof.pages.comparison_tables import mean_and_sd
from cardproof.pages.drawing import svg_file
from cardproof.pages.formats import points
from cardproof.pages.templates import make_environment
from cardproof.runs.groups import Group
from cardproof.runs.paired import NOT_SHOWN
from cardproof.runs.reading import Predictions
from dev.study import analysis
from dev.study.figures import draw_leak, draw_small_sets
from dev.study.plan import (
    CHOICES,
    PLAN,
    REMOVED,
    TRUNCATIONS,
    VARIANTS,
    Settings,
    options_of,
)
from dev.study.record import Record, read_records
from dev.study.verdict import render_verdict

TEMPLATES = Path(__file__).parent / "templates"
DRAWS, DRAWN_ROWS, SEED = 10_000, 100, 42
DRAWN_FROM = "recipes/grojeda"  # whose logits the small test sets are drawn from
CHANCE = 0.55  # an accuracy below is no better than guessing between two labels
PROBES = "probes.json"  # by `python -m dev.study.probes`
COMPARED_TRUNCATIONS = (
    ("head and tail at 128", "head at 128"),
    ("head and tail at 512", "head at 512"),
    ("head and tail at 128", "head at 512"),
)
COMPARED_CHOICES = tuple((choice, "as assumed") for choice in CHOICES if choice != "as assumed")
STARTS = {  # of llm_project's recipe, and the change of the plan
    "the base": "honest",
    "the base, for twice the epochs": "twice the epochs",
    "tuned on other rows before": "after tuning on others",
    "tuned on these rows before": "after tuning on these",
}
FULL_SIZE = {  # on all rows
    "the base": "recipes/llm_project",
    "a model tuned on all rows": "leak-full/after-tuning-on-all",
}

Records = Mapping[str, Record]
Section = dict[str, Any]  # what the templates print, and its figure
Component = tuple[str, str, float, float]  # source, where it is seen, sd of accuracy and of loss


def render_results(results: Path) -> tuple[dict[str, str], str]:
    """The page with its figures (SVG), by name below `results`, and its summary in Markdown."""
    records = read_records(results)
    recipes, probes = _recipes(records), _probes(results)
    sections: dict[str, Section | None] = {
        "recipes": recipes,
        "leak": _leak(records),
        "unspecified": _drawn_anew("unspecified", CHOICES, COMPARED_CHOICES, records),
        "better": _changes("better", VARIANTS, records),
        "truncation": _drawn_anew("truncation", TRUNCATIONS, COMPARED_TRUNCATIONS, records),
        "small_test_sets": _small_test_sets(records[DRAWN_FROM]),
        "probes": probes,
        "published": _published_rates(),
    }
    environment = make_environment(TEMPLATES)
    environment.filters |= {"interval": points, "mean_and_sd": mean_and_sd}
    environment.filters["points"] = lambda share: f"{100 * share:+.2f}"
    environment.filters["thousands"] = lambda count: f"{count:,.0f}"
    whole = [
        r
        for name, r in records.items()
        if "/" not in name or name.startswith(("recipes/", "repeats/", "leak-full/"))
    ]
    summary = _wrapped(environment.get_template("summary.md.j2").render(**sections))
    page = environment.get_template("results.md.j2").render(
        **sections,
        summary=summary,
        records=whole,
        components=_components(records[DRAWN_FROM].scored, recipes["several"], probes),
        bases=sorted({r.run.recipe.base.repository for r in whole if "leak" not in r.run.name}),
        intervals={r.run.name: _intervals(r.scored) for r in whole},
        alike=_design_effects([r.scored for r in whole]),
        missing=[run for plan in PLAN.values() for run in plan if run.name not in records],
    )
    figures = {
        f"{name.replace('_', '-')}.svg": svg_file(section["figure"])
        for name, section in sections.items()
        if section and "figure" in section
    }
    verdict = render_verdict(records[DRAWN_FROM].run, TEMPLATES)
    return {"README.md": page} | figures | verdict, summary


def _wrapped(items: str) -> str:
    """A list's lines at a length to read in an editor, indented as its items; no empty lines."""
    lines = [line.strip() for line in items.splitlines() if line.strip()]
    return "\n".join(
        textwrap.fill(
            line,
            100,
            initial_indent="" if line.startswith("- ") else "  ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        for line in lines
    )


def _intervals(scored: Predictions) -> dict[str, Interval]:
    return score_intervals(scored.labels, scored.logits, scored.rows)


def _design_effects(sets: Sequence[Predictions]) -> dict[str, list[float]]:
    """What neighbouring rows do to the variance of each set's accuracy and loss."""
    return {
        "accuracy": [design_effect(right_rows(s.labels, s.logits), s.rows, s.labels) for s in sets],
        "loss": [design_effect(row_losses(s.labels, s.logits), s.rows, s.labels) for s in sets],
    }


def _done(question: str, records: Records, change: str = "") -> list[Record]:
    """The records of a question's planned runs, or of one change."""
    asked = [run.name for run in PLAN[question] if change in ("", run.change)]
    return [records[name] for name in asked if name in records]


def _where(records: Sequence[Record]) -> str:
    """When, where and with what runs were made; one line."""
    days = [r.made["date"] for r in records]
    machines = sorted({r.made["machine"] for r in records})
    used = sorted({(r.run.provenance["torch"], r.run.provenance["transformers"]) for r in records})
    versions = " and ".join(f"torch {torch}, transformers {other}" for torch, other in used)
    return f"{' to '.join(sorted({min(days), max(days)}))}; {' and '.join(machines)}; {versions}"


def _recipes(records: Records) -> Section:
    """The five cards' recipes: the one that was run several times, and each other beside it."""
    several = [records[DRAWN_FROM], *_done("repeats", records)]
    others = [record for record in _done("recipes", records) if record.run.name != DRAWN_FROM]
    groups = [Group("grojeda", tuple(record.run for record in several))]
    groups += [Group(record.run.recipe.card.title, (record.run,)) for record in others]
    accuracies = groups[0].values(analysis.ACCURACY)
    beside = {
        group.label: (one, *analysis.one_beside_several(one, accuracies))
        for group in (groups[1:] if len(several) > 1 else ())
        for one in group.values(analysis.ACCURACY)
    }
    return {
        "figure": _drawn(groups),
        "runs": len(groups),
        "several": {
            name: summarise(groups[0].values(f"evaluate.{name}")) for name in ("accuracy", "loss")
        },
        "sd_range": analysis.sd_interval(summarise(accuracies)) if len(several) > 1 else None,
        "beside": beside,
        "where": _where([*several, *others]),
    }


def _drawn(groups: Sequence[Group]) -> Figure:
    """Their accuracies, which every record has."""
    drawing = draw(groups)
    assert drawing is not None
    return drawing.drawn.figure


def _leak(records: Records) -> Section | None:
    """The same recipe from the base, and from models that were tuned on its rows and on others.

    These three starts have the same seeds; longer training, those of them that ran.
    """
    arms = {start: _done("leak", records, change) for start, change in STARTS.items()}
    base, longer, others, these = STARTS
    compared = (base, others, these)
    shared = set.intersection(*({r.run.seed for r in arms[start]} for start in compared))
    if not shared:
        return None
    arms = {start: [r for r in found if r.run.seed in shared] for start, found in arms.items()}
    if not arms[longer]:
        del arms[longer]
    beyond: dict[str, tuple[float, Interval]] = {}
    for start in arms.keys() - {base}:
        seeds = {r.run.seed for r in arms[start]}
        less = [r for r in arms[base] if r.run.seed in seeds]
        beyond[start] = analysis.optimism_gap(arms[start], less=less)
    epochs = {start: analysis.epoch_figures(arms[start]) for start in compared}
    claimed = np.array(arms[base][0].run.recipe.card.claims.epochs, dtype=float)
    card = claimed[:, [0, 3, 4]]  # `analysis.EPOCH_COLUMNS`
    accuracies = {start: figures_of[:, :, -1] for start, figures_of in epochs.items()}
    ends = [
        end(axis=0) for start in (base, these) for end in (epochs[start].min, epochs[start].max)
    ]
    full = {start: records[of] for start, of in FULL_SIZE.items() if of in records}
    return {
        "figure": draw_leak(accuracies, card[:, -1]),
        "starts": {start: _start(found) for start, found in arms.items()},
        "beyond": beyond,
        "epochs": np.stack([*ends, card], axis=-1),  # shape (epochs, columns, 5)
        "excess_gap": analysis.optimism_gap(arms[these], less=arms[others]),
        "seeds": len(shared),
        "first": arms[base][0],
        "commands": [run.command for run in PLAN["leak"] if run.settings["train.seed"] == "1"],
        "accuracies": accuracies,
        "where": _where([record for arm in arms.values() for record in arm]),
        "full": full,
        "full_gap": _full_gap(full),
    }


def _full_gap(full: Mapping[str, Record]) -> tuple[float, Interval] | None:
    """How much more a full-size run from a tuned model gains on the validation rows."""
    if len(full) < len(FULL_SIZE):
        return None
    base, tuned = (full[start] for start in FULL_SIZE)
    return analysis.optimism_gap([tuned], less=[base])


def _start(records: Sequence[Record]) -> Section:
    """Accuracies over the seeds of a start, and the gap between them."""
    sets = ("validation", "test")
    accuracies = {name: summarise([r.right(name).mean() for r in records]) for name in sets}
    return {**accuracies, "gap": analysis.optimism_gap(records)}


def _changes(question: str, changes: dict[str, Settings], records: Records) -> Section | None:
    """One recipe with one thing changed at a time, each change beside the first."""
    runs = {change: [r.run for r in _done(question, records, change)] for change in changes}
    groups = [Group(change, tuple(found)) for change, found in runs.items() if found]
    if len(groups) < 2 or groups[0].label != next(iter(changes)):
        return None
    found = _done(question, records)
    pairs = analysis.compare_with_first(groups)
    helps = [pair.a for pair in pairs if pair.said != NOT_SHOWN and pair.difference > 0]
    return {
        "figure": _drawn(groups),
        "changes": list(zip(groups, [None, *pairs], strict=True)),
        "settings": {change: " ".join(options_of(changes[change])) for change in changes},
        "command": PLAN[question][0].command.rpartition(" -S train.seed=")[0],
        "helps": helps,
        "removed": REMOVED,
        "most_seeds": max(len(group.runs) for group in groups),
        "first": found[0],
        "where": _where(found),
    }


def _drawn_anew(
    question: str,
    changes: Mapping[str, Settings],
    compared: Sequence[tuple[str, str]],
    records: Records,
) -> Section | None:
    """Changes of one recipe, by draws of seed and rows that all of the changes have."""
    arms = {change: {r.run.seed: r for r in _done(question, records, change)}
            for change in changes}  # fmt: skip
    draws = sorted(set.intersection(*(set(arm) for arm in arms.values())))
    if len(draws) < 2:
        return None
    found = {change: [arm[draw] for draw in draws] for change, arm in arms.items()}
    accuracies = {
        change: [record.run.metrics[analysis.ACCURACY] for record in arm]
        for change, arm in found.items()
    }
    first, *_ = found.values()
    return {
        "figure": _drawn([Group(c, tuple(r.run for r in arm)) for c, arm in found.items()]),
        "arms": {
            change: {
                "accuracy": summarise(accuracies[change]),
                "loss": summarise([r.run.metrics["evaluate.loss"] for r in arm]),
                "training_loss": summarise([r.epochs[-1]["training_loss"] or 0.0 for r in arm]),
                **{
                    key: np.mean([r.run.metrics[f"tokenize.{key}"] for r in arm])
                    for key in ("train_tokens", "test_reviews_truncated")
                },
            }
            for change, arm in found.items()
        },
        "settings": {change: " ".join(options_of(changes[change])) for change in changes},
        "differences": analysis.compare_draws(accuracies, compared),
        "at_chance": {
            change: sum(value < CHANCE for value in values)
            for change, values in accuracies.items()
            if min(values) < CHANCE
        },
        "draws": len(draws),
        "rows": len(first[0].scored.labels),
        "train_rows": first[0].run.metrics["split.train_rows"],
        "command": PLAN[question][0].command,
        "where": _where([record for arm in found.values() for record in arm]),
    }


def _published_rates() -> Section:
    """The learning rates of published runs, and the accuracies of those on all train rows."""
    accuracies = defaultdict(list)
    for run in published_runs():
        if run["train_rows"] == str(IMDB_SPLIT):
            accuracies[run["learning_rate"], run["epochs"]].append(float(run["accuracy"]))
    return {
        "cards": Counter(run["learning_rate"] for run in published_runs()).most_common(),
        "accuracies": {key: sorted(found) for key, found in sorted(accuracies.items())},
    }


def _components(scored: Predictions, several: Section, probes: Section | None) -> list[Component]:
    """What moves accuracy and loss from run to run, and from test rows to others."""
    found: list[Component] = []
    accuracy, loss = several["accuracy"], several["loss"]
    if accuracy.sd is not None:
        of = f"{accuracy.n} fine-tuned runs at full size"
        found.append(("seed and split, drawn anew together", of, accuracy.sd, loss.sd))
    for size, of_size in (probes["sizes"] if probes else {}).items():
        source = f"which {int(size):,} of {IMDB_SPLIT:,} reviews are trained on"
        splits = (of_size[name]["split"] for name in ("accuracy", "loss"))
        found.append((source, "linear probes", *splits))
    figures = (
        right_rows(scored.labels, scored.logits).astype(float),
        row_losses(scored.labels, scored.logits),
    )
    alone = [of.std(ddof=1) / len(of) ** 0.5 for of in figures]
    effects = [design_effect(of, scored.rows, scored.labels) ** 0.5 for of in figures]
    together = [one * effect for one, effect in zip(alone, effects, strict=True)]
    rows = f"other {len(scored.rows):,} test rows"
    found.append((f"{rows}, drawn one by one", DRAWN_FROM, *alone))
    found.append((f"{rows}, in blocks of {BLOCK} neighbouring rows", DRAWN_FROM, *together))
    return found


def _probes(results: Path) -> Section | None:
    """What linear probes on frozen embeddings say of which rows are trained on."""
    path = results / PROBES
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _small_test_sets(source: Record) -> Section:
    """What a draw of a few test rows does to one model's scores."""
    drawn = analysis.draw_scores(source.scored, DRAWN_ROWS, DRAWS, SEED)
    spreads = analysis.describe_draws(source.scored, drawn)
    whole = {name: of_score["whole"] for name, of_score in spreads.items()}
    return {
        "figure": draw_small_sets(drawn, whole, DRAWN_ROWS, len(source.scored.labels)),
        "source": source,
        "spreads": spreads,
        "draws": DRAWS,
        "rows": DRAWN_ROWS,
        "seed": SEED,
        "off_by_two": (abs(drawn["accuracy"] - whole["accuracy"]) > 0.02).mean(),
    }

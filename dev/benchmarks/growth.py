"""Growth: time and memory of the stages as the reviews grow eightfold, and on a million."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dev.benchmarks.context import SMALL, Context, Section, Variants
from dev.benchmarks.inputs import ROOT
from dev.benchmarks.runner import Outcome, Task, run_each
from dev.benchmarks.spread import power_law, spread, straight_line

MULTIPLES = (1, 2, 4, 8)
BASE_ROWS = 6250  # of train and of test, each
STEPS = ("split", "tokenize", "data_path", "evaluate")
TEXT_CUT = 200  # characters of a text on which a million reviews are tokenized
MILLION = 1_000_000
REPEATS = 2  # at most: a repeat takes some minutes


def measure(context: Context) -> Section:
    """Seconds and peak memory of each step at each multiple, with exponents."""
    rows, multiples = (50, MULTIPLES[:2]) if context.quick else (BASE_ROWS, MULTIPLES)
    repeats = min(context.repeats, REPEATS)
    folders = {m: context.folder / f"growth-{m}" for m in multiples}
    prepare = [t for m, folder in folders.items() for t in _prepare(context, folder, m * rows)]
    tasks = {(s, m): _tasks(folder)[s] for m, folder in folders.items() for s in STEPS}
    context.note("writing the reviews")
    if context.quick:
        outcomes = run_each([*prepare, *tasks.values()], shared=True)[len(prepare) :]
        found = {key: [outcome] for key, outcome in zip(tasks, outcomes, strict=True)}
    else:
        run_each(prepare, shared=True)
        found = _in_turns(tasks, repeats, context)
    sizes = [2 * m * rows for m in multiples]
    variants = {s: _figures({m: found[s, m] for m in multiples}, sizes) for s in STEPS}
    for folder in folders.values():
        shutil.rmtree(folder)
    if context.million:
        _add_million(context, variants, MILLION if not context.quick else 200)
    return Section(
        {"reviews_at_1x": 2 * rows, "multiples": " ".join(map(str, multiples)), "repeats": repeats},
        variants,
    )


def _in_turns(
    tasks: dict[tuple[str, int], Task], repeats: int, context: Context
) -> dict[tuple[str, int], list[Outcome]]:
    """Each task in a process of its own, all of them in each repeat."""
    found: dict[tuple[str, int], list[Outcome]] = {key: [] for key in tasks}
    for repeat in range(repeats):
        for (step, multiple), task in tasks.items():
            context.note(f"repeat {repeat + 1} of {repeats}: {step} at {multiple}x")
            found[step, multiple] += run_each([task], shared=False)
    return found


def _prepare(context: Context, folder: Path, rows: int) -> list[Task]:
    """Make a folder in which the stages can run; tasks that fill it.

    They write `rows` reviews of train, as many of test, and a small model.
    """
    (folder / "data/reviews").mkdir(parents=True)
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    # The stages read the recipe there: grojeda's is the one with a validation set and test rows.
    (folder / "params.yaml").write_text(re.sub(r"(?m)^card: \w+", "card: grojeda", params))
    (folder / "data/base").symlink_to(context.inputs.word_pieces)
    tasks = [
        Task(
            "prepare:write_multiple",
            {"source": str(source), "rows": rows, "target": f"data/reviews/{part}.parquet"},
            folder,
        )
        for part, source in (("train", context.inputs.train), ("test", context.inputs.test))
    ]
    model = {"sizes": SMALL, "word_pieces": str(context.inputs.word_pieces), "folder": "model"}
    return [*tasks, Task("models:write_classifier", model, folder)]


def _tasks(folder: Path) -> dict[str, Task]:
    """The steps, each on what the one before it wrote."""
    stages = {s: Task("growth_work:run_stage", {"stage": s}, folder) for s in STEPS}
    path = {"store": "data/tokens/train", "sizes": SMALL}
    return {**stages, "data_path": Task("growth_work:run_data_path", path, folder)}


def _figures(outcomes: dict[int, list[Outcome]], sizes: Sequence[int]) -> dict[str, object]:
    """By multiple: seconds and memory; over all: the exponent and the memory at a million."""
    figures: dict[str, object] = {}
    for multiple, runs in outcomes.items():
        figures[f"seconds_{multiple}x"] = spread([r.values["seconds"] for r in runs])
        figures[f"peak_anonymous_mib_{multiple}x"] = spread([r.anonymous_mib for r in runs])
    seconds = [spread([r.values["seconds"] for r in runs])["median"] for runs in outcomes.values()]
    memory = [spread([r.anonymous_mib for r in runs])["median"] for runs in outcomes.values()]
    slope, at_zero = straight_line(sizes, memory)
    figures["exponent"] = power_law(sizes, seconds)
    figures["memory_exponent"] = power_law(sizes, memory)
    figures["mib_a_million"] = at_zero + slope * MILLION
    return figures


def _add_million(context: Context, variants: Variants, rows: int) -> None:
    """Split and tokenize on a million reviews: whole texts, and shortened ones to tokenize."""
    folder = context.folder / "million"
    context.note(f"writing {rows:,} reviews")
    run_each(_prepare(context, folder, rows // 2), shared=True)
    tasks = _tasks(folder)
    context.note(f"split of {rows:,} reviews")
    variants["split"] |= _large(run_each([tasks["split"]], shared=False)[0], rows)
    short = {"folder": "data/split", "characters": TEXT_CUT}
    run_each([Task("prepare:shorten", short, folder)], shared=True)
    context.note(f"tokenize of {rows:,} reviews, {TEXT_CUT} characters each")
    variants["tokenize"] |= _large(run_each([tasks["tokenize"]], shared=False)[0], rows)
    context.note(f"data path of {rows:,} reviews")
    variants["data_path"] |= _large(run_each([tasks["data_path"]], shared=False)[0], rows)
    shutil.rmtree(folder)


def _large(outcome: Outcome, rows: int) -> dict[str, object]:
    return {
        "large_reviews": rows,
        "large_seconds": outcome.values["seconds"],
        "large_peak_anonymous_mib": outcome.anonymous_mib,
        "large_peak_resident_mib": outcome.resident_mib,
    }

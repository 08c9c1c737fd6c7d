"""Growth: time and memory of the stages as the reviews grow eightfold, and on a million."""

import re
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from benchmarks.context import SMALL, Context, Section, Variants
from benchmarks.inputs import ROOT
from benchmarks.runner import Outcome, Task, run_each
from benchmarks.spread import power_law, spread, straight_line

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
    context.note("writing the reviews")
    prepare = [_prepare(context, folder, m * rows) for m, folder in folders.items()]
    run_each([task for tasks in prepare for task in tasks], shared=True)
    found: dict[str, dict[int, list[Outcome]]] = {s: {m: [] for m in multiples} for s in STEPS}
    for repeat in range(repeats):
        for multiple, step in product(multiples, STEPS) if not context.quick else ():
            reviews = f"{2 * multiple * rows:,} reviews"
            context.note(f"repeat {repeat + 1} of {repeats}: {step.replace('_', ' ')}, {reviews}")
            found[step][multiple] += run_each([_tasks(folders[multiple])[step]], shared=False)
        if context.quick:
            every = [(m, s, task) for m in multiples for s, task in _tasks(folders[m]).items()]
            outcomes = run_each([task for *_, task in every], shared=True)
            for (multiple, step, _), outcome in zip(every, outcomes, strict=True):
                found[step][multiple].append(outcome)
    sizes = [2 * m * rows for m in multiples]
    variants = {step: _figures(outcomes, sizes) for step, outcomes in found.items()}
    for folder in folders.values():
        shutil.rmtree(folder)
    if context.million:
        _add_million(context, variants, MILLION if not context.quick else 200)
    return Section(
        {"reviews_at_1x": 2 * rows, "multiples": " ".join(map(str, multiples)), "repeats": repeats},
        variants,
    )


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

"""Growth: time and memory of the stages as the reviews grow eightfold, and on a million."""

import importlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardproof.files import checksummed_folder, write_json
from cardproof.model.loading import load_tokenizer
from cardproof.recipe.identity import ORIGIN
from cardproof.recipe.load import read_files, resolve
from cardproof.recipe.stages import FOLDER, write_stage_recipes
from dev.benchmarks.bench import SMALL, TINY, Bench, random_classifier, write_reviews
from dev.benchmarks.processes import PEAKS, Outcome, Task, run_in_turns, run_tasks
from dev.benchmarks.results import spread
from dev.repository import ROOT

STEPS = ("split", "tokenize", "data_path", "evaluate")
SHORT = 200  # characters of a text on which a million reviews are tokenized
REPEATS = 2  # at most: a repeat takes some minutes


def measure(bench: Bench) -> dict[str, Any]:
    """Settings and figures: seconds and peak memory of each step at each multiple, exponents."""
    scale = bench.scale
    repeats = min(scale.repeats, REPEATS)
    random_classifier(SMALL).save_pretrained(bench.folder / "model")
    write_json(bench.folder / "model" / ORIGIN, {})  # it was made from nothing
    load_tokenizer(bench.tokenizer).save_pretrained(bench.folder / "model")
    warm = _prepare(bench, "warm", TINY.base_rows)
    folders = {m: _prepare(bench, f"{m}x", m * scale.base_rows) for m in scale.multiples}
    tasks = {f"{s} at {m}x": _task(s, f, warm) for m, f in folders.items() for s in STEPS}
    outcomes = run_in_turns(tasks, repeats, scale == TINY)
    figures = {s: _figures({m: outcomes[f"{s} at {m}x"] for m in folders}) for s in STEPS}
    for folder in folders.values():
        shutil.rmtree(folder)
    for step, outcome in _million(bench, warm).items():
        figures[step] |= {f"million_{name}": outcome[name] for name in ("seconds", *PEAKS)}
    return {
        "settings": {
            "reviews_at_1x": 2 * scale.base_rows,
            "multiples": list(scale.multiples),
            "million": scale.million,
            "short": SHORT,
        },
        "figures": figures,
    }


def _prepare(bench: Bench, name: str, rows: int, characters: int | None = None) -> Path:
    """A folder for the stages to run in: `rows` reviews of train, as many of test, the recipe."""
    folder = bench.folder / name
    (folder / "data/reviews").mkdir(parents=True)
    for part, source in (("train", bench.train), ("test", bench.test)):
        write_reviews(source, rows, folder / f"data/reviews/{part}.parquet", characters)
    with checksummed_folder(folder / "data/base") as base:
        shutil.copytree(bench.tokenizer, base, dirs_exist_ok=True)
    (folder / "model").symlink_to(bench.folder / "model")
    files = read_files(ROOT)
    files.params["card"] = "grojeda"  # it has a validation set, and scores test rows
    write_stage_recipes(resolve(files), folder / FOLDER)
    return folder


def _task(step: str, folder: Path, warm: Path) -> Task:
    return Task(time_step, {"step": step, "warm": str(warm)}, folder)


def _figures(outcomes: dict[int, list[Outcome]]) -> dict[str, Any]:
    """By multiple: seconds and memory; over all: the exponents."""
    seconds = {m: spread([r["seconds"] for r in runs]) for m, runs in outcomes.items()}
    memory = {m: spread([r[PEAKS[0]] for r in runs]) for m, runs in outcomes.items()}
    return {
        "seconds": {str(m): found for m, found in seconds.items()},
        "peak_anonymous_mib": {str(m): found for m, found in memory.items()},
        "exponent": power_law(list(seconds), [s["median"] for s in seconds.values()]),
        "memory_exponent": power_law(list(memory), [m["median"] for m in memory.values()]),
    }


def power_law(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent of values ~ sizes^exponent, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _million(bench: Bench, warm: Path) -> dict[str, Outcome]:
    """One run of all but evaluate on the largest number: whole texts to split, short ones after."""
    print(f"  {bench.scale.million:,} reviews", flush=True)
    whole = _prepare(bench, "million", bench.scale.million // 2)
    (split,) = run_tasks([_task("split", whole, warm)])
    shutil.rmtree(whole)
    short = _prepare(bench, "million-short", bench.scale.million // 2, SHORT)
    run_tasks([_task("split", short, warm)])
    outcomes = {s: run_tasks([_task(s, short, warm)])[0] for s in ("tokenize", "data_path")}
    return {"split": split, **outcomes}


def time_step(step: str, warm: str) -> dict[str, float]:
    """The `seconds` of a step in the working directory, after one in `warm`: without imports."""
    work = load_epoch if step == "data_path" else importlib.import_module(f"stages.{step}").main
    here = Path.cwd()
    os.chdir(warm)
    work()
    os.chdir(here)
    start = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - start}


def load_epoch() -> None:
    """Load the batches of an epoch as training does, without training on them."""
    from torch.utils.data import DataLoader

    from cardproof.model.tokens import open_tokens
    from cardproof.model.unpadded.batches import collate_unpadded

    rows: Any = open_tokens(Path("data/tokens/train"))
    for _ in DataLoader(rows, batch_size=16, shuffle=True, collate_fn=collate_unpadded):
        pass

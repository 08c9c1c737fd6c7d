"""The pipeline's own times: each stage, its start, a run of nothing, and tokenizing IMDb."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dev.benchmarks.context import Context, Section, Variants
from dev.benchmarks.inputs import ROOT
from dev.benchmarks.runner import BenchmarkError, Task, interleaved, worker_environment
from dev.benchmarks.spread import spread

STAGES = ("check", "download", "split", "tokenize", "train", "evaluate", "report")
NEED_TORCH = ("train", "evaluate")


def measure(context: Context) -> Section:
    """Times of `dvc repro` on the embedded sample in a fresh copy, and what each stage loads."""
    target = "split" if context.quick else ""
    stages = STAGES[:3] if context.quick else STAGES
    repeats = context.repeats
    runs = []
    for i in range(repeats):
        context.note(f"repeat {i + 1} of {repeats}: dvc repro in a fresh copy")
        copy = copy_repository(context.folder / f"copy-{i}")
        runs.append(time_repro(copy, target))
    context.note("a run of nothing")
    nothing = [sum(time_repro(copy, target).values()) for _ in range(2 * repeats)]
    variants: Variants = {
        stage: {"seconds": spread([run[stage] for run in runs])} for stage in stages
    }
    for stage in stages:
        context.note(f"what the stage {stage} loads")
        variants[stage] |= _load(stage, copy, repeats)
    variants["dvc repro"] = {
        "seconds": spread([sum(run.values()) for run in runs]),
        "before_the_first_stage": spread([run["start"] for run in runs]),
    }
    variants["dvc repro of nothing"] = {"seconds": spread(nothing)}
    variants["tokenize all"] = _tokenize(context)
    return Section({"stages": " ".join(stages), "reviews": "the embedded sample"}, variants)


def copy_repository(folder: Path) -> Path:
    """A copy of what Git knows or would know of this repository, with a history and no outputs."""
    listed = _run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    _run(["git", "init", "--quiet"], folder)
    _run(["git", "add", "--all"], folder)
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    _run(["git", *identity, "commit", "--quiet", "--message", "copy"], folder)
    return folder


def time_repro(folder: Path, target: str) -> dict[str, float]:
    """Seconds of `dvc repro`, cut where it says that it begins a stage.

    A stage's time therefore holds what DVC does for it: sums of inputs and outputs, the cache.

    Returns:
        By stage, and "start": what comes before the first.
    """
    environment = {**worker_environment(), "PYTHONUNBUFFERED": "1"}
    del environment["PYTHONPATH"]  # the copy's own packages
    begun = time.perf_counter()
    process = subprocess.Popen(
        ["dvc", "repro", *filter(None, [target])],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    marks, lines = [("start", begun)], []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if stage := re.match(r"Running stage '(\w+)'", line):
            marks.append((stage[1], time.perf_counter()))
    if process.wait() != 0:
        raise BenchmarkError("dvc repro failed:\n" + "".join(lines[-15:]))
    ends = [*(at for _, at in marks[1:]), time.perf_counter()]
    return {name: end - at for (name, at), end in zip(marks, ends, strict=True)}


def _load(stage: str, copy: Path, repeats: int) -> dict[str, Any]:
    """What the stage loads, by running it once more, and how long loading just that takes."""
    file = copy.parent / f"loaded-{stage}.json"
    _run([sys.executable, "-m", "dev.benchmarks.loaded", "run", stage, str(file)], copy)
    loaded = json.loads(file.read_text())
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        _run([sys.executable, "-m", "dev.benchmarks.loaded", "load", str(file)], copy)
        seconds.append(time.perf_counter() - start)
    return {"start_seconds": spread(seconds[1:]), "loads_torch": int("torch" in loaded)}


def _tokenize(context: Context) -> dict[str, Any]:
    """Tokenizing both files of reviews."""
    files = [str(context.inputs.train), str(context.inputs.test)]
    if context.quick:
        files = files[1:]
    outcomes = []
    for i in range(context.repeats):
        arguments = {
            "files": files,
            "word_pieces": str(context.inputs.word_pieces),
            "max_length": 384,
            "folder": str(context.folder / f"all-tokens-{i}"),
        }
        task = Task("growth_work:tokenize_all", arguments, context.folder)
        outcomes += interleaved({"tokenize": task}, 1, False, context.note)["tokenize"]
    return {
        "reviews": outcomes[0].values["reviews"],
        "seconds": spread([o.values["seconds"] for o in outcomes]),
        "peak_anonymous_mib": spread([o.anonymous_mib for o in outcomes]),
    }


def _run(command: Sequence[str], folder: Path) -> str:
    environment = worker_environment()
    if folder != ROOT:
        del environment["PYTHONPATH"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchmarkError(
            f"{' '.join(command)} failed:\n{done.stdout[-500:]}{done.stderr[-900:]}"
        )
    return done.stdout

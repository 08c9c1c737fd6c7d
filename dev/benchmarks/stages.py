"""The pipeline's own times on the embedded sample: each stage, its imports, a run of nothing."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.benchmarks.bench import Bench
from dev.benchmarks.processes import BenchmarkError
from dev.benchmarks.results import spread
from dev.repository import clean_environment, commit_all, copy_files

NEED_TORCH = ("train", "evaluate")


def measure(bench: Bench) -> dict[str, Any]:
    """Times of `dvc repro` on the embedded sample in a fresh copy, and what each stage loads."""
    runs, last = [], bench.scale.last_stage
    for i in range(bench.scale.repeats):
        print(f"  dvc repro in fresh copy {i + 1} of {bench.scale.repeats}", flush=True)
        copy = commit_all(copy_files(bench.folder / f"copy-{i}"))
        runs.append(time_repro(copy, last))
    nothing = [sum(time_repro(copy, last).values()) for _ in range(2 * bench.scale.repeats)]
    stages = [name for name in runs[0] if name != "start"]
    figures: dict[str, Any] = {}
    for stage in stages:
        print(f"  what {stage} imports", flush=True)
        found = [time_imports(stage, copy) for _ in range(bench.scale.repeats)]
        figures[stage] = {
            "seconds": spread([run[stage] for run in runs]),
            "import_seconds": spread([sum(modules.values()) for modules in found]),
            "largest_imports": largest_imports(found),
            "loads_torch": "torch" in found[0],
        }
    needless = [s for s in stages if figures[s]["loads_torch"] and s not in NEED_TORCH]
    figures["dvc repro"] = {
        "seconds": spread([sum(run.values()) for run in runs]),
        "before_the_first_stage": spread([run["start"] for run in runs]),
        "nothing_to_do": spread(nothing),
        "needless_torch": len(needless),
    }
    return {"settings": {"stages": stages}, "figures": figures}


def time_repro(folder: Path, last: str = "", **extra: str) -> dict[str, float]:
    """Seconds of `dvc repro`, divided where it says that it begins a stage.

    A stage's time therefore holds what DVC does for it: checksums of inputs and outputs, the cache.

    Args:
        folder: a repository.
        last: the stage to end with; empty for the pipeline's last.
        extra: variables of the environment.

    Returns:
        By stage, and "start": what comes before the first.
    """
    marks, lines = [("start", time.perf_counter())], []
    process = subprocess.Popen(
        ["dvc", "repro", *filter(None, [last])],
        cwd=folder, env=clean_environment(**extra), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if stage := re.match(r"Running stage '(\w+)'", line):
            marks.append((stage[1], time.perf_counter()))
    if process.wait():
        raise BenchmarkError("dvc repro failed:\n" + "".join(lines[-15:]))
    ends = [*(at for _, at in marks[1:]), time.perf_counter()]
    return {name: end - at for (name, at), end in zip(marks, ends, strict=True)}


def largest_imports(
    found: Sequence[Mapping[str, float]], count: int = 4
) -> dict[str, dict[str, float]]:
    """The packages that an import spends most seconds in, each with its spread over repeats.

    Args:
        found: of each repeat, seconds by module, as `time_imports` returns them.
        count: of packages.
    """
    seconds: dict[str, list[float]] = {}
    for i, modules in enumerate(found):
        for module, taken in modules.items():
            name = module.partition(".")[0]
            seconds.setdefault(name, [0.0] * len(found))[i] += taken
    spreads = {name: spread(taken) for name, taken in seconds.items()}
    ranked = sorted(spreads, key=lambda name: spreads[name]["median"], reverse=True)
    return {name: spreads[name] for name in ranked[:count]}


def time_imports(stage: str, folder: Path) -> dict[str, float]:
    """Run a stage again; the seconds that each of its imports took, without those within it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"stages.{stage}"],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkError(f"{stage} failed:\n{done.stderr[-900:]}")
    found = re.findall(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)", done.stderr)
    return {name: int(microseconds) / 1e6 for microseconds, name in found}

"""Runs each measurement in a process of its own, and watches that process's memory."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardproof.data.hub import MIRROR_VARIABLE
from cardproof.errors import CardproofError
from dev.benchmarks.inputs import ROOT

WATCH_EVERY = 0.02  # seconds between two looks at a process's memory


class BenchmarkError(CardproofError):
    """A measurement that came to nothing."""


@dataclass(frozen=True)
class Task:
    """A measurement to run in a process of its own.

    Attributes:
        function: "module:function" in this package; it takes `arguments` as keywords and returns
            what can be written as JSON.
        arguments: likewise.
        folder: the working directory.
    """

    function: str
    arguments: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        values: what its function returned.
        anonymous_mib: the most anonymous memory (RssAnon: heap, tensors; not files that are
            mapped) that the process was seen to hold, looked at every 20 ms from outside.
        resident_mib: the kernel's own peak of resident memory (VmHWM), mapped files included.
        seconds: wall time of the process, its start and imports included.
    """

    values: dict[str, Any]
    anonymous_mib: float
    resident_mib: float
    seconds: float


def run_each(tasks: Sequence[Task], shared: bool) -> list[Outcome]:
    """Run tasks one after the other, each in a process of its own.

    With `shared` one process runs them all: faster to start, but memory and threads are then not
    each task's own, so that this is for tests.
    """
    if not shared:
        return [_run_process([task])[0] for task in tasks]
    return _run_process(tasks)


def _run_process(tasks: Sequence[Task]) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="cardproof-bench-") as folder:
        request, answer, log = (Path(folder) / name for name in ("request", "answer", "log"))
        listed = [[t.function, dict(t.arguments), str(t.folder)] for t in tasks]
        request.write_text(json.dumps(listed))
        start = time.perf_counter()
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dev.benchmarks.worker", str(request), str(answer)],
                cwd=ROOT,
                env=worker_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                anonymous, resident = _watch(process)
            finally:
                process.kill()  # does nothing to one that has ended
        if process.returncode != 0:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BenchmarkError(f"{tasks[0].function} {dict(tasks[0].arguments)} failed:\n{last}")
        seconds = time.perf_counter() - start
        values = json.loads(answer.read_text())
    return [Outcome(value, anonymous, resident, seconds) for value in values]


def worker_environment() -> dict[str, str]:
    """This process's environment, offline, and with this repository's packages first."""
    environment = {k: v for k, v in os.environ.items() if k != MIRROR_VARIABLE}
    environment["PYTHONPATH"] = str(ROOT)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["HF_HUB_OFFLINE"] = "1"
    environment.setdefault("TOKENIZERS_PARALLELISM", "true")  # as the stages have it
    return environment


def _watch(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """Wait for a process; its peaks of RssAnon and of VmHWM in MiB, zero where there is no /proc.

    From outside, because a thread inside would wait for the interpreter's lock.
    """
    anonymous = resident = 0.0
    while process.poll() is None:
        status = memory_status(str(process.pid))
        anonymous = max(anonymous, status.get("RssAnon", 0.0))
        resident = max(resident, status.get("VmHWM", 0.0))
        time.sleep(WATCH_EVERY)
    return anonymous, resident


def memory_status(process: str = "self") -> dict[str, float]:
    """The memory lines of /proc/<process>/status in MiB; empty where there is none."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return {}
    found = re.findall(r"^(\w+):\s*(\d+) kB$", text, re.M)
    return {name: int(kilobytes) / 1024 for name, kilobytes in found}


def interleaved(variants: Mapping[str, Task], repeats: int, shared: bool, note: Any) -> dict[
    str, list[Outcome]
]:  # fmt: skip
    """Run every variant `repeats` times, in turns: what drifts then drifts for all alike."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in variants}
    for repeat in range(repeats):
        if shared:
            note(f"repeat {repeat + 1} of {repeats}: {', '.join(variants)}")
            for name, outcome in zip(
                variants, run_each(list(variants.values()), True), strict=True
            ):
                outcomes[name].append(outcome)
            continue
        for name, task in variants.items():
            note(f"repeat {repeat + 1} of {repeats}: {name}")
            outcomes[name] += run_each([task], False)
    return outcomes


def with_arguments(task: Task, **arguments: Any) -> Task:
    """The same task with other arguments."""
    return replace(task, arguments={**task.arguments, **arguments})

"""Runs measurements in processes of their own, in turns, and watches their memory."""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardproof.errors import CardproofError
from dev.repository import ROOT, clean_environment

PEAKS = ("peak_anonymous_mib", "peak_resident_mib")
WATCH_EVERY = 0.02  # seconds between two looks at a process's memory


class BenchmarkError(CardproofError):
    """A measurement that failed."""


@dataclass(frozen=True)
class Task:
    """A call to make in another process."""

    function: Callable[..., Any]  # at the top of a module; it returns a dictionary for JSON
    arguments: Mapping[str, Any]  # its keywords, likewise
    folder: Path  # the working directory


# What a task's function returned, and the peak memory of its process.
Outcome = dict[str, Any]


def run_tasks(tasks: Sequence[Task]) -> list[Outcome]:
    """Run tasks one after the other in one process.

    Returns:
        What their functions returned, each with `peak_anonymous_mib`, the most RssAnon (heap and
        tensors, no mapped files) that the process was seen to hold, and `peak_resident_mib`, the
        kernel's own peak (VmHWM), mapped files included.

    Raises:
        BenchmarkError: one of them failed.
    """
    calls = [[t.function.__module__, t.function.__name__, t.arguments, str(t.folder)]
             for t in tasks]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cardproof-bench-") as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dev.benchmarks.processes", json.dumps(calls), str(answer)],
                cwd=ROOT, env=clean_environment(), stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                peaks = _watch(process)
            finally:
                process.kill()  # does nothing to one that has ended
        if process.returncode:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BenchmarkError(f"{', '.join(t.function.__name__ for t in tasks)} failed:\n{last}")
        return [value | peaks for value in json.loads(answer.read_text())]


def run_in_turns(
    variants: Mapping[str, Task], repeats: int, one_process: bool = False
) -> dict[str, list[Outcome]]:
    """Run every variant `repeats` times, in turns: what drifts then drifts for all alike.

    Each runs in a process of its own, unless `one_process` wants all of a repeat in one: faster to
    start, but memory and threads are then shared, so that it is for trying things out.
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in variants}
    for repeat in range(1, repeats + 1):
        for names in [list(variants)] if one_process else [[name] for name in variants]:
            print(f"  repeat {repeat} of {repeats}: {', '.join(names)}", flush=True)
            for name, outcome in zip(names, run_tasks([variants[n] for n in names]), strict=True):
                outcomes[name].append(outcome)
    return outcomes


def _watch(process: "subprocess.Popen[bytes]") -> dict[str, float]:
    """Wait for a process; its peaks of memory in MiB, zero where there is no /proc.

    From outside, because a thread inside would wait for the interpreter's lock.
    """
    anonymous = resident = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        text = status.read_text() if status.exists() else ""
        kib = {name: int(value) for name, value in re.findall(r"(\w+):\s*(\d+) kB", text)}
        anonymous = max(anonymous, kib.get("RssAnon", 0))
        resident = max(resident, kib.get("VmHWM", 0))
        time.sleep(WATCH_EVERY)
    return dict(zip(PEAKS, (anonymous / 1024, resident / 1024), strict=True))


def _main() -> None:
    values = []
    for module, name, arguments, folder in json.loads(sys.argv[1]):
        os.chdir(folder)
        values.append(getattr(importlib.import_module(module), name)(**arguments))
    Path(sys.argv[2]).write_text(json.dumps(values))


if __name__ == "__main__":
    _main()

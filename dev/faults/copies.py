"""Copies of this repository to damage, and what an undisturbed run leaves in one."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.files import CHECKSUMS
from cardproof.recipe.environment import SAVE_VARIABLE
from dev.benchmarks.stages import time_repro
from dev.repository import ROOT, clean_environment, commit_all, copy_files

STAGES = ("download", "split", "tokenize", "train", "evaluate", "report")
TIMED = {"metrics/train_time.json", "metrics/evaluate_time.json"}  # differ on every run
# An epoch is 23 steps: the run crosses the end of one. With a checkpoint after each step it takes
# a few seconds, which is time enough to be killed.
MINIATURE = {"data": {"limit": 200, "test_limit": 100}, "train": {"max_steps": 40}}
EVERY_STEP = {SAVE_VARIABLE: "0"}
VERIFY = (sys.executable, "-m", "cardproof", "verify")
PATIENCE = 1500.0  # seconds for anything: against what hangs, not what is slow

Checksums = dict[str, str]  # by path


@dataclass(frozen=True)
class Outcome:
    """What became of one fault."""

    fault: str  # what was done
    where: str  # the stage or file that it was done to
    survived: bool  # whether all that is asked of the pipeline held
    lost: str  # what had to be done again, or what went wrong
    said: str = ""  # the message that a user sees, shortened


class Bench:
    """Where faults are injected: copies in `scratch`, and one in which a run ended undisturbed."""

    def __init__(self, scratch: Path, seed: int = 0) -> None:
        self.scratch, self.chance = scratch, random.Random(seed)  # of moments and bits
        # The files as they are now: they may change while this runs. No stage reads the skipped.
        copy_files(scratch / "files", skip=("results/", "tests/", "docs/"))
        self.done = self.fresh("undisturbed")
        self.seconds = time_repro(self.done, **EVERY_STEP)  # of each stage
        self.checksums = output_checksums(self.done)

    def fresh(self, name: str, changes: Mapping[str, Any] | None = None) -> Path:
        """A copy of the repository in which nothing has run yet, set to a run in miniature."""
        folder = self.scratch / name
        shutil.copytree(self.scratch / "files", folder, dirs_exist_ok=True)
        (folder / "dvc.lock").unlink(missing_ok=True)
        edit_params(folder, MINIATURE)
        edit_params(folder, changes or {})
        return commit_all(folder)

    def copy_done(self, name: str) -> Path:
        """A copy of the undisturbed run, with DVC's cache."""
        return Path(shutil.copytree(self.done, self.scratch / name, symlinks=True))

    def differing(self, found: Checksums) -> list[str]:
        """The outputs that are not those of the undisturbed run."""
        mine = self.checksums
        return sorted(p for p in mine.keys() | found.keys() if mine.get(p) != found.get(p))

    def repeat(self, folder: Path) -> tuple[str, str]:
        """Run `dvc repro` again: what is wrong with its end, if anything, and what it printed."""
        code, text = run(folder, "dvc", "repro")
        wrong = self.differing(output_checksums(folder))
        return f"other bytes: {wrong} {last_error(text)}" if code or wrong else "", text


class Running:
    """A command in a process group of its own."""

    def __init__(self, folder: Path, *command: str, **extra: str) -> None:
        # Not a pipe: a queue's worker lives on and would keep it open.
        self._log = TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=folder, env=clean_environment(**EVERY_STEP | extra), stdout=self._log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def text(self) -> str:
        """What it printed so far."""
        return os.pread(self._log.fileno(), 2**24, 0).decode(errors="replace").replace("\r", "\n")

    def find_stage(self, stage: str) -> psutil.Process | None:
        """The process of a stage below this command, if it runs now."""
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                words = child.cmdline()
                # The shell that DVC starts carries the same words: it is the parent.
                if f"stages.{stage}" in words and Path(words[0]).name.startswith("python"):
                    return child
        return None

    def wait_for(self, there: Callable[[], bool]) -> bool:
        """Wait until something is there; False if the command ended without it."""
        wait_until(lambda: there() or self.process.poll() is not None, 0.02)
        return there()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, as a terminal does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self) -> str:
        """Wait for its end; what it printed."""
        self.process.wait(PATIENCE)
        return self.text()


def run(folder: Path, *command: str, **extra: str) -> tuple[int, str]:
    """Run a command to its end: exit code and what it printed."""
    running = Running(folder, *command, **extra)
    text = running.end()
    return running.process.returncode, text


def run_stage(folder: Path, stage: str, **extra: str) -> tuple[int, str]:
    """Run a stage alone, without DVC."""
    return run(folder, sys.executable, "-m", f"stages.{stage}", **extra)


def wait_until(there: Callable[[], bool], pause: float = 0.1) -> None:
    """Wait until a callable returns true; it is asked each `pause` seconds.

    Raises:
        TimeoutError: it did not within `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:.0f} s")
        time.sleep(pause)


def kill_all_in(folder: Path) -> None:
    """Kill every process that works in `folder`, a copy that only this program knows of."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(folder.resolve()):
                process.kill()
                found.append(process)
    psutil.wait_procs(found, timeout=10)


def edit_params(folder: Path, changes: Mapping[str, Any]) -> None:
    """Set values in params.yaml: a value, or a mapping of those of a section."""
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for key, value in changes.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    yaml.dump(params, folder / "params.yaml")


def output_checksums(folder: Path) -> Checksums:
    """What the dvc.lock in a folder says of every output, run times apart."""
    file = folder / "dvc.lock"
    return _lock_checksums(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _lock_checksums(text: str) -> Checksums:
    try:
        stages = (YAML(typ="safe").load(text) or {}).get("stages", {})
    except YAMLError:  # cut off
        return {}
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if out["path"] not in TIMED}


def experiment_checksums(folder: Path) -> dict[str, Checksums]:
    """For each experiment of a repository, by name, the checksums of its outputs."""
    found = {}
    listed = ["git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/*"]
    for ref in subprocess.check_output(listed, cwd=folder, text=True).split():
        show = ["git", "show", f"{ref}:dvc.lock"]
        shown = subprocess.run(show, cwd=folder, check=False, capture_output=True, text=True)
        if shown.returncode == 0:
            found[ref.rpartition("/")[2]] = _lock_checksums(shown.stdout)
    return found


def outputs_of(stage: str) -> list[str]:
    """The paths that a stage writes, as dvc.yaml lists them; run times apart."""
    section = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]
    listed = [out for kind in ("outs", "metrics", "plots") for out in section.get(kind, [])]
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in listed]
    return [path for path in paths if path not in TIMED]


def file_bytes(folder: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """The content of files and of all files in folders, by path; run times apart."""
    found = [f for p in paths for f in ([folder / p] if (folder / p).is_file()
             else sorted((folder / p).rglob("*"))) if f.is_file()]  # fmt: skip
    named = {file.relative_to(folder).as_posix(): file for file in found}
    return {name: file.read_bytes() for name, file in named.items() if name not in TIMED}


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of unfinished runs, by their steps."""
    found = [p.parent for p in folder.glob(f".dvc/tmp/cardproof/*/checkpoint-*/{CHECKSUMS}")]
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def last_error(text: str) -> str:
    """The message that a user would read first, in one line."""
    lines = [line.strip() for line in text.splitlines() if "%|" not in line]
    errors = [i for i, line in enumerate(lines) if line.lower().startswith("error")]
    return " ".join(filter(None, lines[errors[0] : errors[0] + 4]))[:400] if errors else ""


def resumed_from(text: str) -> str:
    """From which checkpoint a run says that it resumes; empty if it does not."""
    found = re.findall(r"resuming from checkpoint-\d+", text)
    return found[-1] if found else ""

"""Copies of this repository to do harm to, and what an undisturbed run leaves in one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.training.checkpointing import SAVE_VARIABLE

ROOT = Path(__file__).parents[2]
STAGES = ("check", "download", "split", "tokenize", "train", "evaluate", "report")
TIMED = {"metrics/train_time.json", "metrics/evaluate_time.json"}  # differ on every run
# An epoch is 23 steps: the run crosses the end of one. With a checkpoint after each step it takes
# a few seconds, which is time enough to be killed.
MINIATURE = {"data.limit": 200, "data.test_limit": 100, "train.max_steps": 40}
VERIFY = (sys.executable, "-m", "cardproof", "verify")
PATIENCE = 600  # seconds for anything

Sums = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of one fault.

    Attributes:
        fault: what was done.
        where: the stage or file that it was done to.
        survived: whether all that is asked of the pipeline held.
        lost: what had to be done again, or what went wrong.
        said: the message that a user sees, shortened.
    """

    fault: str
    where: str
    survived: bool
    lost: str
    said: str = ""


@dataclass
class Bench:
    """Where the faults are done.

    Attributes:
        scratch: an existing folder; all copies go there.
        say: prints progress.
        files: the repository's files as they were at the start: they may change meanwhile.
        done: a copy in which an undisturbed run has ended.
        sums: of the outputs of that run, by path, run times apart.
        seconds: that each stage took in it.
    """

    scratch: Path
    say: Callable[[str], None] = print
    files: Path = field(init=False)
    done: Path = field(init=False)
    sums: Sums = field(init=False)
    seconds: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.scratch / "files"
        for file in _repository_files():
            (self.files / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, self.files / file)
        self.say("an undisturbed run, to compare with")
        self.done = self.fresh("undisturbed")
        running = Running(self.done, "dvc", "repro")
        self.seconds = _time_stages(running)
        if running.process.returncode != 0:
            raise RuntimeError(f"the undisturbed run failed:\n{running.text()[-3000:]}")
        self.sums = output_sums(self.done)

    def fresh(self, name: str, changes: Mapping[str, object] | None = None) -> Path:
        """A copy of the repository's files with a Git history, in which nothing has run yet."""
        folder = Path(shutil.copytree(self.files, self.scratch / name, dirs_exist_ok=True))
        (folder / "dvc.lock").unlink(missing_ok=True)
        edit_params(folder, MINIATURE | dict(changes or {}))
        git = ["git", "-c", "user.name=faults", "-c", "user.email=faults@example.org"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "copy"]):
            subprocess.run([*git, *words], cwd=folder, check=True)
        return folder

    def copy_done(self, name: str) -> Path:
        """A copy of the undisturbed run, with DVC's cache."""
        return Path(shutil.copytree(self.done, self.scratch / name, symlinks=True))

    def training_seconds(self) -> float:
        """That the steps of the undisturbed run took, loading apart."""
        text = (self.done / "metrics/train_time.json").read_text(encoding="utf-8")
        return float(json.loads(text)["train_seconds"])

    def differing(self, found: Sums) -> list[str]:
        """The outputs that are not those of the undisturbed run."""
        return sorted(
            p for p in self.sums.keys() | found.keys() if self.sums.get(p) != found.get(p)
        )


class Running:
    """A command in a process group of its own, with its output in a file."""

    def __init__(self, folder: Path, *command: str, **extra: str) -> None:
        self._log = (
            (folder / ".dvc/tmp/faults.log") if (folder / ".dvc").is_dir() else folder / "log"
        )
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(extra),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        """What it printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def find_stage(self, stage: str) -> psutil.Process | None:
        """The process of a stage below this command, if it runs now."""
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                if f"stages.{stage}" in _command_of(child):
                    return child
        return None

    def wait_for(self, there: Callable[[], bool]) -> bool:
        """Wait until something is there; False if the command ended without it."""
        deadline = time.monotonic() + PATIENCE
        while not there():
            if self.process.poll() is not None:
                return there()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {PATIENCE} s; so far:\n{self.text()[-2000:]}")
            time.sleep(0.02)
        return True

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


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Of every command: offline, this interpreter's programs first, a checkpoint at each step."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "CARDPROOF_"))}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    own |= {"HF_HUB_OFFLINE": "1", SAVE_VARIABLE: "0", "PYTHONUNBUFFERED": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        own |= {f"GIT_{role}_NAME": "faults", f"GIT_{role}_EMAIL": "faults@example.org"}
    return own | dict(extra)


def kill_tree(process: psutil.Process) -> None:
    """Kill a process and all below it, and nothing above it."""
    with suppress(psutil.Error):
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                each.kill()


def kill_all_in(folder: Path) -> int:
    """Kill every process that works in `folder`, a copy that only this program knows of."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(folder.resolve()):
                found.append(process)
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=10)
    return len(found)


def edit_params(folder: Path, changes: Mapping[str, object]) -> None:
    """Set values in params.yaml by their dotted keys."""
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for key, value in changes.items():
        *sections, name = key.split(".")
        target = params
        for section in sections:
            target = target[section]
        target[name] = value
    yaml.dump(params, folder / "params.yaml")


def output_sums(folder: Path) -> Sums:
    """What the dvc.lock in a folder says of every output, run times apart."""
    file = folder / "dvc.lock"
    return lock_sums(file.read_text(encoding="utf-8")) if file.is_file() else {}


def lock_sums(text: str) -> Sums:
    """The same, of the text of a dvc.lock."""
    try:
        stages = (YAML(typ="safe").load(text) or {}).get("stages", {})
    except YAMLError:  # cut off
        return {}
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if out["path"] not in TIMED}


def file_bytes(folder: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """The content of files and of all files in folders, by path; run times apart."""
    found = {}
    for name in paths:
        place = folder / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            if path.is_file() and relative not in TIMED:
                found[relative] = path.read_bytes()
    return found


def outputs_of(stage: str) -> list[str]:
    """The paths that a stage writes, as dvc.yaml lists them; run times apart."""
    section = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]
    listed = [out for kind in ("outs", "metrics", "plots") for out in section.get(kind, [])]
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in listed]
    return [path for path in paths if path not in TIMED]


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of unfinished runs that are complete."""
    return [p.parent for p in folder.glob(".dvc/tmp/cardproof/*/checkpoint-*/sums.json")]


def experiment_sums(folder: Path) -> dict[str, Sums]:
    """For each experiment of a repository, its name and the sums of its outputs."""
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps"],
        cwd=folder, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = {}
    for line in listed.splitlines():
        commit, _, name = line.partition(" ")
        if name.startswith("refs/exps/exec") or name.count("/") != 4:
            continue
        shown = subprocess.run(
            ["git", "show", f"{commit}:dvc.lock"],
            cwd=folder, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if shown.returncode == 0:
            found[name.rpartition("/")[2]] = lock_sums(shown.stdout)
    return found


def last_error(text: str) -> str:
    """The message that a user would read first, in one line."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if "%|" not in line]
    marked = [i for i, line in enumerate(lines) if line.lower().startswith("error")]
    if not marked:
        return ""
    first = marked[0]
    return " ".join(line for line in lines[first : first + 4] if line)[:400]


def going_on(text: str) -> str:
    """From which checkpoint a run went on, as it said; empty if it did not."""
    found = [line for line in text.replace("\r", "\n").splitlines() if "going on from" in line]
    return found[-1].split(",")[0].strip() if found else ""


def _time_stages(running: Running) -> dict[str, float]:
    """Wait for the end of `dvc repro`; the seconds that each stage's process lived."""
    begun: dict[str, float] = {}
    seconds = {}
    for stage in STAGES:
        running.wait_for(lambda stage=stage: running.find_stage(stage) is not None)  # type: ignore[misc]
        begun[stage] = time.monotonic()
        running.wait_for(lambda stage=stage: running.find_stage(stage) is None)  # type: ignore[misc]
        seconds[stage] = time.monotonic() - begun[stage]
    running.end()
    return seconds


def _repository_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    skipped = ("results/", "tests/", "docs/")  # no stage reads them
    return [
        f for f in listed.split("\0") if f and not f.startswith(skipped) and (ROOT / f).is_file()
    ]


def _command_of(process: psutil.Process) -> str:
    words = process.cmdline()
    # The shell that DVC starts carries the same words: it is the parent and is not meant.
    return " ".join(words) if words and Path(words[0]).name.startswith("python") else ""

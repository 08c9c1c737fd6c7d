"""Goes on with a training run that was cut off: checkpoints that outlive the process.

A run's checkpoints lie in a folder named by a key over everything that decides its weights, below
the original repository's `.dvc/tmp`: outside the outputs that DVC deletes, and the same for a run
in the workspace, in a temporary copy and in the queue. Each checkpoint is the Trainer's own (model,
optimizer, schedule, random states) with what the Trainer does not keep, and the sum of each file.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cardproof.errors import CardproofError
from cardproof.files import disk_errors, sha256_of, write_text_atomic
from cardproof.training.distributed.launch import ALONE, Process
from cardproof.training.distributed.process_group import anyone, from_everyone, wait_for_all
from cardproof.training.logs import TrainingTables
from cardproof.training.pruning import FINISHED, forget_finished

SAVE_VARIABLE = "CARDPROOF_SAVE_SECONDS"  # between checkpoints, instead of these two:
FIRST_SAVE = 5.0  # seconds after the start; a shorter run is as soon done again
SAVE_SHARE = 0.02  # of the time at most is spent on saving
KEPT_RUNS = 8  # unfinished runs whose checkpoints are kept
EXTRA, SUMS, LOCK = "cardproof.json", "sums.json", "lock"


def run_key(settings: Mapping[str, Any], folders: Sequence[Path]) -> str:
    """A name for a run: settings, the files it reads, and the project's code that is loaded.

    Args:
        settings: whatever else decides the run's weights; written as JSON.
        folders: inputs; every file in them counts, by its name and its sum.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(folder)} {sha256_of(path)}\n".encode())
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # A stage is run as `python -m stages.train`: its own module is then called __main__.
        if name.partition(".")[0] in ("cardproof", "stages", "__main__") and file:
            digest.update(f"{name} {sha256_of(Path(file))}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def checkpoint_folder(root: Path, key: str) -> Iterator[Path]:
    """The folder of a run's checkpoints: its own alone, kept, and marked when all is done.

    If another process is at the same run, this one gets a folder that nobody goes on from.

    Raises:
        FilesError: the disk is full or not writable.
    """
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        folder, lock = root / key, _try_lock(root / key)
        if lock is None:
            print("another process is at this very run: this one starts from the beginning")
            folder = root / f"{key}-{os.getpid()}"
            lock = _try_lock(folder)
        (folder / FINISHED).unlink(missing_ok=True)
        forget_finished(root)
        _remove_oldest(root)
        yield folder
        (folder / FINISHED).touch()
    if lock:
        lock.release()


@contextmanager
def shared_checkpoint_folder(root: Path, key: str, process: Process = ALONE) -> Iterator[Path]:
    """`checkpoint_folder`, opened by the first process of each host for all of them there."""
    if process.node:
        key = f"{key}-host-{process.node}"  # the hosts may share a disk
    with ExitStack() as stack:
        mine = None
        if process.local_rank == 0:
            mine = stack.enter_context(checkpoint_folder(root, key))
        opened = {node: path for node, path in from_everyone((process.node, mine)) if path}
        yield opened[process.node]


def _try_lock(folder: Path) -> FileLock | None:
    """Lock a folder, which is made if need be; None if another process has it."""
    lock = FileLock(folder / LOCK)
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        if (folder / LOCK).exists():
            return lock
        lock.release()  # its last owner removed it between our two steps


def _remove_oldest(root: Path) -> None:
    """Remove what is left of runs that nobody came back to, but for the newest few."""
    folders = sorted((p for p in root.iterdir() if p.is_dir()), key=lambda p: -p.stat().st_mtime)
    for folder in folders[KEPT_RUNS:]:
        lock = _try_lock(folder)
        if lock:
            print(f"removing the checkpoints of an unfinished run: {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def common_checkpoint(folder: Path, keeps: bool, newest: int = sys.maxsize) -> Path | None:
    """The newest checkpoint that every host has whole.

    Args:
        folder: this host's checkpoints.
        keeps: whether this is the process that writes them; the others take its word.
        newest: the last step that counts.
    """
    while True:
        own = last_whole_checkpoint(folder, newest) if keeps else None
        steps = {
            n for n in from_everyone((_step(own) if own else 0) if keeps else None) if n is not None
        }
        newest = min(steps)
        if len(steps) == 1:
            return folder / f"checkpoint-{newest}" if newest else None


def last_whole_checkpoint(folder: Path, newest: int = sys.maxsize) -> Path | None:
    """The newest checkpoint whose files have their sums; what is damaged is named and removed.

    Args:
        folder: where they lie.
        newest: the last step that counts.
    """
    found = sorted(folder.glob("checkpoint-*"), key=_step, reverse=True)
    found = [path for path in found if _step(path) <= newest]
    damaged = {path: why for path in found if (why := _damage(path))}
    for path, why in damaged.items():
        print(f"{path.name} cannot be used: {why}")
        shutil.rmtree(path)
    for path in found:
        if path in damaged:
            continue
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        best = state.get("best_model_checkpoint")
        if best is None or Path(best).is_dir():
            return path
        print(f"{path.name} cannot be used: the best checkpoint before it is gone")
    return None


def _step(checkpoint: Path) -> int:
    number = re.search(r"\d+$", checkpoint.name)
    return int(number[0]) if number else -1


def _damage(checkpoint: Path) -> str:
    """What is wrong with a checkpoint; empty if nothing is."""
    try:
        sums = json.loads((checkpoint / SUMS).read_text(encoding="utf-8"))
        for name, expected in sums.items():
            if sha256_of(checkpoint / name) != expected:
                return f"{name} has not the sum that was written beside it"
    except (OSError, ValueError, AttributeError) as error:
        return f"it is not whole ({error})"
    return "" if EXTRA in sums else "it is not whole"


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Saves now and then, and at a signal; adds what the Trainer leaves out of a checkpoint.

    Attributes:
        stopped_at: the step at which a signal ended the training; None if none did.
        seconds_before: spent on the steps before the checkpoint that was gone on from.
    """

    def __init__(self, trainer: Trainer, tables: TrainingTables, steps_per_epoch: int) -> None:
        self.stopped_at: int | None = None
        self.seconds_before = 0.0
        self._trainer, self._tables = trainer, tables
        self._steps_per_epoch = steps_per_epoch
        self._begun = time.monotonic()
        self._save_due = self._begun + _seconds_to_next_save(0)
        self._saving_since: float | None = None  # while a save of ours is under way
        self._spent = 0.0  # on the last one
        self._signalled = False

    def restore(self, checkpoint: Path) -> None:
        """Take back what `on_save` added; to be called from within the training, once it began."""
        extra = json.loads((checkpoint / EXTRA).read_text(encoding="utf-8"))
        self._tables.restore(extra["tables"])
        self.seconds_before = extra["seconds"]
        # The Trainer forgets the losses since its last log: the next one would be of fewer steps.
        mine = self._trainer.args.process_index
        self._trainer._tr_loss += extra["losses_since_log"][mine]
        self._trainer._globalstep_last_logged = extra["last_logged_step"]

    @contextmanager
    def stopping_at_signals(self) -> Iterator[None]:
        """Let the first Ctrl-C (or SIGTERM) end the training after its step; the second at once."""

        def note(number: int, _: FrameType | None) -> None:
            if self._signalled:
                raise KeyboardInterrupt
            self._signalled = True
            print("\nsaving after this step; once more to stop at once", file=sys.stderr)

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, note) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Go on from the checkpoint at this step, if the Trainer has just loaded one."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.global_step:
            self.restore(checkpoint)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a checkpoint if one is due; at the end of an epoch the evaluation comes first."""
        if state.global_step % self._steps_per_epoch == 0 or control.should_training_stop:
            return
        # Saving is done together: all processes must come to the same answer.
        due = time.monotonic() >= self._save_due
        signalled, due = anyone(self._signalled, due, device=args.device)
        if signalled or due:
            control.should_save = True
            self._saving_since = time.monotonic()
        if signalled:
            control.should_training_stop = True
            self.stopped_at = state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop after an epoch's evaluation; a part of an epoch gets none."""
        (signalled,) = anyone(self._signalled, device=args.device)
        if self.stopped_at is not None:
            control.should_evaluate = control.should_save = control.should_log = False
        elif signalled and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
            self.stopped_at = state.global_step

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Complete the checkpoint; without its sums, which come last, it counts as none."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        losses = from_everyone(float(self._trainer._tr_loss))
        wait_for_all()  # for the random states of every process
        if args.should_save:
            self._complete(checkpoint, losses)
        now = time.monotonic()
        if self._saving_since is not None:  # else the Trainer saved of its own, after an epoch
            self._spent = now - self._saving_since
            self._saving_since = None
        self._save_due = now + _seconds_to_next_save(self._spent)

    def _complete(self, checkpoint: Path, losses_since_log: list[float]) -> None:
        extra = {
            "tables": self._tables.state(),
            "seconds": self.seconds_before + time.monotonic() - self._begun,
            "losses_since_log": losses_since_log,  # of each process
            "last_logged_step": self._trainer._globalstep_last_logged,
        }
        write_text_atomic(checkpoint / EXTRA, json.dumps(extra))
        sums = {p.name: sha256_of(p) for p in sorted(checkpoint.iterdir()) if p.name != SUMS}
        write_text_atomic(checkpoint / SUMS, json.dumps(sums, indent=2))


def _seconds_to_next_save(spent: float) -> float:
    """From one checkpoint, which took `spent` seconds, to the next."""
    named = os.environ.get(SAVE_VARIABLE, "")
    try:
        return float(named) if named else max(FIRST_SAVE, spent / SAVE_SHARE)
    except ValueError:
        raise CardproofError(f"{SAVE_VARIABLE} is {named!r}; make it a number of seconds") from None

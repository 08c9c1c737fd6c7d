"""Checkpoints that outlive the process, and resuming from them.

A run's checkpoints lie in a folder named by a fingerprint of everything that decides its weights,
below the original repository's `.dvc/tmp`: outside the outputs that DVC deletes, and the same for a
run in the workspace, in a temporary copy and in the queue. Each checkpoint is the Trainer's own
(model, optimizer, schedule, random states) with what the Trainer does not keep, and checksums.
"""

import hashlib
import json
import math
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel
from safetensors import safe_open
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import safe_globals
from transformers.trainer_utils import rotate_checkpoints

from cardproof.errors import CardproofError
from cardproof.files import CHECKSUMS, disk_errors, sha256_of, write_text_atomic
from cardproof.recipe.environment import save_seconds
from cardproof.training.distributed.launch import SINGLE_PROCESS, Process
from cardproof.training.distributed.process_group import all_gather, any_process, barrier

# Unless CARDPROOF_SAVE_SECONDS says how many seconds lie between checkpoints:
FIRST_SAVE = 5.0  # seconds after the start; a shorter run is as soon done again
SAVE_SHARE = 0.02  # of the time at most is spent on saving
KEPT_RUNS = 8  # unfinished runs whose checkpoints are kept
KEPT_CHECKPOINTS = 3  # of a run: the best, the newest, and one before it in case it is damaged
EXTRA, LOCK = "cardproof.json", "lock"
FINISHED = "finished"  # in the folder of a run that came to its end: the workspace of its model


class ResumeError(CardproofError):
    """A checkpoint that passed for a good one, and is none."""


def checkpoint_root() -> Path:
    """Where checkpoints lie: in the original repository, also for a run in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".dvc/tmp/cardproof"


def run_key(settings: Mapping[str, Any], folders: Sequence[Path]) -> str:
    """A fingerprint of a run: settings, the files it reads, and the project's code that is loaded.

    Args:
        settings: whatever else decides the run's weights; written as JSON.
        folders: inputs; every file in them counts, by its name and its checksum.
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
    """The folder of a run's checkpoints, locked; marked as finished if the block succeeds.

    If another process trains the same run, this one gets a folder that nobody resumes from. On the
    way in, the checkpoints of runs that need them no more are pruned. The run itself leaves its own
    for a later one: only after its end does DVC save the model, and a full disk may prevent that.

    Raises:
        FilesError: the disk is full or not writable.
    """
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / LOCK):  # one process at a time looks for what it may take or remove
            folder = root / key
            lock = _try_lock(folder)
            if lock is None:
                print("another process trains this very run: this one starts from the beginning")
                folder = Path(mkdtemp(prefix=f"{key}-", dir=root))
                lock = _try_lock(folder)
            if _is_done(folder):  # its model is saved: who runs it again wants it trained again
                _empty(folder)
            (folder / FINISHED).unlink(missing_ok=True)
            _prune(root)
        try:
            yield folder
            (folder / FINISHED).write_text(str(Path.cwd()), encoding="utf-8")
        finally:
            if lock:
                lock.release()


@contextmanager
def shared_checkpoint_folder(
    root: Path, key: str, process: Process = SINGLE_PROCESS
) -> Iterator[Path]:
    """`checkpoint_folder`, opened by the first process of each host for all of them there."""
    if process.node:
        key = f"{key}-host-{process.node}"  # the hosts may share a disk
    with ExitStack() as stack:
        opened = None
        if process.local_rank == 0:
            opened = stack.enter_context(checkpoint_folder(root, key))
        folders = {node: path for node, path in all_gather((process.node, opened)) if path}
        yield folders[process.node]


def _try_lock(folder: Path) -> FileLock | None:
    """Lock a folder, which is made if need be; None if another process has it."""
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def _empty(folder: Path) -> None:
    """Remove all that is in a folder but its lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _prune(root: Path) -> None:
    """Remove the checkpoints of finished runs and of all but the newest unfinished ones.

    The caller holds the lock of `root`.
    """
    kept = 0
    for folder in sorted(
        (p for p in root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True
    ):
        finished = _is_done(folder)
        if not finished and kept < KEPT_RUNS:
            kept += 1
        elif lock := _try_lock(folder):
            if not finished:
                print(f"removing the checkpoints of an unfinished run: {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _is_done(folder: Path) -> bool:
    """Whether a run is finished and DVC has saved its model, or has removed its workspace.

    DVC writes dvc.lock once it has saved what a stage wrote: after the run's own mark.
    """
    mark = folder / FINISHED
    if not mark.is_file():
        return False
    workspace = Path(mark.read_text(encoding="utf-8")).absolute()
    if not workspace.exists():
        return True
    lock = workspace / "dvc.lock"
    return lock.is_file() and lock.stat().st_mtime_ns > mark.stat().st_mtime_ns


class Contents(NamedTuple):
    """What a run's checkpoints hold."""

    weights: Mapping[str, torch.Tensor]  # by name; their values do not count
    moments: Sequence[torch.Size]  # of the optimizer, in its order


def contents_of(trainer: Trainer) -> Contents:
    """What the checkpoints of a training hold."""
    model = trainer.model
    decayed = set(trainer.get_decay_parameter_names(model))
    # The Trainer's optimizer has two groups: with weight decay, and without.
    trained = sorted(model.named_parameters(), key=lambda named: named[0] not in decayed)
    return Contents(model.state_dict(), [p.shape for _, p in trained if p.requires_grad])


def common_checkpoint(
    folder: Path, saves: bool, newest: int = sys.maxsize, contents: Contents | None = None
) -> Path | None:
    """The newest checkpoint that is intact on every host.

    Args:
        folder: this host's checkpoints.
        saves: whether this is the process that writes them; the others take its word.
        newest: the last step that counts.
        contents: as of `last_intact_checkpoint`.
    """
    while True:
        found = last_intact_checkpoint(folder, newest, contents) if saves else None
        steps = all_gather((_step(found) if found else 0) if saves else None)
        distinct = {step for step in steps if step is not None}
        newest = min(distinct)
        if len(distinct) == 1:
            return folder / f"checkpoint-{newest}" if newest else None


def last_intact_checkpoint(
    folder: Path, newest: int = sys.maxsize, contents: Contents | None = None
) -> Path | None:
    """The newest checkpoint that is whole and can be loaded; others are named and set aside.

    Those set aside stay beside it, as `refused-checkpoint-N`, until the run needs none of them.

    Args:
        folder: where they lie.
        newest: the last step that counts.
        contents: what they must hold; None compares no sizes.
    """
    found = sorted(folder.glob("checkpoint-*"), key=_step, reverse=True)
    found = [path for path in found if _step(path) <= newest]
    damaged = {path: why for path in found if (why := _damage(path, contents))}
    for path, why in damaged.items():
        print(_set_aside(path, why))
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


def _set_aside(checkpoint: Path, why: str) -> str:
    """Rename a checkpoint so that no run takes it for one; what to print."""
    aside = checkpoint.with_name(f"refused-{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.rename(aside)
    return f"{checkpoint.name} cannot be used: {why}; it is set aside as {aside}"


def _damage(checkpoint: Path, contents: Contents | None) -> str:
    """What is wrong with a checkpoint; empty if nothing is."""
    try:
        checksums = json.loads((checkpoint / CHECKSUMS).read_text(encoding="utf-8"))
        for name, expected in checksums.items():
            if sha256_of(checkpoint / name) != expected:
                return f"{name} does not have its checksum"
    except (OSError, ValueError, AttributeError) as error:
        return f"it is incomplete ({error})"
    if missing := _NEEDED - checksums.keys():
        return f"it is incomplete (no {', '.join(sorted(missing))})"
    return _unloadable(checkpoint, contents)


def _unloadable(checkpoint: Path, contents: Contents | None) -> str:
    """Which file the Trainer would fail at; empty if none. Nothing that a file asks for is run.

    Whoever can write to a checkpoint can write its checksums, too.
    """
    for pattern, load in _LOADERS.items():
        for path in sorted(checkpoint.glob(pattern)):
            try:
                load(path, contents)
            except Exception as error:  # torch, safetensors, json: whatever they meet in it
                return f"{path.name} cannot be loaded ({_in_a_line(error)})"
    return ""


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


def _load_tensors(path: Path, _: Contents | None, keys: Sequence[str] = ()) -> Any:
    """Read what torch saved, by its reader that makes tensors and plain values only."""
    with safe_globals():  # of NumPy, for random states: what the Trainer allows
        found = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f"it has no {', '.join(missing)}")
    return found


def _load_weights(path: Path, contents: Contents | None) -> None:
    with safe_open(path, framework="pt") as weights:
        names = set(weights.keys())
        for name in names:
            _check_finite(name, weights.get_tensor(name))
        shared: dict[int, set[str]] = {}  # a tensor that two names have is saved by one of them
        for name, tensor in (contents.weights if contents else {}).items():
            shared.setdefault(tensor.data_ptr(), set()).add(name)
            if name in names:
                _check_size(name, weights.get_slice(name).get_shape(), tensor.shape)
    if missing := [min(alike) for alike in shared.values() if not alike & names]:
        raise ValueError(f"it has no {missing[0]}")


def _load_optimizer(path: Path, contents: Contents | None) -> None:
    found = _load_tensors(path, contents, keys=("state", "param_groups"))
    for number, state in found["state"].items():
        for name, tensor in state.items():
            _check_finite(f"{name} of parameter {number}", torch.as_tensor(tensor))
            if contents and name != "step":
                _check_size(f"{name} of parameter {number}", tensor.shape, contents.moments[number])


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    if not tensor.isfinite().all():
        raise ValueError(f"{name} has a number that is not finite")


def _check_size(name: str, found: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(found) != tuple(expected):
        raise ValueError(f"{name} has the size {tuple(found)}, the model's is {tuple(expected)}")


def _load_extra(path: Path, _: Contents | None) -> None:
    extra = json.loads(path.read_text(encoding="utf-8"))
    numbers = [extra["seconds"], extra["last_logged_step"], *extra["losses_since_log"]]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("it has a number that is not finite")


class _State(BaseModel, strict=True):
    """What is read of a `TrainerState` after a resumption."""

    global_step: int
    epoch: float
    log_history: list[dict[str, float]]
    best_metric: float | None
    best_global_step: int | None
    best_model_checkpoint: str | None
    stateful_callbacks: dict[str, dict[str, Any]]


def _load_state(path: Path, _: Contents | None) -> None:
    state = _State.model_validate_json(path.read_bytes())
    if state.global_step != _step(path.parent):
        raise ValueError(f"it is of step {state.global_step}")


# What the Trainer and `CheckpointKeeper` read when they resume, and how.
_LOADERS: dict[str, Callable[[Path, Contents | None], object]] = {
    "trainer_state.json": _load_state,
    EXTRA: _load_extra,
    "model.safetensors": _load_weights,
    "optimizer.pt": _load_optimizer,
    "scheduler.pt": partial(_load_tensors, keys=("last_epoch",)),
    "scaler.pt": _load_tensors,
    "rng_state*.pth": partial(_load_tensors, keys=("python", "numpy", "cpu")),
}
_NEEDED = {name for name in _LOADERS if "*" not in name} - {"scaler.pt"}


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Saves now and then, and at a signal; adds what the Trainer leaves out of a checkpoint.

    Attributes:
        stopped_at: the step at which a signal ended the training; None if none did.
        seconds_before: spent on the steps before the checkpoint that was resumed from.
    """

    def __init__(self, trainer: Trainer, steps_per_epoch: int) -> None:
        self.stopped_at: int | None = None
        self.seconds_before = 0.0
        self._trainer, self._steps_per_epoch = trainer, steps_per_epoch
        self._begun = time.monotonic()
        self._save_due = self._begun + _seconds_to_next_save(0)
        self._saving_since: float | None = None  # while a save of ours is under way
        self._spent = 0.0  # on the last one
        self._signalled = False

    @contextmanager
    def refusing(self, checkpoint: Path | None) -> Iterator[None]:
        """Set aside the checkpoint that was resumed from if no step can be taken from it.

        Raises:
            ResumeError: so it was; another run resumes from the checkpoint before it.
        """
        try:
            yield
        except Exception as error:
            other = (CardproofError, OSError, MemoryError, torch.OutOfMemoryError)
            took_a_step = checkpoint and self._trainer.state.global_step > _step(checkpoint)
            if checkpoint is None or took_a_step or isinstance(error, other):
                raise
            why = f"no step can be taken from it ({_in_a_line(error)})"
            if self._trainer.args.should_save:
                why = _set_aside(checkpoint, why)
            remedy = "`dvc repro` resumes from the checkpoint before it."
            raise ResumeError(f"{why}. {remedy}") from error

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
        """Take back what `on_save` added to the checkpoint at this step, if one was loaded."""
        if not state.global_step:
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        extra = json.loads((checkpoint / EXTRA).read_text(encoding="utf-8"))
        self.seconds_before = extra["seconds"]
        # The Trainer forgets the losses since its last log: the next one would be of fewer steps.
        self._trainer._tr_loss += extra["losses_since_log"][args.process_index]
        self._trainer._globalstep_last_logged = extra["last_logged_step"]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a checkpoint if one is due; at the end of an epoch the evaluation comes first."""
        if state.global_step % self._steps_per_epoch == 0 or control.should_training_stop:
            return
        # Saving is done together: all processes must come to the same answer.
        due = time.monotonic() >= self._save_due
        signalled, due = any_process(self._signalled, due, device=args.device)
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
        (signalled,) = any_process(self._signalled, device=args.device)
        if self.stopped_at is not None:
            control.should_evaluate = control.should_save = control.should_log = False
        elif signalled and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
            self.stopped_at = state.global_step

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Complete the checkpoint; without its checksums, which come last, it counts as none."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        losses = all_gather(float(self._trainer._tr_loss))
        barrier()  # for the random states of every process
        if args.should_save:
            self._complete(checkpoint, losses)
            # Not before: a run killed as it saves is resumed from an older one, and needs its best.
            rotate_checkpoints(args.output_dir, KEPT_CHECKPOINTS, state.best_model_checkpoint)
        now = time.monotonic()
        if self._saving_since is not None:  # else the Trainer saved of its own, after an epoch
            self._spent = now - self._saving_since
            self._saving_since = None
        self._save_due = now + _seconds_to_next_save(self._spent)

    def _complete(self, checkpoint: Path, losses_since_log: list[float]) -> None:
        extra = {
            "seconds": self.seconds_before + time.monotonic() - self._begun,
            "losses_since_log": losses_since_log,  # of each process
            "last_logged_step": self._trainer._globalstep_last_logged,
        }
        write_text_atomic(checkpoint / EXTRA, json.dumps(extra))
        files = (p for p in sorted(checkpoint.iterdir()) if p.name != CHECKSUMS)
        write_text_atomic(checkpoint / CHECKSUMS, json.dumps({p.name: sha256_of(p) for p in files}))


def _seconds_to_next_save(spent: float) -> float:
    """From one checkpoint, which took `spent` seconds, to the next."""
    named = save_seconds(os.environ)
    return max(FIRST_SAVE, spent / SAVE_SHARE) if named is None else named

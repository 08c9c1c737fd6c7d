"""Checkpoints while a run trains: when they are saved, and what the Trainer leaves out of them.

Each is the Trainer's own (model, optimizer, schedule, random states) with what it does not keep,
and checksums.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import rotate_checkpoints

from cardproof.errors import CardproofError
from cardproof.files import CHECKSUMS, sha256_of, write_text_atomic
from cardproof.recipe.environment import save_seconds
from cardproof.training.checkpoint_files import EXTRA, in_a_line, set_aside, step_of
from cardproof.training.distributed.process_group import all_gather, any_process, barrier

# Unless CARDPROOF_SAVE_SECONDS says how many seconds lie between checkpoints:
FIRST_SAVE = 5.0  # seconds after the start; a shorter run is as soon done again
SAVE_SHARE = 0.02  # of the time at most is spent on saving
KEPT_CHECKPOINTS = 3  # of a run: the best, the newest, and one before it in case it is damaged


class ResumeError(CardproofError):
    """A checkpoint that passed for a good one, and is none."""


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
            took_a_step = checkpoint and self._trainer.state.global_step > step_of(checkpoint)
            if checkpoint is None or took_a_step or isinstance(error, other):
                raise
            why = f"no step can be taken from it ({in_a_line(error)})"
            if self._trainer.args.should_save:
                why = set_aside(checkpoint, why)
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

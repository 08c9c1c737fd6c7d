"""What a person reads of a training run while it runs: a progress bar and two tables.

Both tables follow from the Trainer's own log, which travels in its checkpoints.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cardproof.csv_files import Value, write_csv

CURVE_COLUMNS = ("step", "epoch", "training_loss", "learning_rate", "gradient_norm")
EPOCH_COLUMNS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")

Row = dict[str, Value]
Log = Sequence[Mapping[str, float]]  # the Trainer's log_history: each entry names its step


class QuietProgress(ProgressCallback):  # type: ignore[misc]
    """The Trainer's progress bar, with the loss at its end instead of a line for each log."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Show the newest loss."""
        if self.training_bar is not None and logs and "loss" in logs:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.4f}")


def curve_rows(log: Log) -> list[Row]:
    """The points of the training curve, in `CURVE_COLUMNS`."""
    names = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    return [
        dict(zip(CURVE_COLUMNS, (entry.get(name, math.nan) for name in names), strict=True))
        for entry in log
        if "loss" in entry
    ]


def epoch_rows(
    log: Log, logging_steps: int, steps_per_epoch: int, ends: Sequence[int]
) -> list[Row]:
    """The per-epoch table, in the columns of the cards' auto-generated ones.

    Its training loss is the mean over the last full window of `logging_steps` steps, as a Trainer
    with that setting prints it: at step 1,563 with windows of 500 it is the mean of steps 1,001 to
    1,500. It is None ("No log" in the cards) while no window is full.

    Args:
        log: the Trainer's, with a loss every so many steps that they divide `logging_steps`.
        logging_steps: of the card.
        steps_per_epoch: optimizer steps of an epoch.
        ends: the last step of each epoch so far.
    """
    evaluated = {entry["step"]: entry for entry in log if "eval_loss" in entry}
    rows: list[Row] = []
    for step in ends:
        full = step // logging_steps * logging_steps
        window = [
            e["loss"] for e in log if "loss" in e and full - logging_steps < e["step"] <= full
        ]
        scores = evaluated.get(step, {})
        values = (
            sum(window) / len(window) if window else None,
            round(step / steps_per_epoch, 4),
            step,
            scores.get("eval_loss"),
            scores.get("eval_accuracy"),
        )
        rows.append(dict(zip(EPOCH_COLUMNS, values, strict=True)))
    return rows


class TrainingTables(TrainerCallback):  # type: ignore[misc]
    """Writes the training curve and the per-epoch table, row by row, while training runs.

    A training that is resumed begins with the rows up to its checkpoint.
    """

    def __init__(self, curve: Path, epochs: Path, logging_steps: int, steps_per_epoch: int) -> None:
        self._curve, self._epochs = curve, epochs
        self._logging_steps, self._steps_per_epoch = logging_steps, steps_per_epoch

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write what the log holds already."""
        write_csv(self._curve, CURVE_COLUMNS, curve_rows(state.log_history))
        self._write_epochs(state)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Append a point of the curve."""
        with self._curve.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, CURVE_COLUMNS, lineterminator="\n")
            writer.writerows(curve_rows(state.log_history[-1:]))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write the row of this epoch."""
        self._write_epochs(state)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write the row of the epoch before, which nothing may have evaluated."""
        self._write_epochs(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write the row of the last epoch, which may be cut short."""
        self._write_epochs(state)

    def _write_epochs(self, state: TrainerState) -> None:
        step, epoch = state.global_step, self._steps_per_epoch
        ends = set(range(epoch, step + 1, epoch)) | (
            {step} if step and step == state.max_steps else set()
        )
        rows = epoch_rows(state.log_history, self._logging_steps, epoch, sorted(ends))
        write_csv(self._epochs, EPOCH_COLUMNS, rows)

"""What a person reads of a training run while it goes on: a progress bar and two tables."""

import csv
import math
from pathlib import Path
from typing import Any

from transformers import (
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cardproof.files import write_text_atomic

CURVE_COLUMNS = ("step", "epoch", "training_loss", "learning_rate", "gradient_norm")
EPOCH_COLUMNS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")


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


class TrainingTables(TrainerCallback):  # type: ignore[misc]
    """Writes the training curve and the per-epoch table, row by row, while training runs.

    The per-epoch table has the columns of the cards' auto-generated ones. Its training loss is the
    mean over the last full window of `logging_steps` steps, as a Trainer with that setting prints
    it: at step 1,563 with windows of 500 it is the mean of steps 1,001 to 1,500. It is empty
    ("No log" in the cards) while no window is full.
    """

    def __init__(self, curve: Path, epochs: Path, logging_steps: int) -> None:
        self._curve, self._epochs = curve, epochs
        self._logging_steps = logging_steps
        self._window: list[float] = []
        self._last_window: float | None = None
        self._unwritten: tuple[float, int] | None = None  # an epoch that nothing evaluates
        _start_csv(curve, CURVE_COLUMNS)
        _start_csv(epochs, EPOCH_COLUMNS)

    def state(self) -> dict[str, Any]:
        """All that was written and noted so far, as plain data."""
        return {
            "curve": self._curve.read_text(encoding="utf-8"),
            "epochs": self._epochs.read_text(encoding="utf-8"),
            "window": self._window,
            "last_window": self._last_window,
            "unwritten": self._unwritten,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned: rows written since are dropped."""
        write_text_atomic(self._curve, state["curve"])
        write_text_atomic(self._epochs, state["epochs"])
        self._window, self._last_window = state["window"], state["last_window"]
        self._unwritten = tuple(state["unwritten"]) if state["unwritten"] else None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Append a point of the curve; close the window when it is full."""
        if not logs or "loss" not in logs:
            return
        gradient_norm = logs.get("grad_norm", math.nan)
        row = (state.global_step, logs["epoch"], logs["loss"], logs["learning_rate"], gradient_norm)
        _append_csv(self._curve, row)
        self._window.append(logs["loss"])
        if state.global_step % self._logging_steps == 0:
            # Every point is a mean over equally many steps, so their mean is that of the window.
            self._last_window = sum(self._window) / len(self._window)
            self._window = []

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Append a row of the per-epoch table."""
        if metrics:
            self._write_epoch(
                float(state.epoch or 0),
                state.global_step,
                metrics["eval_loss"],
                metrics["eval_accuracy"],
            )

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note an epoch without evaluation: the log of its last step comes after this call."""
        if args.eval_strategy == "no":
            self._unwritten = (float(state.epoch or 0), state.global_step)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write a noted epoch."""
        self._flush()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write a noted epoch."""
        self._flush()

    def _flush(self) -> None:
        if self._unwritten:
            self._write_epoch(*self._unwritten, None, None)
            self._unwritten = None

    def _write_epoch(
        self, epoch: float, step: int, loss: float | None, accuracy: float | None
    ) -> None:
        _append_csv(self._epochs, (self._last_window, round(epoch, 4), step, loss, accuracy))


def _start_csv(path: Path, columns: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(",".join(columns) + "\n", encoding="utf-8")


def _append_csv(path: Path, row: tuple[float | None, ...]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(["" if v is None else v for v in row])

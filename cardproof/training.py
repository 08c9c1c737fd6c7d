"""Fine-tuning with transformers' Trainer, as the cards did it, with tables to read meanwhile."""

import csv
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cardproof.devices import Device
from cardproof.errors import CardproofError
from cardproof.packed.batches import UnpaddedRows, collate_packed
from cardproof.packed.model import describe_batches, why_padded, without_padding
from cardproof.params import Train
from cardproof.tokens import TokenStore

if TYPE_CHECKING:
    from transformers import EvalPrediction

CURVE_COLUMNS = ("step", "epoch", "training_loss", "learning_rate", "gradient_norm")
EPOCH_COLUMNS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")
CURVE_POINTS_PER_WINDOW = 50  # of the curve, in each window of `logging_steps`


class TrainingError(CardproofError):
    """A training that came to nothing."""


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training run.

    Attributes:
        steps: optimizer steps taken.
        epochs: epochs trained, a fraction where max_steps cut the run short.
        best_epoch: the epoch whose weights were kept, where the best is; else None.
        seconds: wall time, evaluations included.
    """

    steps: int
    epochs: float
    best_epoch: float | None
    seconds: float


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps that one epoch takes: the last, partial batch counts."""
    return math.ceil(rows / batch_size)


def training_arguments(
    train: Train, eval_batch_size: int, device: Device, validates: bool, checkpoints: Path
) -> TrainingArguments:
    """The recipe in the Trainer's terms."""
    return TrainingArguments(
        output_dir=str(checkpoints),
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.scheduler,
        warmup_steps=train.warmup_steps,
        weight_decay=train.weight_decay,
        adam_beta1=train.betas[0],
        adam_beta2=train.betas[1],
        adam_epsilon=train.epsilon,
        per_device_train_batch_size=train.batch_size,
        per_device_eval_batch_size=eval_batch_size,
        num_train_epochs=train.epochs,
        max_steps=train.max_steps,
        seed=train.seed,
        bf16=device.precision == "bf16",
        fp16=device.precision == "fp16",
        use_cpu=device.name == "cpu",
        full_determinism=True,
        logging_steps=curve_interval(train.logging_steps),
        eval_strategy="epoch" if validates else "no",
        save_strategy="epoch" if train.load_best else "no",
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=train.load_best,
        metric_for_best_model="loss",
        logging_nan_inf_filter=False,  # a loss that is not finite must show
        report_to="none",
        disable_tqdm=False,  # a progress bar, whatever the verbosity of the library
    )


def curve_interval(logging_steps: int) -> int:
    """Steps between two points of the training curve; a divisor of `logging_steps`."""
    wanted = max(1, logging_steps // CURVE_POINTS_PER_WINDOW)
    return next(n for n in range(wanted, 0, -1) if logging_steps % n == 0)


@dataclass(frozen=True)
class Batching:
    """How rows become batches that the model takes.

    Attributes:
        reason: what was chosen and why, to print.
        rows: makes the Trainer's data set out of a token store.
        collate: makes a batch out of its rows.
        forward: lets a model take such batches while it is open.
    """

    reason: str
    rows: Callable[[TokenStore], Any]
    collate: Callable[[Any], Any]
    forward: Callable[[PreTrainedModel], AbstractContextManager[None]]


def choose_batching(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, arguments: TrainingArguments
) -> Batching:
    """No padding where the model's family and the device allow it, else padded batches."""
    why = why_padded(model, arguments.device.type)
    if arguments.n_gpu > 1:
        why = f"{arguments.n_gpu} GPUs split a batch by rows"
    if why:
        collator = DataCollatorWithPadding(tokenizer)
        return Batching(describe_batches(why), lambda store: store, collator, nullcontext)
    return Batching(describe_batches(None), UnpaddedRows, collate_packed, without_padding)


def train_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: TokenStore,
    validation_set: TokenStore | None,
    arguments: TrainingArguments,
    tables: "TrainingTables",
) -> TrainingResult:
    """Train `model` in place and return what came of it.

    Raises:
        TrainingError: the loss is not finite at the end.
    """
    batching = choose_batching(model, tokenizer, arguments)
    print(batching.reason)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=batching.rows(train_set),
        eval_dataset=batching.rows(validation_set) if validation_set else None,
        data_collator=batching.collate,
        compute_metrics=_accuracy,
        callbacks=[tables],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(QuietProgress())
    # Determinism fills new memory, for code that reads it unwritten: none here, and a tenth slower.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    start = time.perf_counter()
    with batching.forward(model):
        output = trainer.train()
    if not math.isfinite(output.training_loss):
        raise TrainingError(
            f"the training loss became {output.training_loss}; lower train.learning_rate "
            f"({arguments.learning_rate:g}) or set train.precision=fp32"
        )
    best = trainer.state.best_global_step
    per_epoch = steps_per_epoch(len(train_set), arguments.per_device_train_batch_size)
    return TrainingResult(
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0),
        best_epoch=best / per_epoch if best else None,
        seconds=time.perf_counter() - start,
    )


def _accuracy(prediction: "EvalPrediction") -> dict[str, float]:
    predicted = np.asarray(prediction.predictions).argmax(axis=-1)
    return {"accuracy": float((predicted == prediction.label_ids).mean())}


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

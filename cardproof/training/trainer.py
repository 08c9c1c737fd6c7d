"""Fine-tuning with transformers' Trainer, as the cards did it, with tables to read meanwhile."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
    TrainingArguments,
)

from cardproof.errors import CardproofError, StoppedError
from cardproof.model.devices import Device
from cardproof.model.tokens import TokenStore
from cardproof.model.unpadded.batches import collate_unpadded
from cardproof.model.unpadded.check import ROWS, why_unlike
from cardproof.model.unpadded.model import describe_batches, why_padded, without_padding
from cardproof.recipe.schema import Train
from cardproof.training.checkpoint_files import common_checkpoint, contents_of
from cardproof.training.checkpointing import CheckpointKeeper
from cardproof.training.distributed.batches import PerRankDropout, WholeBatchTrainer, sharing_rows
from cardproof.training.distributed.launch import SINGLE_PROCESS, Process
from cardproof.training.distributed.process_group import all_gather, barrier
from cardproof.training.logs import QuietProgress

if TYPE_CHECKING:
    from transformers import EvalPrediction

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
    train: Train,
    eval_batch_size: int,
    device: Device,
    validates: bool,
    checkpoints: Path,
    process: Process = SINGLE_PROCESS,
) -> TrainingArguments:
    """The recipe in the Trainer's terms."""
    arguments = TrainingArguments(
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
        save_strategy="epoch" if train.load_best else "no",  # CheckpointKeeper saves, too
        load_best_model_at_end=train.load_best,
        metric_for_best_model="loss",
        logging_nan_inf_filter=False,  # a loss that is not finite must show
        remove_unused_columns=False,  # the model's forward is another one while it trains
        report_to="none",
        disable_tqdm=False,  # a progress bar, whatever the verbosity of the library
        **(_sharing(device, process.nodes) if process.count > 1 else {}),
    )
    # A process has one GPU. With more, the Trainer makes the recipe's batch as many times larger.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _sharing(device: Device, nodes: int) -> dict[str, Any]:
    """Arguments for several processes, each of which reads every batch whole."""
    return {
        "ddp_backend": "nccl" if device.name == "cuda" else "gloo",
        "ddp_find_unused_parameters": False,
        "average_tokens_across_devices": False,  # the loss of a share is weighted already
        "accelerator_config": {"even_batches": False},
        "save_on_each_node": nodes > 1,  # each host resumes from files of its own
    }


def curve_interval(logging_steps: int) -> int:
    """Steps between two points of the training curve; a divisor of `logging_steps`."""
    wanted = max(1, logging_steps // CURVE_POINTS_PER_WINDOW)
    return next(n for n in range(wanted, 0, -1) if logging_steps % n == 0)


def train_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: TokenStore,
    validation_set: TokenStore | None,
    arguments: TrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
) -> TrainingResult:
    """Train `model` in place and return what came of it.

    If the arguments' output folder holds a checkpoint of this run, training resumes from it.

    Args:
        model: the base with its head.
        tokenizer: the base's; padded batches need it.
        train_set: to train on.
        validation_set: to evaluate each epoch on, if the arguments say so.
        arguments: the recipe in the Trainer's terms.
        callbacks: the Trainer's, such as `TrainingTables`.

    Raises:
        TrainingError: the loss is not finite at the end.
        StoppedError: a signal ended the run, which is saved.
        ResumeError: the checkpoint that was resumed from is none; it is set aside.
    """
    padded = _why_padded(model, train_set, arguments)
    print(describe_batches(padded))
    collate = DataCollatorWithPadding(tokenizer) if padded else collate_unpadded
    trainer = _make_trainer(model, arguments, train_set, validation_set, collate, callbacks)
    per_epoch = steps_per_epoch(len(train_set), arguments.per_device_train_batch_size)
    keeper = CheckpointKeeper(trainer, per_epoch)
    trainer.add_callback(keeper)
    # Determinism fills new memory, for code that reads it unwritten: none here, and a tenth slower.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    checkpoint = common_checkpoint(
        Path(arguments.output_dir),
        arguments.should_save,
        _last_resumable_step(arguments, per_epoch),
        contents_of(trainer),
    )
    if checkpoint:
        print(f"resuming from {checkpoint.name}, saved when the last attempt was interrupted")
    start = time.perf_counter()
    with ExitStack() as stack:
        if not padded:
            stack.enter_context(without_padding(model))
        if arguments.world_size > 1:
            stack.enter_context(sharing_rows(model))
        stack.enter_context(keeper.stopping_at_signals())
        stack.enter_context(keeper.refusing(checkpoint))
        output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    barrier()  # until each has read the best checkpoint, which goes with the others
    _check_end(keeper.stopped_at, trainer.state.max_steps, output.training_loss, arguments)
    best = trainer.state.best_global_step
    return TrainingResult(
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0),
        best_epoch=best / per_epoch if best else None,
        seconds=keeper.seconds_before + time.perf_counter() - start,
    )


def _why_padded(
    model: PreTrainedModel, train_set: TokenStore, arguments: TrainingArguments
) -> str | None:
    """Why this training needs padded batches; the same for all of its processes."""
    why = why_padded(model)
    if not why:
        dtype = torch.bfloat16 if arguments.bf16 else torch.float16
        rows = [train_set[i] for i in range(min(ROWS, len(train_set)))]
        mixed = arguments.bf16 or arguments.fp16
        model.to(arguments.device)  # where the Trainer puts it next
        why = why_unlike(model, rows, dtype if mixed else torch.float32)
    return next(filter(None, all_gather(why)), None)


def _make_trainer(
    model: PreTrainedModel,
    arguments: TrainingArguments,
    train_set: TokenStore,
    validation_set: TokenStore | None,
    collate: Callable[[Any], Any],
    callbacks: Sequence[TrainerCallback],
) -> Trainer:
    """A Trainer for one process or for several, with a progress bar that prints no losses."""
    distributed = arguments.world_size > 1
    trainer = (WholeBatchTrainer if distributed else Trainer)(
        model=model,
        args=arguments,
        train_dataset=train_set,
        eval_dataset=validation_set,
        data_collator=collate,
        compute_metrics=_accuracy,
        callbacks=[*callbacks, *([PerRankDropout()] if distributed else [])],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(QuietProgress())
    return trainer


def _check_end(
    stopped_at: int | None, max_steps: int, loss: float, arguments: TrainingArguments
) -> None:
    """Raise what `train_classifier` says it raises, if the training did not come to its end."""
    if stopped_at is not None:
        raise StoppedError(
            f"interrupted after step {stopped_at:,} of {max_steps:,}, and "
            "saved; `dvc repro` resumes from there"
        )
    if not math.isfinite(loss):
        raise TrainingError(
            f"the training loss became {loss}; lower train.learning_rate "
            f"({arguments.learning_rate:g}) or set train.precision=fp32"
        )


def _last_resumable_step(arguments: TrainingArguments, per_epoch: int) -> int:
    """The last step from which the Trainer resumes correctly.

    That is not the end of a run that ends within an epoch: the Trainer looks whether it is there
    only after a step, and would take one too many. Such a run, cut off between its last checkpoint
    and its model, resumes from an earlier intact one, or starts again.
    """
    end: int = arguments.max_steps
    if end <= 0:
        end = math.ceil(arguments.num_train_epochs * per_epoch)
    return end - 1 if end % per_epoch else end


def _accuracy(prediction: "EvalPrediction") -> dict[str, float]:
    predicted = np.asarray(prediction.predictions).argmax(axis=-1)
    return {"accuracy": float((predicted == prediction.label_ids).mean())}

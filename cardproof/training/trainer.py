"""Fine-tuning with transformers' Trainer, as the cards did it, with tables to read meanwhile."""

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
    TrainingArguments,
)

from cardproof.errors import CardproofError, StoppedError
from cardproof.model.devices import Device
from cardproof.model.tokens import TokenStore
from cardproof.model.unpadded.batches import UnpaddedRows, collate_packed
from cardproof.model.unpadded.model import describe_batches, why_padded, without_padding
from cardproof.recipe.schema import Train
from cardproof.training.averaging import WeightAverage
from cardproof.training.checkpointing import CheckpointKeeper, common_checkpoint
from cardproof.training.distributed.batches import OwnDropout, WholeBatchTrainer, sharing_rows
from cardproof.training.distributed.launch import ALONE, Process
from cardproof.training.distributed.process_group import wait_for_all
from cardproof.training.layer_rates import layer_wise_optimizer
from cardproof.training.logs import QuietProgress, TrainingTables

if TYPE_CHECKING:
    from transformers import EvalPrediction

CURVE_POINTS_PER_WINDOW = 50  # of the curve, in each window of `logging_steps`


class TrainingError(CardproofError):
    """A training that came to nothing."""


@dataclass(frozen=True)
class Refinements:
    """What no card does.

    Attributes:
        layer_decay: a layer's learning rate over that of the layer above it; None: all alike.
        average_last: share of the steps whose mean weights are kept; None: those of the last step.
    """

    layer_decay: float | None = None
    average_last: float | None = None


AS_THE_CARDS = Refinements()


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
    process: Process = ALONE,
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
        save_strategy="epoch" if train.load_best else "no",  # for its sake; see also `resume`
        save_total_limit=3,  # the best, the newest, and one before it until that is whole
        load_best_model_at_end=train.load_best,
        metric_for_best_model="loss",
        logging_nan_inf_filter=False,  # a loss that is not finite must show
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
        "save_on_each_node": nodes > 1,  # each host goes on from files of its own
    }


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
    tables: TrainingTables,
    refinements: Refinements = AS_THE_CARDS,
) -> TrainingResult:
    """Train `model` in place and return what came of it.

    If the arguments' output folder holds a checkpoint of this run, training goes on from it.

    Args:
        model: the base with its head.
        tokenizer: the base's; padded batches need it.
        train_set: to train on.
        validation_set: to evaluate each epoch on, if the arguments say so.
        arguments: the recipe in the Trainer's terms.
        tables: to fill.
        refinements: what no card does.

    Raises:
        CardproofError: the layers' rates are to differ and the model has no numbered layers.
        TrainingError: the loss is not finite at the end.
        StoppedError: a signal ended the run, which is saved.
    """
    batching = choose_batching(model, tokenizer, arguments)
    print(batching.reason)
    shared = arguments.world_size > 1
    sets = (train_set, validation_set)
    trainer = _make_trainer(model, arguments, batching, sets, tables, refinements)
    # Determinism fills new memory, for code that reads it unwritten: none here, and a tenth slower.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    per_epoch = steps_per_epoch(len(train_set), arguments.per_device_train_batch_size)
    keeper = CheckpointKeeper(trainer, tables, per_epoch)
    trainer.add_callback(keeper)
    checkpoint = common_checkpoint(
        Path(arguments.output_dir), arguments.should_save, _last_to_go_on_from(arguments, per_epoch)
    )
    if checkpoint:
        print(f"going on from {checkpoint.name}, saved when the last attempt was cut off")
    start = time.perf_counter()
    sharing = sharing_rows if shared else nullcontext
    with batching.forward(model), sharing(model), keeper.stopping_at_signals():
        output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    wait_for_all()  # until each has read the best checkpoint, which goes with the others
    _check_end(keeper.stopped_at, trainer.state.max_steps, output.training_loss, arguments)
    best = trainer.state.best_global_step
    return TrainingResult(
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0),
        best_epoch=best / per_epoch if best else None,
        seconds=keeper.seconds_before + time.perf_counter() - start,
    )


def _make_trainer(
    model: PreTrainedModel,
    arguments: TrainingArguments,
    batching: Batching,
    sets: tuple[TokenStore, TokenStore | None],
    tables: TrainingTables,
    refinements: Refinements,
) -> Trainer:
    """A Trainer over the training and the validation set, with the tables and what is refined."""
    train_set, validation_set = sets
    shared, last = arguments.world_size > 1, refinements.average_last
    averages = [WeightAverage(model, last)] if last else []
    trainer = (WholeBatchTrainer if shared else Trainer)(
        model=model,
        args=arguments,
        train_dataset=batching.rows(train_set),
        eval_dataset=batching.rows(validation_set) if validation_set else None,
        data_collator=batching.collate,
        compute_metrics=_accuracy,
        callbacks=[
            tables,
            *([OwnDropout()] if shared else []),
            *averages,
        ],
    )
    if refinements.layer_decay:
        decays = trainer.get_decay_parameter_names(model)
        trainer.optimizer = layer_wise_optimizer(model, arguments, decays, refinements.layer_decay)
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
            "saved; `dvc repro` goes on from there"
        )
    if not math.isfinite(loss):
        raise TrainingError(
            f"the training loss became {loss}; lower train.learning_rate "
            f"({arguments.learning_rate:g}) or set train.precision=fp32"
        )


def _last_to_go_on_from(arguments: TrainingArguments, per_epoch: int) -> int:
    """The last step from which the Trainer goes on rightly.

    That is not the end of a run that ends within an epoch: the Trainer looks whether it is there
    only after a step, and would take one too many. Such a run, cut off between its last checkpoint
    and its model, goes on from an earlier one that is whole, or starts again.
    """
    end: int = arguments.max_steps
    if end <= 0:
        end = math.ceil(arguments.num_train_epochs * per_epoch)
    return end - 1 if end % per_epoch else end


def _accuracy(prediction: "EvalPrediction") -> dict[str, float]:
    predicted = np.asarray(prediction.predictions).argmax(axis=-1)
    return {"accuracy": float((predicted == prediction.label_ids).mean())}

"""What a training measurement does in its own process: some steps of one variant, each timed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from cardproof.model.devices import choose_device, keep_freed_memory
from cardproof.model.loading import load_tokenizer, quiet_transformers
from cardproof.model.tokens import TokenStore, open_tokens
from cardproof.recipe.schema import Train
from cardproof.training import checkpointing as resume
from cardproof.training.logs import TrainingTables
from cardproof.training.trainer import train_classifier, training_arguments
from dev.benchmarks.inputs import ROOT
from dev.benchmarks.models import random_classifier


@dataclass(frozen=True)
class Settings:
    """What all variants of a training measurement share.

    Attributes:
        store: a token store of as many reviews as the steps take.
        word_pieces: a folder with the tokenizer.
        batch_size: reviews a step.
        max_length: tokens that "pad to max length" pads to.
        sizes: of the model, where not DistilBERT's own.
    """

    store: str
    word_pieces: str
    batch_size: int
    max_length: int
    sizes: dict[str, int]


def time_training(
    variant: str, precision: str, settings: dict[str, Any]
) -> dict[str, Any]:  # a task of `runner`
    """Train over the store once.

    Args:
        variant: "trainer" (dynamic padding), "padded" (to the longest allowed) or "ours".
        precision: "fp32" or "bf16".
        settings: of `Settings`.

    Returns:
        `seconds` of each step but the first, the loading of its batch included; `lengths` of the
        reviews in the order they were trained on; `device`, `precision`, `threads`.
    """
    shared = Settings(**settings)
    timer = StepTimer()
    run = {"trainer": _as_users_do, "padded": _as_users_do, "ours": _as_we_do}[variant]
    lengths, device = run(variant, precision, shared, timer)
    return {
        "seconds": timer.seconds(),
        "lengths": lengths,
        "device": device,
        "threads": torch.get_num_threads(),
        "gpu_mib": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0,
    }


class StepTimer:
    """Notes when each step ends: from one end to the next is a step, all its parts included."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def note(self) -> None:
        """A step has ended; on a GPU, once its work is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Of the second step and all later ones."""
        return np.diff(self._ends).tolist()


def _as_users_do(
    variant: str, precision: str, settings: Settings, timer: StepTimer
) -> tuple[list[int], str]:
    """transformers' Trainer as its own examples write it: all defaults, but for saving."""
    from datasets import Dataset

    tokenizer = load_tokenizer(Path(settings.word_pieces))
    store = open_tokens(Path(settings.store))
    padded = settings.max_length if variant == "padded" else 0
    collate = _Noting(default_data_collator if padded else DataCollatorWithPadding(tokenizer))
    arguments = TrainingArguments(
        output_dir="checkpoints",
        learning_rate=2e-5,
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),  # without a GPU the Trainer wants this for bf16
        save_strategy="no",
        report_to="none",
    )
    trainer = Trainer(
        model=random_classifier(settings.sizes),
        args=arguments,
        train_dataset=Dataset.from_dict(_columns(store, padded, tokenizer.pad_token_id)),
        data_collator=collate,
        callbacks=[_TimingCallback(timer)],
    )
    trainer.train()
    return collate.lengths, arguments.device.type


def _columns(store: TokenStore, padded: int, pad_id: int) -> dict[str, list[Any]]:
    """The columns that a tokenizer makes, padded to `padded` tokens unless that is 0."""
    rows = [store.row(i).tolist() for i in range(len(store))]
    missing = [max(padded - len(row), 0) for row in rows]
    return {
        "input_ids": [r + [pad_id] * m for r, m in zip(rows, missing, strict=True)],
        "attention_mask": [[1] * len(r) + [0] * m for r, m in zip(rows, missing, strict=True)],
        "labels": store.labels.tolist(),
    }


class _Noting:
    """A collator that notes the lengths of the rows that pass through it."""

    def __init__(self, collate: Callable[[Sequence[dict[str, Any]]], Any]) -> None:
        self.lengths: list[int] = []
        self._collate = collate

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Any:
        self.lengths += [sum(row["attention_mask"]) for row in rows]
        return self._collate(rows)


class _TimingCallback(TrainerCallback):  # type: ignore[misc]
    def __init__(self, timer: StepTimer) -> None:
        self._timer = timer

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._timer.note()


def _as_we_do(
    variant: str, precision: str, settings: Settings, timer: StepTimer
) -> tuple[list[int], str]:
    """What the train stage does."""
    keep_freed_memory()
    quiet_transformers()
    train = grojeda(precision=precision, batch_size=settings.batch_size)
    return train_as_stage(train, settings, timer.note)


def train_as_stage(
    train: Train, settings: Settings, after_step: Callable[[], None]
) -> tuple[list[int], str]:
    """Train with cardproof over the store once; lengths of the rows in order, and the device."""
    # Saving would fall into some steps and not into others: left out here as in the others.
    resume.FIRST_SAVE = float("inf")
    device = choose_device(train.precision)
    store = NotingStore(**vars(open_tokens(Path(settings.store))))
    arguments = training_arguments(
        train, settings.batch_size, device, validates=False, checkpoints=Path("checkpoints")
    )
    tables = _TimingTables(after_step, train.logging_steps)
    model = random_classifier(settings.sizes)
    tokenizer = load_tokenizer(Path(settings.word_pieces))
    train_classifier(model, tokenizer, store, None, arguments, [tables])
    return store.noted, device.name


def grojeda(**changes: Any) -> Train:
    """The recipe of the card `grojeda`, one epoch long and without validation, with changes."""
    return card_recipe("grojeda", **{"epochs": 1, "load_best": False, **changes})


def card_recipe(card: str, **changes: Any) -> Train:
    """The training recipe of a card of params.yaml, with changes."""
    from ruamel.yaml import YAML

    loaded = YAML(typ="safe").load(ROOT / "params.yaml")
    return Train.model_validate({**loaded["cards"][card]["train"], **changes})


@dataclass(frozen=True)
class NotingStore(TokenStore):
    """A token store that notes the lengths of the rows taken out of it."""

    noted: list[int] = field(default_factory=list)

    def row(self, index: int) -> NDArray[np.unsignedinteger[Any]]:
        """The ids of a review."""
        ids = super().row(index)
        self.noted.append(len(ids))
        return ids


class _TimingTables(TrainingTables):
    def __init__(self, after_step: Callable[[], None], logging_steps: int) -> None:
        super().__init__(Path("curve.csv"), Path("epochs.csv"), logging_steps, 1)
        self._after_step = after_step

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._after_step()

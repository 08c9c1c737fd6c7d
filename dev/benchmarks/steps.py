"""The work of a training measurement, in a process of its own: some steps, or bare products."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional
from transformers import DataCollatorWithPadding, DistilBertConfig, Trainer, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from cardproof.model.devices import choose_device, keep_freed_memory
from cardproof.model.loading import load_tokenizer, quiet_transformers
from cardproof.model.tokens import open_tokens
from cardproof.recipe.environment import SAVE_VARIABLE
from cardproof.recipe.load import load_recipe
from cardproof.training.trainer import train_classifier, training_arguments
from dev.benchmarks.bench import random_classifier
from dev.repository import ROOT

SPEEDS = ("forward_gflops", "training_gflops")  # of `time_products`


@dataclass(frozen=True)
class Steps:
    """When each step ended, in seconds, and the tokens of each review in the order of training."""

    ends: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


def time_steps(variant: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Train over a token store once.

    Args:
        variant: "trainer" (dynamic padding), "padded" (to the longest allowed) or "ours", with the
            precision: "ours_bf16".
        job: what all variants share: `store`, `tokenizer` (folders), `batch` (reviews a step),
            `max_length` (tokens) and `sizes` (of the model).

    Returns:
        `seconds` of each step but the first, from the end of the one before to its own: loading,
        forward, backward, clipping, optimizer; `lengths`, `threads` and `device`.
    """
    how, _, precision = variant.partition("_")
    with watched_steps() as steps:
        if how == "ours":
            train_as_stage(precision, job)
        else:
            _train_as_users_do(precision, job, padded=how == "padded")
    return {
        "seconds": np.diff(steps.ends).tolist(),
        "lengths": steps.lengths,
        "threads": torch.get_num_threads(),
        "device": choose_device("fp32").name,
    }


@contextmanager
def watched_steps(after_step: Callable[[], None] = lambda: None) -> Iterator[Steps]:
    """Note the steps of any Trainer: of transformers as it is, and of ours, which uses it."""
    steps = Steps()
    plain_step, plain_end = Trainer.training_step, CallbackHandler.on_step_end

    def step(self: Any, model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
        steps.lengths.extend(_lengths_of(inputs))
        return plain_step(self, model, inputs, *rest)

    def end(self: Any, *given: Any) -> Any:
        after_step()
        steps.ends.append(_now())
        return plain_end(self, *given)

    with (
        patch.object(Trainer, "training_step", step),
        patch.object(CallbackHandler, "on_step_end", end),
    ):
        yield steps


def _lengths_of(batch: dict[str, Any]) -> list[int]:
    """Tokens of each review in a batch, padded or laid end to end."""
    if "attention_mask" in batch:
        return [int(n) for n in batch["attention_mask"].sum(1)]
    starts = np.flatnonzero(batch["position_ids"].cpu().numpy() == 0)
    return [int(n) for n in np.diff([*starts, len(batch["position_ids"])])]


def _train_as_users_do(precision: str, job: Mapping[str, Any], padded: bool) -> None:
    """transformers' Trainer as its own examples write it: all defaults, but for saving."""
    tokenizer = load_tokenizer(Path(job["tokenizer"]))
    store = open_tokens(Path(job["store"]))
    encoded = tokenizer.pad(
        {"input_ids": [store.row(i).tolist() for i in range(len(store))]},
        padding="max_length" if padded else False,
        max_length=job["max_length"],
    )
    Trainer(
        model=random_classifier(job["sizes"]),
        args=TrainingArguments(
            output_dir="checkpoints",
            learning_rate=2e-5,
            per_device_train_batch_size=job["batch"],
            num_train_epochs=1,
            bf16=precision == "bf16",
            use_cpu=not torch.cuda.is_available(),  # without a GPU the Trainer wants this for bf16
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=Dataset.from_dict({**encoded, "labels": store.labels.tolist()}),
        data_collator=DataCollatorWithPadding(tokenizer),
    ).train()


def train_as_stage(precision: str, job: Mapping[str, Any]) -> None:
    """Train as the train stage does."""
    keep_freed_memory()
    quiet_transformers()
    # Saving would fall into some steps and not into others: left out here as in the others.
    os.environ[SAVE_VARIABLE] = "inf"
    train = load_recipe(ROOT).train.model_copy(
        update={"precision": precision, "batch_size": job["batch"], "epochs": 1, "max_steps": -1,
                "load_best": False, "seed": 42}
    )  # fmt: skip
    device = choose_device(train.precision)
    arguments = training_arguments(
        train, job["batch"], device, validates=False, checkpoints=Path("checkpoints")
    )
    model, tokenizer = random_classifier(job["sizes"]), load_tokenizer(Path(job["tokenizer"]))
    train_classifier(model, tokenizer, open_tokens(Path(job["store"])), None, arguments)


def time_products(
    precision: str, tokens: int, sizes: Mapping[str, int], seconds: float
) -> dict[str, float]:
    """The bare matrix products of an encoder layer, and nothing else.

    Args:
        precision: "fp32" or "bf16".
        tokens: rows of the products.
        sizes: of the model.
        seconds: to spend on each product.

    Returns:
        `SPEEDS`: of the forward products of a layer, weighted as they occur in it; and of those
        with the two backward products of each.
    """
    keep_freed_memory()
    make = partial(torch.randn, device=choose_device("fp32").name,
                   dtype=torch.bfloat16 if precision == "bf16" else torch.float32)  # fmt: skip
    config = DistilBertConfig(**sizes)
    width, hidden = config.dim, config.hidden_dim
    forward = backward = flops = 0.0
    for inputs, outputs, times in ((width, width, 4), (width, hidden, 1), (hidden, width, 1)):
        x, g, w = make(tokens, inputs), make(tokens, outputs), make(outputs, inputs)
        flops += times * 2 * tokens * inputs * outputs
        forward += times * _median_time(partial(functional.linear, x, w), seconds)
        backward += times * _median_time(partial(torch.matmul, g, w), seconds)
        backward += times * _median_time(partial(torch.matmul, g.T, x), seconds)
    speeds = (flops / forward / 1e9, 3 * flops / (forward + backward) / 1e9)
    return dict(zip(SPEEDS, speeds, strict=True))


def _median_time(work: Callable[[], object], seconds: float) -> float:
    """The median time of a call, of as many as go into `seconds` after a warm-up, at least 3."""
    taken: list[float] = []
    work()
    while len(taken) < 3 or sum(taken) < seconds:
        start = _now()
        work()
        taken.append(_now() - start)
    return statistics.median(taken)


def _now() -> float:
    """Seconds on a clock; on a GPU, once its work is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()

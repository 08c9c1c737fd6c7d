"""The Trainer's list of hyperparameters, line by line, as keys of a card's file."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from cardproof.audit.numbers import read_number
from cardproof.draft.document import shown
from cardproof.draft.parts import Part, Reasoned

SCHEDULERS = ("linear", "cosine", "constant", "constant_with_warmup")
_NUMBER = r"(\d[\d.]{0,15}(?:[eE][-+]?\d{1,3})?)"
_BETAS = re.compile(rf"\bbetas\W{{1,4}}{_NUMBER}, ?{_NUMBER}", re.I)
_EPSILON = re.compile(rf"\bepsilon\W{{1,4}}{_NUMBER}", re.I)
# Optimizers that share Adam's settings but not its arithmetic, by a part of their name.
_OTHER_ADAM = re.compile(r"8bit|paged|mini|adamax|nadam|radam|AdamWeightDecay", re.I)
# Lines that say nothing without others.
_READ_TOGETHER = (
    "distributed_type", "num_devices", "gradient_accumulation_steps", "total_train_batch_size",
    "total_eval_batch_size", "lr_scheduler_warmup_ratio",
)  # fmt: skip


def read_list(items: Mapping[str, str]) -> Part:
    """What the Trainer's list says.

    Args:
        items: its lines by name, e.g. {"learning_rate": "2e-05"}.
    """
    stated: dict[str, Any] = {}
    unplaced: list[str] = []
    for name, value in items.items():
        if name in _READ_TOGETHER:
            continue
        found = _optimizer(value) if name == "optimizer" else _line(name, value)
        stated |= found
        if not found:
            unplaced.append(f"{shown(f'{name}: {value}')}: no key of a card takes it")
        elif name == "optimizer" and (_OTHER_ADAM.search(value) or "adam" not in value.lower()):
            unplaced.append(f"{shown(f'{name}: {value}')}: it is trained with AdamW here")
    batch = _batch(items, "train_batch_size", "train.batch_size")
    batch = {**batch, **_batch(items, "eval_batch_size", "evaluate.batch_size")}
    for key, why in batch.items():
        if why.value != stated.get(key):
            stated.pop(key, None)
    return Part(stated, {k: why for k, why in batch.items() if k not in stated}, {}, (*unplaced,))


def _batch(items: Mapping[str, str], name: str, key: str) -> dict[str, Reasoned]:
    """The rows of all devices and of all accumulated passes, where the list has such lines."""
    total, one = _whole(items.get(f"total_{name}", "")), _whole(items.get(name, ""))
    devices = _whole(items.get("num_devices", "")) or 1
    accumulated = _whole(items.get("gradient_accumulation_steps", "")) or 1
    passes = accumulated if name == "train_batch_size" else 1
    total = total or (one * devices * passes if one else None)
    if not total or not one or total == one:
        return {}
    product = f"{one} rows x {devices} devices" if devices > 1 else f"{one} rows"
    product += f" x {passes} accumulated passes" if passes > 1 else ""
    return {key: Reasoned(total, f"{product} = {total} rows a step")}


def _number(text: str) -> float | None:
    printed = read_number(text)
    return printed.figure.value if printed else None


def _whole(text: str) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value == int(value) else None


def _line(name: str, text: str) -> dict[str, Any]:
    """The key and the value of a line; nothing where no key takes it."""
    value = _READ.get(name, _whole)(text) if name in _OF_A_LINE else None
    return {} if value is None else {_OF_A_LINE[name]: value}


def _optimizer(text: str) -> dict[str, Any]:
    """Betas and epsilon of `Adam with betas=(0.9,0.999) and epsilon=1e-08`."""
    betas, epsilon = _BETAS.search(text), _EPSILON.search(text)
    found: dict[str, Any] = {}
    if betas:
        found["train.betas"] = [_number(betas[1]), _number(betas[2])]
    if epsilon:
        found["train.epsilon"] = _number(epsilon[1])
    return {key: value for key, value in found.items() if value and value != [None, None]}


def _precision(text: str) -> str | None:
    """The Trainer writes this line for fp16, not for bf16 (transformers/modelcard.py)."""
    return "fp16" if re.match(r"native amp|apex", text, re.I) else None


_OF_A_LINE = {
    "learning_rate": "train.learning_rate",
    "train_batch_size": "train.batch_size",
    "eval_batch_size": "evaluate.batch_size",
    "seed": "train.seed",
    "lr_scheduler_type": "train.scheduler",
    "lr_scheduler_warmup_steps": "train.warmup_steps",
    "num_epochs": "train.epochs",
    "training_steps": "train.max_steps",
    "mixed_precision_training": "train.precision",
}
_READ: dict[str, Callable[[str], Any]] = {
    "learning_rate": _number,
    "lr_scheduler_type": lambda text: text.lower() if text.lower() in SCHEDULERS else None,
    "num_epochs": _number,
    "mixed_precision_training": _precision,
}


def keys_of_lines(items: Mapping[str, str]) -> set[str]:
    """The keys that the list has lines for, read or not: no prose is to be taken for them."""
    return {_OF_A_LINE[name] for name in items if name in _OF_A_LINE}

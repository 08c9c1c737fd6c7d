"""The Trainer's list of hyperparameters, line by line, as keys of a card's file."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from cardproof.draft.document import number, shown, whole_number
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
    stated = {key: value for key, value in stated.items() if key not in batch}
    return Part(stated, batch, {}, tuple(unplaced))


def _batch(items: Mapping[str, str], name: str, key: str) -> dict[str, Reasoned]:
    """The rows of all devices and of all accumulated passes, where the list has such lines."""
    total, one = whole_number(items.get(f"total_{name}", "")), whole_number(items.get(name, ""))
    devices = whole_number(items.get("num_devices", "")) or 1
    accumulated = whole_number(items.get("gradient_accumulation_steps", "")) or 1
    passes = accumulated if name == "train_batch_size" else 1
    product = (one or 0) * devices * passes
    total = total or product
    if not total or total == one:
        return {}
    parts = f"{one} rows x {devices} devices" if devices > 1 else f"{one} rows"
    parts += f" x {passes} accumulated passes" if passes > 1 else ""
    stated = f"{parts} = {total} rows a step" if total == product else f"total_{name}: {total}"
    return {key: Reasoned(total, stated)}


def _line(name: str, text: str) -> dict[str, Any]:
    """The key and the value of a line; nothing where no key takes it."""
    value = _READ.get(name, whole_number)(text) if name in _OF_A_LINE else None
    return {} if value is None else {_OF_A_LINE[name]: value}


def _optimizer(text: str) -> dict[str, Any]:
    """Betas and epsilon of `Adam with betas=(0.9,0.999) and epsilon=1e-08`."""
    betas, epsilon = _BETAS.search(text), _EPSILON.search(text)
    found: dict[str, Any] = {}
    if betas:
        found["train.betas"] = [number(betas[1]), number(betas[2])]
    if epsilon:
        found["train.epsilon"] = number(epsilon[1])
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
    "learning_rate": number,
    "lr_scheduler_type": lambda text: text.lower() if text.lower() in SCHEDULERS else None,
    "num_epochs": number,
    "mixed_precision_training": _precision,
}


def keys_of_lines(items: Mapping[str, str]) -> set[str]:
    """The keys that the list has lines for, read or not: no prose is to be taken for them."""
    return {_OF_A_LINE[name] for name in items if name in _OF_A_LINE}

"""Which checkpoint a run can resume from: the newest that is whole and that can be loaded."""

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel
from safetensors import safe_open
from transformers import Trainer
from transformers.trainer_pt_utils import safe_globals

from cardproof.files import CHECKSUMS, sha256_of
from cardproof.training.distributed.process_group import all_gather

EXTRA = "cardproof.json"  # what the Trainer does not keep


class Contents(NamedTuple):
    """What a run's checkpoints hold."""

    weights: Mapping[str, torch.Tensor]  # by name; their values do not count
    moments: Sequence[torch.Size]  # of the optimizer, in its order


def contents_of(trainer: Trainer) -> Contents:
    """What the checkpoints of a training hold."""
    model = trainer.model
    decayed = set(trainer.get_decay_parameter_names(model))
    # The Trainer's optimizer has two groups: with weight decay, and without.
    trained = sorted(model.named_parameters(), key=lambda named: named[0] not in decayed)
    return Contents(model.state_dict(), [p.shape for _, p in trained if p.requires_grad])


def common_checkpoint(
    folder: Path, saves: bool, newest: int = sys.maxsize, contents: Contents | None = None
) -> Path | None:
    """The newest checkpoint that is intact on every host.

    Args:
        folder: this host's checkpoints.
        saves: whether this is the process that writes them; the others take its word.
        newest: the last step that counts.
        contents: as of `last_intact_checkpoint`.
    """
    while True:
        found = last_intact_checkpoint(folder, newest, contents) if saves else None
        steps = all_gather((step_of(found) if found else 0) if saves else None)
        distinct = {step for step in steps if step is not None}
        newest = min(distinct)
        if len(distinct) == 1:
            return folder / f"checkpoint-{newest}" if newest else None


def last_intact_checkpoint(
    folder: Path, newest: int = sys.maxsize, contents: Contents | None = None
) -> Path | None:
    """The newest checkpoint that is whole and can be loaded; others are named and set aside.

    Those set aside stay beside it, as `refused-checkpoint-N`, until the run needs none of them.

    Args:
        folder: where they lie.
        newest: the last step that counts.
        contents: what they must hold; None compares no sizes.
    """
    found = sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True)
    found = [path for path in found if step_of(path) <= newest]
    damaged = {path: why for path in found if (why := _damage(path, contents))}
    for path, why in damaged.items():
        print(set_aside(path, why))
    for path in found:
        if path in damaged:
            continue
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        best = state.get("best_model_checkpoint")
        if best is None or Path(best).is_dir():
            return path
        print(f"{path.name} cannot be used: the best checkpoint before it is gone")
    return None


def step_of(checkpoint: Path) -> int:
    """The number at the end of a checkpoint's name; -1 if there is none."""
    number = re.search(r"\d+$", checkpoint.name)
    return int(number[0]) if number else -1


def set_aside(checkpoint: Path, why: str) -> str:
    """Rename a checkpoint so that no run takes it for one; what to print."""
    aside = checkpoint.with_name(f"refused-{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.rename(aside)
    return f"{checkpoint.name} cannot be used: {why}; it is set aside as {aside}"


def _damage(checkpoint: Path, contents: Contents | None) -> str:
    """What is wrong with a checkpoint; empty if nothing is."""
    try:
        checksums = json.loads((checkpoint / CHECKSUMS).read_text(encoding="utf-8"))
        for name, expected in checksums.items():
            if sha256_of(checkpoint / name) != expected:
                return f"{name} does not have its checksum"
    except (OSError, ValueError, AttributeError) as error:
        return f"it is incomplete ({error})"
    if missing := _NEEDED - checksums.keys():
        return f"it is incomplete (no {', '.join(sorted(missing))})"
    return _unloadable(checkpoint, contents)


def _unloadable(checkpoint: Path, contents: Contents | None) -> str:
    """Which file the Trainer would fail at; empty if none. Nothing that a file asks for is run.

    Whoever can write to a checkpoint can write its checksums, too.
    """
    for pattern, load in _LOADERS.items():
        for path in sorted(checkpoint.glob(pattern)):
            try:
                load(path, contents)
            except Exception as error:  # torch, safetensors, json: whatever they meet in it
                return f"{path.name} cannot be loaded ({in_a_line(error)})"
    return ""


def in_a_line(error: Exception) -> str:
    """An error's type and the first line of its message, at most 200 characters of it."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


def _load_tensors(path: Path, _: Contents | None, keys: Sequence[str] = ()) -> Any:
    """Read what torch saved, by its reader that makes tensors and plain values only."""
    with safe_globals():  # of NumPy, for random states: what the Trainer allows
        found = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f"it has no {', '.join(missing)}")
    return found


def _load_weights(path: Path, contents: Contents | None) -> None:
    with safe_open(path, framework="pt") as weights:
        names = set(weights.keys())
        for name in names:
            _check_finite(name, weights.get_tensor(name))
        shared: dict[int, set[str]] = {}  # a tensor that two names have is saved by one of them
        for name, tensor in (contents.weights if contents else {}).items():
            shared.setdefault(tensor.data_ptr(), set()).add(name)
            if name in names:
                _check_size(name, weights.get_slice(name).get_shape(), tensor.shape)
    if missing := [min(alike) for alike in shared.values() if not alike & names]:
        raise ValueError(f"it has no {missing[0]}")


def _load_optimizer(path: Path, contents: Contents | None) -> None:
    found = _load_tensors(path, contents, keys=("state", "param_groups"))
    for number, state in found["state"].items():
        for name, tensor in state.items():
            _check_finite(f"{name} of parameter {number}", torch.as_tensor(tensor))
            if contents and name != "step":
                _check_size(f"{name} of parameter {number}", tensor.shape, contents.moments[number])


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    if not tensor.isfinite().all():
        raise ValueError(f"{name} has a number that is not finite")


def _check_size(name: str, found: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(found) != tuple(expected):
        raise ValueError(f"{name} has the size {tuple(found)}, the model's is {tuple(expected)}")


def _load_extra(path: Path, _: Contents | None) -> None:
    extra = json.loads(path.read_text(encoding="utf-8"))
    numbers = [extra["seconds"], extra["last_logged_step"], *extra["losses_since_log"]]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("it has a number that is not finite")


class _State(BaseModel, strict=True):
    """What is read of a `TrainerState` after a resumption."""

    global_step: int
    epoch: float
    log_history: list[dict[str, float]]
    best_metric: float | None
    best_global_step: int | None
    best_model_checkpoint: str | None
    stateful_callbacks: dict[str, dict[str, Any]]


def _load_state(path: Path, _: Contents | None) -> None:
    state = _State.model_validate_json(path.read_bytes())
    if state.global_step != step_of(path.parent):
        raise ValueError(f"it is of step {state.global_step}")


# What the Trainer and `CheckpointKeeper` read when they resume, and how.
_LOADERS: dict[str, Callable[[Path, Contents | None], object]] = {
    "trainer_state.json": _load_state,
    EXTRA: _load_extra,
    "model.safetensors": _load_weights,
    "optimizer.pt": _load_optimizer,
    "scheduler.pt": partial(_load_tensors, keys=("last_epoch",)),
    "scaler.pt": _load_tensors,
    "rng_state*.pth": partial(_load_tensors, keys=("python", "numpy", "cpu")),
}
_NEEDED = {name for name in _LOADERS if "*" not in name} - {"scaler.pt"}

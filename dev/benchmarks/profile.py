"""Where the time of a training step goes, by groups of operators."""

import importlib
import inspect
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from cardproof.model.unpadded import attention, dropout, residual
from dev.benchmarks.steps import train_as_stage, watched_steps

MASKS = "dropout masks"
# By module of cardproof.model.unpadded: all that its autograd functions spend.
MODULES = {"attention": "attention", "dropout": MASKS, "residual": "layer norm and residual"}
OPERATORS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "linear", "mkldnn_linear", "matmul"),
    "attention": ("scaled_dot_product_attention", "_softmax", "_softmax_backward_data"),
    MASKS: ("native_dropout", "native_dropout_backward", "bernoulli_", "dropout"),
    "layer norm and residual": ("native_layer_norm", "native_layer_norm_backward"),
    "GELU": ("gelu", "gelu_backward"),
}
GROUPS = (*OPERATORS, "optimizer", "other operators", "outside operators")


def profile_steps(job: Mapping[str, Any]) -> dict[str, float]:
    """The time of our training steps in bf16 by group, the first step left out.

    Returns:
        `step_seconds`, and the share of each of `GROUPS`. The profiler itself takes time, most of
        it on small operators.
    """
    profiler: Any = profile(activities=[ProfilerActivity.CPU])

    def after_step() -> None:
        if not steps.ends:
            profiler.start()

    _mark_masks()
    with watched_steps(after_step) as steps:
        train_as_stage("bf16", job)
    profiler.stop()
    spent: dict[str, float] = defaultdict(float)
    groups = own_functions()
    for event in profiler.events():
        if "ProfilerStep" not in event.name:
            spent[_group(event, groups)] += event.self_cpu_time_total / 1e6
    wall = steps.ends[-1] - steps.ends[0]
    spent["outside operators"] = max(0.0, wall - sum(spent.values()))
    total = sum(spent.values())
    return {
        "step_seconds": total / (len(steps.ends) - 1),
        **{group: spent[group] / total for group in GROUPS},
    }


def _mark_masks() -> None:
    """Let the profiler see what draws masks: much of it is NumPy, which it does not know."""
    mark = record_function(MASKS)
    for owner, names in (
        (dropout.MaskBits, ("lanes",)),
        (dropout.Dropout, ("keep_mask", "sign_mask")),
        *((module, ("apply_mask", "apply_signs_")) for module in (attention, dropout, residual)),
    ):
        for name in names:
            if hasattr(owner, name):
                setattr(owner, name, mark(getattr(owner, name)))


def own_functions() -> dict[str, str]:
    """The groups of cardproof's autograd functions, by the names that the profiler gives them."""
    found = {MASKS: MASKS}
    for module_name, group in MODULES.items():
        module = importlib.import_module(f"cardproof.model.unpadded.{module_name}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, torch.autograd.Function) and kind.__module__ == module.__name__:
                found |= {name: group, f"{name}Backward": group}
    return found


def _group(event: Any, own: dict[str, str]) -> str:
    """The innermost part of the model, or the optimizer, that an event is in; or its operator."""
    names = []
    while event is not None:
        names.append(event.name)
        event = event.cpu_parent
    for name in names:
        if name in own:
            return own[name]
        if name.startswith("Optimizer.step"):
            return "optimizer"
    for name in names:
        for group, operators in OPERATORS.items():
            if name.rpartition("::")[2] in operators:
                return group
    return "other operators"

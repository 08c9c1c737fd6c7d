"""What the measurements of matrix products and the profile do in their own processes."""

import importlib
import inspect
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile, record_function

from cardproof.model.devices import keep_freed_memory
from cardproof.model.loading import quiet_transformers
from dev.benchmarks.models import shape_of
from dev.benchmarks.training_work import Settings, grojeda, train_as_stage

MASKS = "bench: dropout masks"

# By module of cardproof.model.unpadded: whatever its autograd functions spend.
MODULE_GROUPS = {
    "attention": "attention",
    "dropout": "dropout masks",
    "residual": "layer norm and residual",
}
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "mkldnn_linear", "matmul")
NAMES = {
    "layer norm and residual": ("native_layer_norm", "native_layer_norm_backward"),
    "GELU": ("gelu", "gelu_backward"),
    "attention": ("scaled_dot_product_attention", "_softmax", "_softmax_backward_data"),
    "dropout masks": ("native_dropout", "native_dropout_backward", "bernoulli_", "dropout"),
}
GROUPS = ("matrix products", "attention", "dropout masks", "layer norm and residual", "GELU",
          "optimizer", "other operators", "outside operators")  # fmt: skip


def time_products(
    precision: str, tokens: int, sizes: dict[str, int], seconds: float
) -> dict[str, Any]:
    """The matrix products of an encoder layer on `tokens` tokens, alone.

    Args:
        precision: "fp32" or "bf16".
        tokens: rows of the products.
        sizes: of the model.
        seconds: to spend on each product.

    Returns:
        `forward`: GFLOP/s of the forward products of a layer, weighted as they occur in it;
        `training`: of those and the two backward products of each.
    """
    keep_freed_memory()
    shape = shape_of(sizes)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    square, wide, narrow = (
        (shape.width, shape.width), (shape.width, shape.hidden), (shape.hidden, shape.width),
    )  # fmt: skip
    forward = backward = flops = 0.0
    for (inputs, outputs), times in ((square, 4), (wide, 1), (narrow, 1)):
        x, g = torch.randn(tokens, inputs, dtype=dtype), torch.randn(tokens, outputs, dtype=dtype)
        w = torch.randn(outputs, inputs, dtype=dtype)
        flops += times * 2 * tokens * inputs * outputs
        forward += times * _once(partial(functional.linear, x, w), seconds)
        backward += times * _once(partial(torch.matmul, g, w), seconds)
        backward += times * _once(partial(torch.matmul, g.T, x), seconds)
    return {
        "forward": flops / forward / 1e9,
        "training": 3 * flops / (forward + backward) / 1e9,
        "threads": torch.get_num_threads(),
    }


def _once(work: Callable[[], object], seconds: float) -> float:
    """The median time of a call, of as many as go into `seconds` after a warm-up, at least 3."""
    work()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]


def profile_training(precision: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Where the time of our training steps goes, the first step left out.

    Returns:
        Seconds of each of `GROUPS`, which add up to the steps' wall time; and `steps`. The
        profiler itself takes time, most of it on small operators.
    """
    keep_freed_memory()
    quiet_transformers()
    _mark_masks()
    profiler = profile(activities=[ProfilerActivity.CPU])
    ends: list[float] = []

    def after_step() -> None:
        if not ends:
            profiler.start()
        ends.append(time.perf_counter())

    shared = Settings(**settings)
    train = grojeda(precision=precision, batch_size=shared.batch_size)
    train_as_stage(train, shared, after_step)
    profiler.stop()
    spent = _spent_by_group(profiler, own_functions())
    spent["outside operators"] = max(0.0, ends[-1] - ends[0] - sum(spent.values()))
    return {"seconds": {g: spent.get(g, 0.0) for g in GROUPS}, "steps": len(ends) - 1}


def _mark_masks() -> None:
    """Let the profiler see what draws masks: much of it is NumPy, which it does not know."""
    from cardproof.model.unpadded import dropout

    for kind in (dropout.MaskBits, dropout.Dropout):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("__"):
                setattr(kind, name, record_function(MASKS)(method))
    for name, module in list(sys.modules.items()):
        if name.startswith("cardproof.model.unpadded."):
            for key, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == dropout.__name__ and key.startswith("apply_"):
                    setattr(module, key, record_function(MASKS)(function))


def own_functions() -> dict[str, str]:
    """The groups of cardproof's autograd functions, by the names that the profiler gives them."""
    found = {MASKS: "dropout masks"}
    for module_name, group in MODULE_GROUPS.items():
        module = importlib.import_module(f"cardproof.model.unpadded.{module_name}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, torch.autograd.Function) and kind.__module__ == module.__name__:
                found |= {name: group, f"{name}Backward": group}
    return found


def _spent_by_group(profiler: Any, own: dict[str, str]) -> dict[str, float]:
    """Seconds of each group: an operator's own time goes to the innermost group it stands in."""
    spent: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        if "ProfilerStep" not in event.name:
            spent[_group(event, own)] += event.self_cpu_time_total / 1e6
    return spent


def _group(event: Any, own: dict[str, str]) -> str:
    """Masks before all, then the part of the model or the optimizer, then the operator's name."""
    parents = []
    parent = event
    while parent is not None:
        parents.append(parent.name)
        parent = parent.cpu_parent
    for name in parents:
        if name in own:
            return own[name]
        if name.startswith("Optimizer.step"):
            return "optimizer"
    for name in parents:
        operator = name.rpartition("::")[2]
        if operator in PRODUCTS:
            return "matrix products"
        for group, names in NAMES.items():
            if operator in names:
                return group
    return "other operators"

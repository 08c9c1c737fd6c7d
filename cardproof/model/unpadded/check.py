"""Whether the forward pass without padding computes what the library's own does, here and now.

It was written against one version of transformers and run on CPUs: on another version, or on a GPU,
a few rows are computed both ways before a run relies on it.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from cardproof.model.unpadded.batches import collate_unpadded, pad_rows
from cardproof.model.unpadded.model import without_padding

ROWS = 4  # compared
# Relative error, in the 2-norm, of the logits and of all gradients together. Measured on CPUs: at
# most 2e-6 in fp32 and 0.07 in bf16. Scores of attention scaled wrongly by a tenth are off by 0.003
# and more, rows that see each other by 0.03: fp32 tells both, and is always compared.
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.2}

Row = Mapping[str, Any]  # input_ids, shape (tokens,), and labels, a number


def why_unlike(
    model: PreTrainedModel,
    rows: Sequence[Row],
    dtype: torch.dtype = torch.float32,
    *,
    gradients: bool = True,
) -> str | None:
    """What differs without padding from the padded model, or None if nothing does.

    Neither the model's parameters, its mode nor the state of torch's generators change.

    Args:
        model: on the device to check.
        rows: of a `TokenStore`; the first `ROWS` count.
        dtype: what the run computes products in, by autocast unless it is fp32.
        gradients: whether to compare gradients, too, and to run dropout.
    """
    training, rows = model.training, rows[:ROWS]
    try:
        found = (
            _difference(model, rows, t, gradients) for t in dict.fromkeys((torch.float32, dtype))
        )
        return next(filter(None, found), None)
    except Exception as error:  # of a kernel or a part that is another one here: whatever it raises
        return f"without padding it fails here: {type(error).__name__}: {str(error)[:200]}"
    finally:
        model.train(training)
        model.zero_grad()


def _difference(
    model: PreTrainedModel, rows: Sequence[Row], dtype: torch.dtype, gradients: bool
) -> str | None:
    """What is off in one precision, by how much; None if nothing is."""
    device = model.device
    padded = {k: v.to(device) for k, v in pad_rows([r["input_ids"] for r in rows]).items()}
    unpadded = {k: v.to(device) for k, v in collate_unpadded(rows).items()}
    autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    model.eval()
    expected = _outcome(model, padded, unpadded["labels"], autocast, gradients)
    if not all(tensor.isfinite().all() for tensor in expected):
        return None  # nothing to compare with: the weights themselves are at fault
    with without_padding(model):
        found = _outcome(model, unpadded, unpadded["labels"], autocast, gradients)
        if gradients:
            _run_with_dropout(model, unpadded, autocast)
    for name, right, other in zip(("logits", "gradients"), expected, found, strict=True):
        off = float((other - right).norm() / right.norm()) if right.numel() else 0.0
        if not off <= TOLERANCES[dtype]:
            return (
                f"without padding the {name} of {len(rows)} rows are off by {off:.2g} of their "
                f"norm on {device.type}, more than {TOLERANCES[dtype]:g}"
            )
    return None


def _outcome(
    model: PreTrainedModel,
    batch: Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    autocast: AbstractContextManager[Any],
    gradients: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and, if asked for, all gradients end to end (else none), in fp32."""
    model.zero_grad()
    with nullcontext() if gradients else torch.inference_mode():
        with autocast:
            logits = model(**{k: v for k, v in batch.items() if k != "labels"}).logits.float()
        if not gradients:
            return logits, logits.new_empty(0)
        functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return logits.detach(), torch.cat([grad.float().flatten() for grad in grads])


def _run_with_dropout(
    model: PreTrainedModel,
    batch: Mapping[str, torch.Tensor],
    autocast: AbstractContextManager[Any],
) -> None:
    """A step in training mode, whose kernels may be others: an error shows here, not in training.

    Raises:
        ArithmeticError: the loss is not finite.
    """
    device = batch["input_ids"].device
    devices = [] if device.type == "cpu" else [device.index or 0]
    model.train()
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        with autocast:
            loss = model(**batch).loss
        loss.backward()
    if not torch.isfinite(loss):
        raise ArithmeticError(f"with dropout the loss is {loss.item()}")

"""Dropout, residual and LayerNorm of a sublayer in one step: LayerNorm(x + dropout(y))."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cardproof.model.unpadded.dropout import Dropout, apply_mask


def add_and_normalize(
    x: torch.Tensor, y: torch.Tensor, norm: nn.LayerNorm, dropout: Dropout | None
) -> torch.Tensor:
    """LayerNorm(x + dropout(y)).

    Args:
        x: the residual stream, shape (tokens, width), fp32.
        y: a sublayer's output, of the same shape, in the precision of the products.
        norm: the LayerNorm.
        dropout: of `y`; None for none.

    Returns:
        Shape (tokens, width), fp32.
    """
    if x.device.type != "cpu":
        added: torch.Tensor = norm(x + (functional.dropout(y, dropout.p) if dropout else y))
        return added
    result: torch.Tensor = _AddAndNormalize.apply(x, y, norm.weight, norm.bias, norm.eps, dropout)  # type: ignore[no-untyped-call]
    return result


class _AddAndNormalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        y: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        epsilon: float,
        dropout: Dropout | None,
    ) -> torch.Tensor:
        mask, factor = None, 1.0
        if dropout:
            mask, factor = dropout.keep_mask(y), dropout.scale(y.dtype)
            y = apply_mask(y, mask)
        total = torch.add(x, y.to(x.dtype), alpha=factor)
        output, mean, deviation = torch.native_layer_norm(
            total, [x.shape[-1]], weight, bias, epsilon
        )
        ctx.save_for_backward(total, mean, deviation, weight, bias, mask)
        ctx.factor, ctx.dtype = factor, y.dtype
        return output

    @staticmethod
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        total, mean, deviation, weight, bias, mask = ctx.saved_tensors
        of_total, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
            gradient.contiguous(), total, [total.shape[-1]], mean, deviation, weight, bias,
            [True, True, True],
        )  # fmt: skip
        of_y = of_total
        if mask is not None:
            of_y = apply_mask((of_total * ctx.factor).to(ctx.dtype), mask)
        return of_total, of_y.to(ctx.dtype), of_weight, of_bias, None, None

"""Attention within each review of an unpadded batch.

On a CPU review by review: scores of shape (heads, tokens, tokens) stay in the cache, and nothing is
spent on padding. Written out in products and a softmax it takes half the time there of torch's
scaled_dot_product_attention in bf16. Elsewhere by torch's kernels for ragged batches: that path
could not be run where this was written, so `check.why_unlike` compares it with padded batches.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional

from cardproof.model.unpadded.dropout import Dropout, apply_signs_

Span = tuple[slice, slice]  # of one review: its queries, its keys


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    dropout: Dropout | None,
) -> torch.Tensor:
    """Softmax attention of each review's queries to its own keys, scaled by 1/sqrt(width).

    Args:
        query: shape (queries, heads, width).
        key: shape (tokens, heads, width).
        value: likewise.
        cu_seqlens_q: cumulative numbers of the reviews' queries, int32, shape (reviews + 1,).
        cu_seqlens_k: likewise of their keys.
        dropout: of the attention probabilities; None for none.

    Returns:
        Shape (queries, heads, width).
    """
    if query.device.type != "cpu":
        p = dropout.p if dropout else 0.0
        return _attend_ragged(query, key, value, cu_seqlens_q, cu_seqlens_k, p)
    queries, keys = (
        [slice(*ends) for ends in pairwise(cu.tolist())] for cu in (cu_seqlens_q, cu_seqlens_k)
    )
    spans = list(zip(queries, keys, strict=True))
    result: torch.Tensor = _PerReview.apply(query, key, value, spans, dropout)  # type: ignore[no-untyped-call]
    return result


class _PerReview(torch.autograd.Function):
    """Attention, review by review.

    The probabilities are kept for the backward pass once, in the precision of the products, with
    the sign bit set on those that dropout took: the mask costs no memory.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        spans: Sequence[Span],
        dropout: Dropout | None,
    ) -> torch.Tensor:
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        factor = dropout.scale(query.dtype) if dropout else 1.0
        kept = []
        for of_query, of_key in spans:
            q, k, v = _heads_first(query[of_query], key[of_key], value[of_key])
            probabilities = _probabilities(q, k)
            if dropout:
                apply_signs_(probabilities, dropout.sign_mask(probabilities))
            weights = probabilities.relu() if dropout else probabilities
            output[of_query] = torch.bmm(weights, v).transpose(0, 1)
            if any(ctx.needs_input_grad):
                kept.append(probabilities)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.spans, ctx.factor = spans, factor
        return output.mul_(factor) if dropout else output

    @staticmethod
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        query, key, value, *kept = ctx.saved_tensors
        tensors = (query, key, value)
        gradients = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tensors]
        for (of_query, of_key), signed in zip(ctx.spans, kept, strict=True):
            q, k, v, g = _heads_first(
                query[of_query], key[of_key], value[of_key], gradient[of_query]
            )
            parts = _gradients(q, k, v, g * ctx.factor, signed)
            for whole, of, part in zip(gradients, (of_query, of_key, of_key), parts, strict=True):
                whole[of] = part.transpose(0, 1)
        return gradients[0], gradients[1], gradients[2], None, None


def _heads_first(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """From (tokens, heads, width) to (heads, tokens, width), contiguous: bmm is faster on it."""
    return [t.transpose(0, 1).contiguous() for t in tensors]


def _probabilities(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Softmax of the scaled scores of one review; shape (heads, queries, keys).

    The softmax itself is computed in fp32 whatever the precision of the scores.
    """
    scores = torch.baddbmm(q.new_empty(1), q, k.mT, beta=0, alpha=q.shape[-1] ** -0.5)
    return scores.softmax(-1)


def _gradients(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, g: torch.Tensor, signed: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of one review's q, k and v, from the gradient `g` of its weights times v."""
    # Where dropout took a probability, its sign bit is set: relu drops it, abs brings it back.
    of_value = torch.bmm(signed.relu().mT, g)
    of_weights = torch.bmm(g, v.mT)
    of_probabilities = torch.ops.aten.threshold_backward(of_weights, signed, 0)
    of_scores = torch.ops.aten._softmax_backward_data(
        of_probabilities, signed.abs(), -1, signed.dtype
    )
    scale = q.shape[-1] ** -0.5
    of_query = torch.bmm(of_scores, k).mul_(scale)
    of_key = torch.bmm(of_scores.mT, q).mul_(scale)
    return of_query, of_key, of_value


def _attend_ragged(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    p: float,
) -> torch.Tensor:
    """Attention by scaled_dot_product_attention on ragged (jagged nested) tensors.

    torch.nn.attention.varlen.varlen_attn does the same with less around it, but has no dropout of
    the probabilities, which both families train with.
    """

    def ragged(x: torch.Tensor, cu_seqlens: torch.Tensor) -> torch.Tensor:
        longest = int(cu_seqlens.diff().max())
        nested = torch.nested.nested_tensor_from_jagged(
            x, cu_seqlens.long(), min_seqlen=1, max_seqlen=longest
        )
        return nested.transpose(1, 2)  # (reviews, heads, tokens of each, width)

    attended = functional.scaled_dot_product_attention(
        ragged(query, cu_seqlens_q),
        ragged(key, cu_seqlens_k),
        ragged(value, cu_seqlens_k),
        dropout_p=p,
    )
    return attended.transpose(1, 2).values()

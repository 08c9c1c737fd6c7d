"""The forward pass without padding, over the checkpoint's own modules and parameters.

Rows are laid end to end and attend within themselves. Only the first token of a row is pooled, so
the last layer computes its queries, its feed-forward part and its norms for the first tokens alone:
no other token of it has any effect on a logit or a gradient. That saves a seventh of the products.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from transformers import (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from cardproof.model.unpadded.attention import attend
from cardproof.model.unpadded.blocks import Block, Parts, parts_of
from cardproof.model.unpadded.dropout import Dropout, MaskBits, dropout
from cardproof.model.unpadded.residual import add_and_normalize


def why_padded(model: PreTrainedModel) -> str | None:
    """Why `model` needs padded batches, or None if it does not."""
    families = (DistilBertForSequenceClassification, BertForSequenceClassification)
    config = model.config
    if type(model) not in families:
        return f"{config.model_type} is not DistilBERT or BERT"
    if getattr(config, "is_decoder", False):
        return "a decoder's attention is causal"
    if config.problem_type not in (None, "single_label_classification"):
        return "only one label out of several is learned without padding"
    return None


def describe_batches(why: str | None) -> str:
    """A line to print, from the answer of `why_padded`."""
    return (
        f"padded batches: {why}"
        if why
        else "padding-free: the rows of a batch are packed into one sequence"
    )


@contextmanager
def without_padding(model: PreTrainedModel) -> Iterator[None]:
    """Let `model` take the batches of `collate_unpadded` while this is open.

    Only its `forward` is another one meanwhile. Its class, modules and parameters stay, so that an
    optimizer, the Trainer and save_pretrained find what they know.
    """

    def forward(
        labels: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cu_seqlens: torch.Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        if input_ids is None or position_ids is None or cu_seqlens is None:
            raise TypeError("an unpadded batch has input_ids, position_ids and cu_seqlens")
        logits = unpadded_logits(model, input_ids, position_ids, cu_seqlens)
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    model.forward = forward
    try:
        yield
    finally:
        # The class's own shows again, also where accelerate has wrapped this one.
        vars(model).pop("forward", None)
        vars(model).pop("_original_forward", None)


def unpadded_logits(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    cu_seqlens: torch.Tensor,
) -> torch.Tensor:
    """Logits of rows laid end to end, with dropout if the model is in training mode.

    Args:
        model: a DistilBERT or BERT classifier.
        input_ids: token ids, shape (tokens,).
        position_ids: from 0 within each row, shape (tokens,).
        cu_seqlens: cumulative lengths of the rows, int32, shape (rows + 1,).

    Returns:
        Shape (rows, labels); in autocast's precision where that is on.
    """
    parts = parts_of(model)
    bits = MaskBits() if model.training else None
    x = _embed(parts, input_ids, position_ids, bits)
    for block in parts.blocks[:-1]:
        x = _run_block(block, x, x, cu_seqlens, cu_seqlens, bits)
    first = x.index_select(0, cu_seqlens[:-1])
    ones = torch.arange(len(cu_seqlens), dtype=cu_seqlens.dtype, device=cu_seqlens.device)
    return parts.head(_run_block(parts.blocks[-1], first, x, ones, cu_seqlens, bits))


def _embed(
    parts: Parts, input_ids: torch.Tensor, position_ids: torch.Tensor, bits: MaskBits | None
) -> torch.Tensor:
    """Embeddings of each token, shape (tokens, width)."""
    x = parts.word(input_ids) + parts.position(position_ids)
    if parts.embedding_constant is not None:
        x = x + parts.embedding_constant
    return dropout(parts.embedding_norm(x), _with(parts.p_embedding, bits))


def _run_block(
    block: Block,
    x: torch.Tensor,
    context: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    bits: MaskBits | None,
) -> torch.Tensor:
    """One encoder layer.

    Args:
        block: the layer.
        x: the states to compute anew, shape (queries, width), fp32.
        context: the states of all tokens, which they attend to, shape (tokens, width), fp32.
        cu_seqlens_q: cumulative lengths of the rows in `x`.
        cu_seqlens_k: likewise in `context`.
        bits: random bits of the dropout masks; None for no dropout.

    Returns:
        The new states of `x`.
    """
    products = _product_dtype(x)
    # Cast once: autocast would cast for each of the three projections.
    keys = context.to(products)
    queries = keys if x is context else x.to(products)
    shape = (-1, block.heads, block.query.out_features // block.heads)
    attended = attend(
        block.query(queries).view(shape),
        block.key(keys).view(shape),
        block.value(keys).view(shape),
        cu_seqlens_q,
        cu_seqlens_k,
        _with(block.p_attention, bits),
    )
    projected = block.projection(attended.flatten(1))
    x = add_and_normalize(x, projected, block.attention_norm, _with(block.p_projection, bits))
    hidden = block.activation(block.expansion(x.to(products)))
    output = block.contraction(hidden)
    return add_and_normalize(x, output, block.output_norm, _with(block.p_output, bits))


def _with(p: float, bits: MaskBits | None) -> Dropout | None:
    return Dropout(p, bits) if bits and p > 0 else None


def _product_dtype(x: torch.Tensor) -> torch.dtype:
    """What autocast computes matrix products in, or the parameters' own precision without it."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype

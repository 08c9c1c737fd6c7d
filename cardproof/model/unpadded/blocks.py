"""The encoder layers of both families by the roles of their parts: the checkpoint's own modules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import BertForSequenceClassification, DistilBertForSequenceClassification


@dataclass(frozen=True)
class Block:
    """One encoder layer.

    Attributes:
        query, key, value: projections into the heads.
        projection: of the heads back to the width.
        attention_norm: LayerNorm after the attention's residual.
        expansion, activation, contraction: the feed-forward part.
        output_norm: LayerNorm after the feed-forward's residual.
        heads: number of attention heads.
        p_attention, p_projection, p_output: dropout probabilities of the attention's weights, of
            the projected heads and of the feed-forward part.
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    projection: nn.Linear
    attention_norm: nn.LayerNorm
    expansion: nn.Linear
    activation: Callable[[torch.Tensor], torch.Tensor]
    contraction: nn.Linear
    output_norm: nn.LayerNorm
    heads: int
    p_attention: float
    p_projection: float
    p_output: float


@dataclass(frozen=True)
class Parts:
    """A classifier's parts.

    Attributes:
        word, position: embeddings.
        embedding_constant: what every token's embedding gets besides, shape (width,), or None: BERT
            adds the embedding of token type 0.
        embedding_norm: LayerNorm of the embeddings.
        p_embedding: dropout probability of the embeddings.
        blocks: the encoder's layers.
        head: from the first tokens' states, shape (rows, width), to the logits, (rows, labels).
    """

    word: nn.Embedding
    position: nn.Embedding
    embedding_constant: torch.Tensor | None
    embedding_norm: nn.LayerNorm
    p_embedding: float
    blocks: tuple[Block, ...]
    head: Callable[[torch.Tensor], torch.Tensor]


def parts_of(model: Any) -> Parts:
    """The parts of a DistilBERT or BERT classifier."""
    if isinstance(model, DistilBertForSequenceClassification):
        return _distilbert(model)
    if isinstance(model, BertForSequenceClassification):
        return _bert(model)
    raise TypeError(f"{type(model).__name__} cannot run without padding")


def _distilbert(model: Any) -> Parts:
    embeddings = model.distilbert.embeddings

    def head(first: torch.Tensor) -> torch.Tensor:
        hidden = model.dropout(model.pre_classifier(first).relu())
        logits: torch.Tensor = model.classifier(hidden)
        return logits

    return Parts(
        embeddings.word_embeddings,
        embeddings.position_embeddings,
        None,
        embeddings.LayerNorm,
        embeddings.dropout.p,
        tuple(map(_distilbert_block, model.distilbert.transformer.layer)),
        head,
    )


def _distilbert_block(layer: Any) -> Block:
    attention, ffn = layer.attention, layer.ffn
    return Block(
        attention.q_lin,
        attention.k_lin,
        attention.v_lin,
        attention.out_lin,
        layer.sa_layer_norm,
        ffn.lin1,
        ffn.activation,
        ffn.lin2,
        layer.output_layer_norm,
        heads=attention.n_heads,
        p_attention=attention.dropout.p,
        p_projection=0.0,
        p_output=ffn.dropout.p,
    )


def _bert(model: Any) -> Parts:
    embeddings, pooler = model.bert.embeddings, model.bert.pooler

    def head(first: torch.Tensor) -> torch.Tensor:
        pooled = pooler.activation(pooler.dense(first))
        logits: torch.Tensor = model.classifier(model.dropout(pooled))
        return logits

    return Parts(
        embeddings.word_embeddings,
        embeddings.position_embeddings,
        embeddings.token_type_embeddings.weight[0],
        embeddings.LayerNorm,
        embeddings.dropout.p,
        tuple(map(_bert_block, model.bert.encoder.layer)),
        head,
    )


def _bert_block(layer: Any) -> Block:
    attention, projection = layer.attention.self, layer.attention.output
    return Block(
        attention.query,
        attention.key,
        attention.value,
        projection.dense,
        projection.LayerNorm,
        layer.intermediate.dense,
        layer.intermediate.intermediate_act_fn,
        layer.output.dense,
        layer.output.LayerNorm,
        heads=attention.num_attention_heads,
        p_attention=attention.dropout.p,
        p_projection=projection.dropout.p,
        p_output=layer.output.dropout.p,
    )

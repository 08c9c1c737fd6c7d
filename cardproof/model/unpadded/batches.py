"""Batches without padding: rows laid end to end, and batches of about equally many tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

Ids = NDArray[np.integer]


def collate_unpadded(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of `concatenate_rows` with its `labels`, shape (rows,), int64.

    Args:
        rows: of a `TokenStore`.
    """
    labels = torch.tensor([row["labels"] for row in rows])
    # The labels come first: the Trainer takes the length of the first tensor for the batch size.
    return {"labels": labels, **concatenate_rows([row["input_ids"] for row in rows])}


def concatenate_rows(rows: Sequence[Ids]) -> dict[str, torch.Tensor]:
    """Lay rows end to end.

    Returns:
        `input_ids` and `position_ids` (from 0 within each row), int64, shape (tokens,), and
        `cu_seqlens`, the cumulative lengths, int32, shape (rows + 1,): row i is the tokens from
        cu_seqlens[i] to cu_seqlens[i + 1].
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.arange(cu_seqlens[-1]) - np.repeat(cu_seqlens[:-1], lengths)
    return {
        "input_ids": torch.from_numpy(np.concatenate(rows).astype(np.int64)),
        "position_ids": torch.from_numpy(positions),
        "cu_seqlens": torch.from_numpy(cu_seqlens.astype(np.int32)),
    }


def pad_rows(rows: Sequence[Ids], pad_id: int = 0) -> dict[str, torch.Tensor]:
    """Ids and attention mask of a padded batch, int64, each of shape (rows, longest)."""
    ids = [torch.from_numpy(row.astype(np.int64)) for row in rows]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
    }


def batches_by_tokens(lengths: NDArray[np.int64], tokens: int) -> list[NDArray[np.int64]]:
    """Row numbers in batches of at most `tokens` tokens (or of one row), longest rows first."""
    order = _longest_first(lengths)
    batches, start, held = [], 0, 0
    for i, length in enumerate(lengths[order].tolist()):
        if i > start and held + length > tokens:
            batches.append(order[start:i])
            start, held = i, 0
        held += length
    return [*batches, order[start:]] if len(order) else []


def batches_by_rows(lengths: NDArray[np.int64], rows: int) -> list[NDArray[np.int64]]:
    """Row numbers in batches of `rows` rows, the last of fewer, longest rows first."""
    order = _longest_first(lengths)
    return [order[start : start + rows] for start in range(0, len(order), rows)]


def _longest_first(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    # Memory that is too small shows at once. Stable: equal lengths keep their order.
    return np.argsort(-lengths, kind="stable")

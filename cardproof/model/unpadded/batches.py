"""Batches without padding: rows laid end to end, and batches of about equally many tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cardproof.model.tokens import TokenStore

Ids = NDArray[np.integer]


@dataclass(frozen=True)
class UnpaddedRows:
    """A token store as a data set for `collate_packed`: no row becomes a list of numbers."""

    store: TokenStore

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> tuple[Ids, int]:
        """The ids of review `index`, shape (tokens,), and its label."""
        return self.store.row(index), int(self.store.labels[index])


def collate_packed(rows: Sequence[tuple[Ids, int]]) -> dict[str, torch.Tensor]:
    """A batch of `pack_rows` with its `labels`, shape (rows,), int64."""
    labels = torch.tensor([label for _, label in rows])
    # The labels come first: the Trainer takes the length of the first tensor for the batch size.
    return {"labels": labels, **pack_rows([ids for ids, _ in rows])}


def pack_rows(rows: Sequence[Ids]) -> dict[str, torch.Tensor]:
    """Lay rows end to end.

    Returns:
        `input_ids` and `position_ids` (from 0 within each row), int64, shape (tokens,), and
        `offsets`, int32, shape (rows + 1,): row i is offsets[i] to offsets[i + 1].
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return {
        "input_ids": torch.from_numpy(np.concatenate(rows).astype(np.int64)),
        "position_ids": torch.from_numpy(positions),
        "offsets": torch.from_numpy(offsets.astype(np.int32)),
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

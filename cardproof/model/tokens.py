"""A compact store of tokenized reviews: token ids end to end, and where each review starts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Truncation = Literal["head", "head_and_tail"]
Reviews = tuple[Sequence[str], Sequence[int]]  # texts and labels, equally many

BATCH = 1000  # reviews read and tokenized at once


@dataclass(frozen=True)
class TokenStore:
    """Tokenized reviews, memory-mapped.

    Attributes:
        ids: token ids of all reviews end to end, special tokens included; shape (tokens,).
        offsets: review i is ids[offsets[i]:offsets[i + 1]]; shape (reviews + 1,).
        labels: 0 or 1; shape (reviews,).
        full_lengths: tokens of each review before truncation; shape (reviews,).
    """

    ids: NDArray[np.unsignedinteger[Any]]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    full_lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Review `index` as the Trainer wants it: `input_ids`, not copied, and its `labels`."""
        return {"input_ids": self.row(index), "labels": int(self.labels[index])}

    def row(self, index: int) -> NDArray[np.unsignedinteger[Any]]:
        """The ids of review `index`, not copied; shape (tokens of the review,)."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each review as stored; shape (reviews,)."""
        return np.diff(self.offsets)


def open_tokens(folder: Path) -> TokenStore:
    """Open a token store without reading it into memory."""
    names = ("ids", "offsets", "labels", "full_lengths")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    return TokenStore(**arrays)


def read_batches(path: Path) -> Iterator[Reviews]:
    """Texts and labels of a parquet file, a batch at a time: memory does not grow with the file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH, columns=["text", "label"]):
            yield batch["text"].to_pylist(), batch["label"].to_pylist()


def write_tokens(
    batches: Iterable[Reviews],
    tokenizer: "Tokenizer",
    max_length: int,
    folder: Path,
    truncation: Truncation = "head",
) -> TokenStore:
    """Tokenize reviews into `folder` (which must exist), batch by batch, and open the result.

    "head" truncates exactly as transformers' `tokenizer(text, truncation=True,
    max_length=max_length)` does. With "head_and_tail" a long review gives a quarter of what is kept
    to its start and the rest to its end: of 512 tokens the first 127 and the last 383 (Sun et al.
    2019, "How to Fine-Tune BERT for Text Classification?", section 4.1, has 128 and 382).

    Args:
        batches: texts and labels, batch by batch.
        tokenizer: without a truncation of its own.
        max_length: tokens that are kept of a review, [CLS] and [SEP] included.
        folder: where to write.
        truncation: which part of a longer review is kept.
    """
    shorten = {"head": _keep_head, "head_and_tail": _keep_head_and_tail}[truncation]
    dtype = np.dtype(np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32)
    full_lengths: list[int] = []
    labels: list[int] = []

    def rows() -> Iterator[list[int]]:
        for texts, labels_of_batch in batches:
            labels.extend(labels_of_batch)
            for encoding in tokenizer.encode_batch_fast(list(texts)):
                ids = encoding.ids
                full_lengths.append(len(ids))
                yield ids if len(ids) <= max_length else shorten(ids, max_length)

    stored = _write_ragged(folder / "ids.npy", rows(), dtype)
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(stored)]).astype(np.int64))
    np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64))
    np.save(folder / "full_lengths.npy", np.asarray(full_lengths, dtype=np.int64))
    return open_tokens(folder)


def _keep_head(ids: list[int], kept: int) -> list[int]:
    """[CLS] + text + [SEP]: truncating the text alone keeps the [SEP]."""
    return [*ids[: kept - 1], ids[-1]]


def _keep_head_and_tail(ids: list[int], kept: int) -> list[int]:
    """Likewise, with the gap after a quarter of the text that is kept."""
    head = 1 + (kept - 2) // 4
    return [*ids[:head], *ids[head - kept :]]


def _write_ragged(path: Path, rows: Iterable[list[int]], dtype: np.dtype[Any]) -> list[int]:
    """Write rows end to end as one .npy file and return their lengths.

    The rows are not held in memory: the header is written first for no elements and again for
    all of them at the end. NumPy leaves room in it for that.
    """

    def header(elements: int) -> dict[str, Any]:
        return {"shape": (elements,), "fortran_order": False, "descr": npy.dtype_to_descr(dtype)}

    lengths: list[int] = []
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, header(0))
        begin = file.tell()
        for row in rows:
            file.write(np.asarray(row, dtype=dtype).tobytes())
            lengths.append(len(row))
        file.seek(0)
        npy.write_array_header_1_0(file, header(sum(lengths)))
        if file.tell() != begin:
            raise AssertionError("the header of the .npy file grew over its data")
    return lengths


def describe_tokens(stores: dict[str, TokenStore]) -> dict[str, float]:
    """Sizes and what truncation costs.

    Returns:
        For each set: `<set>_tokens` (as stored), `<set>_mean_length` and `<set>_longest` (before
        truncation), `<set>_reviews_truncated` and `<set>_tokens_truncated` (shares, 0 to 1).
    """
    facts: dict[str, float] = {}
    for name, store in stores.items():
        full = store.full_lengths
        facts[f"{name}_tokens"] = len(store.ids)
        facts[f"{name}_mean_length"] = float(full.mean())
        facts[f"{name}_longest"] = int(full.max())
        facts[f"{name}_reviews_truncated"] = float((full > store.lengths).mean())
        facts[f"{name}_tokens_truncated"] = float(1 - len(store.ids) / full.sum())
    return facts

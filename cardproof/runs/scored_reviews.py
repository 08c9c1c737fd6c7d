"""The reviews behind scored rows: lengths and duplicates of all, texts of those that are shown.

Texts are read batch by batch and kept as 16-byte keys: memory does not grow with their length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cardproof.data.duplicates import occurs_in, repeats_earlier, text_key
from cardproof.evaluation.metrics import Mask
from cardproof.model.tokens import BATCH, open_tokens
from cardproof.recipe.identity import IdentityError


@dataclass(frozen=True, eq=False)
class ScoredReviews:
    """What is known of each scored row's review but its text; all of shape (rows,)."""

    full_lengths: NDArray[np.int64]  # in tokens, before truncation
    lengths: NDArray[np.int64]  # in tokens, as the model read them
    in_train: Mask  # whether the text is also among the training rows
    in_validation: Mask | None  # the same; None where there are no validation rows but these
    repeated: Mask  # whether the text occurs earlier among these


def read_scored_reviews(
    root: Path, name: str, rows: NDArray[np.int64], validation: str | None
) -> ScoredReviews:
    """The reviews of a row set, beside those of train and of another validation set.

    Args:
        root: of the run's files.
        name: of the scored set.
        rows: the numbers of the rows that were scored; shape (rows,).
        validation: another set that was validated on; None where there is none.

    Raises:
        IdentityError: the scored rows are not those of the set.
    """
    table = pq.ParquetFile(_path(root, name)).read(columns=["row"])
    if not np.array_equal(table["row"].to_pylist(), rows):
        raise IdentityError(
            f"data/predictions/{name}.parquet is of other rows than data/split/{name}.parquet; "
            "run `dvc repro`, which runs what is out of date"
        )
    keys = list(_keys(root, name))
    tokens = open_tokens(root / "data/tokens" / name)
    return ScoredReviews(
        full_lengths=np.asarray(tokens.full_lengths),
        lengths=tokens.lengths,
        in_train=occurs_in(keys, _keys(root, "train")),
        in_validation=occurs_in(keys, _keys(root, validation)) if validation else None,
        repeated=repeats_earlier(keys),
    )


def read_texts(root: Path, name: str, places: Sequence[int]) -> list[str]:
    """The texts at some places of a row set, counted from 0, in the order asked for."""
    found: dict[int, str] = {}
    start = 0
    for batch in _batches(root, name):
        inside = [place for place in places if start <= place < start + len(batch)]
        found |= {place: batch[place - start].as_py() for place in inside}
        start += len(batch)
    return [found[place] for place in places]


def _keys(root: Path, name: str) -> Iterator[bytes]:
    for batch in _batches(root, name):
        yield from map(text_key, batch.to_pylist())


def _batches(root: Path, name: str) -> Iterator[pa.Array]:
    with pq.ParquetFile(_path(root, name)) as file:
        for batch in file.iter_batches(BATCH, columns=["text"]):
            yield batch["text"]


def _path(root: Path, name: str) -> Path:
    return root / f"data/split/{name}.parquet"

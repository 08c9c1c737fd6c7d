"""Labelled reviews: reading them, and drawing fewer of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

from cardproof.errors import CardproofError

COLUMNS = ("text", "label")


class ReviewsError(CardproofError):
    """Reviews that cannot be used as they are."""


def read_reviews(path: Path) -> Dataset:
    """Read labelled reviews in the file's own order.

    Args:
        path: a parquet file with columns `text` (string) and `label` (0 negative, 1 positive).

    Returns:
        A dataset with the columns text, label and row (the position in the file).

    Raises:
        ReviewsError: a column is missing, a text is null, or a label is not 0 or 1.
    """
    table = pq.read_table(path, memory_map=True)
    missing = [c for c in COLUMNS if c not in table.column_names]
    if missing:
        raise ReviewsError(
            f"{path}: no column {' and no column '.join(missing)}; it has "
            f"{', '.join(table.column_names)}. Reviews need text and label."
        )
    table = table.select(COLUMNS).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    if not pa.types.is_string(table["text"].type) or table["text"].null_count:
        raise ReviewsError(f"{path}: column text must hold strings, none of them null")
    labels = pc.unique(table["label"]).to_pylist()
    wrong = [label for label in labels if label not in (0, 1)]
    if wrong:
        raise ReviewsError(
            f"{path}: label {wrong[0]!r}; labels must be 0 (negative) or 1 (positive)"
        )
    return Dataset(table)


def draw_balanced(reviews: Dataset, rows: int, seed: int) -> Dataset:
    """Draw `rows` reviews, half of each label, and keep them in their order.

    The draw is the first rows of each label after `Dataset.shuffle(seed)`. A label with too few
    rows gives all it has.
    """
    if rows >= len(reviews):
        return reviews
    order = np.random.default_rng(seed).permutation(len(reviews))  # as Dataset.shuffle draws it
    labels = np.asarray(reviews["label"])[order]
    negative = order[labels == 0][: rows // 2]
    positive = order[labels == 1][: rows - rows // 2]
    return reviews.select(np.sort(np.concatenate([negative, positive])))

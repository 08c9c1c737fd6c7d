"""Labelled reviews: reading them, and drawing fewer of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, Features, Value

from cardproof.errors import CardproofError

# The hub's parquet also names its labels; without that, what follows does not depend on the source.
FEATURES = Features({"text": Value("string"), "label": Value("int64")})
COLUMNS = tuple(FEATURES)


class ReviewsError(CardproofError):
    """Reviews that cannot be used as they are."""


def read_reviews(path: Path, scratch: Path) -> Dataset:
    """Read labelled reviews in the file's own order.

    Args:
        path: a parquet file with columns `text` (string) and `label` (0 negative, 1 positive).
        scratch: a folder for an uncompressed copy, which is memory-mapped: reviews take disk, not
            memory. It must outlive the dataset.

    Returns:
        A dataset with the columns text, label and row (the position in the file).

    Raises:
        ReviewsError: a column is missing, a text is null, or a label is not 0 or 1.
    """
    schema = pq.read_schema(path)
    missing = [c for c in COLUMNS if c not in schema.names]
    if missing:
        raise ReviewsError(
            f"{path}: no column {' and no column '.join(missing)}; it has "
            f"{', '.join(schema.names)}. Reviews need text and label."
        )
    if not pa.types.is_string(schema.field("text").type):
        raise ReviewsError(f"{path}: column text must hold strings, none of them null")
    if not pa.types.is_integer(schema.field("label").type):
        raise ReviewsError(
            f"{path}: column label is of type {schema.field('label').type}; labels must be the "
            "whole numbers 0 (negative) and 1 (positive)"
        )
    reviews = Dataset.from_parquet(
        str(path), features=FEATURES, cache_dir=str(scratch), columns=list(COLUMNS)
    )
    if reviews.data["text"].null_count:
        raise ReviewsError(f"{path}: column text must hold strings, none of them null")
    labels = pc.unique(reviews.data["label"]).to_pylist()
    wrong = [label for label in labels if label not in (0, 1)]
    if wrong:
        raise ReviewsError(
            f"{path}: label {wrong[0]!r}; labels must be 0 (negative) or 1 (positive)"
        )
    return reviews.add_column("row", pa.array(range(len(reviews)), pa.int64()))


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

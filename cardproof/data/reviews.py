"""Labelled reviews: reading them, and drawing fewer of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Value

# The hub's parquet also names its labels; without that, what follows does not depend on the source.
FEATURES = Features({"text": Value("string"), "label": Value("int64")})


def read_reviews(path: Path, scratch: Path) -> Dataset:
    """Labelled reviews in the file's own order.

    Args:
        path: a parquet file whose rows `identify_reviews` has checked.
        scratch: a folder for an uncompressed copy, which is memory-mapped: reviews take disk, not
            memory. It must outlive the dataset.

    Returns:
        A dataset with the columns text, label and row (the position in the file).
    """
    reviews = Dataset.from_parquet(
        str(path), features=FEATURES, cache_dir=str(scratch), columns=list(FEATURES)
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

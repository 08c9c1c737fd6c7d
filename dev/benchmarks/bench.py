"""What is measured: how much of it, on which reviews, with which model."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cardproof.recipe.environment import MIRROR_VARIABLE
from dev.repository import ROOT

IMDB = ("IMDb", "stanfordnlp/imdb", "distilbert/distilbert-base-uncased")
SAMPLE = ("the embedded sample", "cardproof/sample-reviews", "cardproof/sample-distilbert")
SMALL = {"n_layers": 2, "dim": 64, "n_heads": 2, "hidden_dim": 128}
SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int64())])
CHUNK = 5000  # rows written at once


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    repeats: int = 3  # of each measurement; of growth's, at most two
    batch: int = 16  # reviews a training step
    steps: int = 3  # timed training steps, after one that warms up
    max_length: int = 384  # tokens kept of a review in training and inference
    reviews: int = 128  # of inference
    product_seconds: float = 0.5  # spent on each bare matrix product
    base_rows: int = 6250  # reviews of train, and of test, at 1x in growth
    multiples: tuple[int, ...] = (1, 2, 4, 8)
    million: int = 1_000_000  # reviews of growth's largest run
    sizes: Mapping[str, int] = field(default_factory=dict)  # of the model, if not DistilBERT's own
    last_stage: str = ""  # with which the timed pipeline ends; empty for all of it


FULL = Scale()
TINY = Scale(1, 2, 1, 64, 4, 0.01, 50, (1, 2), 200, SMALL, "split")


@dataclass(frozen=True)
class Bench:
    """What every section is given: a scale, an empty folder, the reviews and a tokenizer."""

    scale: Scale
    folder: Path
    name: str  # of the reviews: "IMDb" or "the embedded sample"
    train: Path  # a parquet file with the columns text and label
    test: Path
    tokenizer: Path  # a folder


def make_bench(scale: Scale, folder: Path) -> Bench:
    """IMDb where CARDPROOF_MIRROR names a mirror of the hub, else the embedded sample."""
    mirror = os.environ.get(MIRROR_VARIABLE)
    name, reviews, base = IMDB if mirror else SAMPLE
    hub = Path(mirror).resolve() if mirror else ROOT / "sample/hub"
    train, test = (hub / f"datasets/{reviews}/plain_text/{part}-00000-of-00001.parquet"
                   for part in ("train", "test"))  # fmt: skip
    return Bench(scale, folder, name, train, test, hub / base)


def write_reviews(source: Path, rows: int, target: Path, characters: int | None = None) -> None:
    """Draw reviews at random into a parquet file.

    Where more are wanted than there are, they come again with a number in front, so that each text
    is another.

    Args:
        source: a parquet file with the columns text and label.
        rows: reviews to write.
        target: the parquet file to write.
        characters: to keep of each text; None for all.
    """
    table = pq.read_table(source, columns=["text", "label"])
    count = len(table)
    order = np.random.default_rng(1).permutation(-(-rows // count) * count)[:rows]
    with pq.ParquetWriter(target, SCHEMA) as writer:
        for start in range(0, rows, CHUNK):
            copies, places = np.divmod(order[start : start + CHUNK], count)
            drawn = table.take(places)
            texts = [
                (f"{copy}. " if copy else "") + text[:characters]
                for copy, text in zip(copies, drawn["text"].to_pylist(), strict=True)
            ]
            labels = drawn["label"].to_pylist()
            writer.write_table(pa.table({"text": texts, "label": labels}, schema=SCHEMA))


def random_classifier(sizes: Mapping[str, int]) -> Any:
    """A DistilBERT with random weights: speed does not depend on their values."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, set_seed

    set_seed(0)
    return DistilBertForSequenceClassification(DistilBertConfig(**sizes))

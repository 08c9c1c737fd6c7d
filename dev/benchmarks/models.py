"""A DistilBERT of true size, or smaller for a test, with random weights: speed needs no others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import DistilBertConfig, DistilBertForSequenceClassification, set_seed

from cardproof.model.loading import load_tokenizer
from dev.benchmarks.flops import Shape


def random_classifier(sizes: Mapping[str, int]) -> Any:
    """A classifier of `DistilBertConfig()`'s own sizes but for those named in `sizes`."""
    set_seed(0)
    return DistilBertForSequenceClassification(DistilBertConfig(**sizes))


def write_classifier(sizes: Mapping[str, int], word_pieces: str, folder: str) -> None:
    """The same in the hub's format, with its tokenizer."""
    random_classifier(sizes).save_pretrained(folder)
    load_tokenizer(Path(word_pieces)).save_pretrained(folder)


def shape_of(sizes: Mapping[str, int]) -> Shape:
    """The encoder's sizes, for counting operations."""
    config = DistilBertConfig(**sizes)
    return Shape(config.n_layers, config.dim, config.hidden_dim)

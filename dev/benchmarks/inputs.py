"""The reviews and the word pieces to measure on: the real ones if at hand, else the sample's."""

import os
from dataclasses import dataclass
from pathlib import Path

from cardproof.data.hub import MIRROR_VARIABLE

ROOT = Path(__file__).parents[2]
REAL_REVIEWS = "datasets/stanfordnlp/imdb/plain_text"
REAL_WORD_PIECES = "distilbert/distilbert-base-uncased"
SAMPLE_REVIEWS = "datasets/cardproof/sample-reviews/plain_text"
SAMPLE_WORD_PIECES = "cardproof/sample-distilbert"


@dataclass(frozen=True)
class Inputs:
    """What to measure on.

    Attributes:
        name: "IMDb" or "the embedded sample".
        train, test: parquet files with the columns text and label.
        word_pieces: a folder with a tokenizer.
    """

    name: str
    train: Path
    test: Path
    word_pieces: Path


def find_inputs() -> Inputs:
    """IMDb out of the folder that CARDPROOF_MIRROR names or of ../shared/hub; else the sample."""
    named = os.environ.get(MIRROR_VARIABLE)
    for hub in [Path(named)] if named else [ROOT.parent / "shared/hub"]:
        found = _inputs("IMDb", hub, REAL_REVIEWS, REAL_WORD_PIECES)
        if found.train.is_file() and found.test.is_file() and found.word_pieces.is_dir():
            return found
    return sample_inputs()


def sample_inputs() -> Inputs:
    """The embedded sample."""
    hub = ROOT / "sample/hub"
    return _inputs("the embedded sample", hub, SAMPLE_REVIEWS, SAMPLE_WORD_PIECES)


def _inputs(name: str, hub: Path, reviews: str, word_pieces: str) -> Inputs:
    files = [(hub / reviews / f"{part}-00000-of-00001.parquet").resolve()
             for part in ("train", "test")]  # fmt: skip
    return Inputs(name, files[0], files[1], (hub / word_pieces).resolve())

"""What every section of the benchmark gets to know, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.benchmarks.inputs import Inputs

Variants = dict[str, dict[str, Any]]  # figures by variant and name: a number, a Spread or a text

SMALL = {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128}


@dataclass(frozen=True)
class Context:
    """What to measure on and how often.

    Attributes:
        inputs: reviews and word pieces.
        quick: small models and few reviews, to see that all works; its figures mean nothing.
        repeats: of each measurement.
        million: measure split and tokenize on a million reviews too.
        folder: an empty folder for data, removed in the end.
        note: shows progress.
    """

    inputs: Inputs
    quick: bool
    repeats: int
    million: bool
    folder: Path
    note: Callable[[str], None]

    @property
    def sizes(self) -> dict[str, int]:
        """The model's sizes where they are not DistilBERT's own."""
        return SMALL if self.quick else {}


@dataclass(frozen=True)
class Section:
    """What a section found.

    Attributes:
        settings: what was run, a word or number each.
        variants: the figures.
    """

    settings: dict[str, str | int | float]
    variants: Variants

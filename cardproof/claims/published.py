"""What is published for this task: reference distributions for a card's figures.

`published.csv` holds one row for each of 71 public model cards that fine-tune on IMDb reviews, only
figures and names. The tests hold how it was made from a longer collection of the same cards.
"""

import csv
import statistics
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

IMDB_SPLIT = 25_000  # rows of train, and of test; half of each are positive

# Sanh et al. 2019, "DistilBERT, a distilled version of BERT", table 2: accuracy on IMDb's test.
DISTILBERT_PAPER = 0.9282
# Yang et al. 2019, "XLNet": test accuracy of XLNet-large, among the highest published for IMDb.
XLNET_LARGE = 0.9621


@dataclass(frozen=True)
class ReferenceDistribution:
    """Mean and spread of a figure over published runs."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Arithmetic mean."""
        return statistics.mean(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation of the sample."""
        return statistics.stdev(self.values)

    def __str__(self) -> str:
        return (
            f"{len(self.values)} published runs: mean {self.mean:.4f}, sd {self.deviation:.4f}, "
            f"{min(self.values):.4f} to {max(self.values):.4f}"
        )


@cache
def published_runs() -> list[dict[str, str]]:
    """The rows of `published.csv`; a cell is empty where the card does not say."""
    text = (files("cardproof.claims") / "published.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def accuracies(train_rows: int) -> ReferenceDistribution | None:
    """Accuracies of the runs on about as many reviews: two thirds to one and a half times.

    Runs on more rows than the train split has are left out: they trained on some of the test split.
    None if there are fewer than five runs.
    """
    most = min(train_rows * 1.5, IMDB_SPLIT)
    near = tuple(
        float(run["accuracy"])
        for run in published_runs()
        if run["train_rows"] and train_rows / 1.5 <= int(run["train_rows"]) <= most
    )
    return ReferenceDistribution(near) if len(near) >= 5 else None


def first_epoch_training_losses() -> ReferenceDistribution:
    """Training losses at the end of the first epoch, of all runs that print one."""
    losses = (run["first_epoch_training_loss"] for run in published_runs())
    return ReferenceDistribution(tuple(float(loss) for loss in losses if loss))

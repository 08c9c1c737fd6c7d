"""What is published for this task: the yardstick that a card's figures are laid against.

`published.csv` holds one row for each of 71 public model cards that fine-tune on IMDb reviews, only
figures and names. `condense` made it from a longer collection of the same cards.
"""

import csv
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cardproof.recipe.reported import parse_figure

COLUMNS = (
    "card", "accuracy", "loss", "learning_rate", "batch", "epochs", "seed",
    "train_rows", "train_rows_from", "first_epoch_training_loss",
)  # fmt: skip

IMDB_SPLIT = 25_000  # rows of train, and of test; half of each are positive

# Sanh et al. 2019, "DistilBERT, a distilled version of BERT", table 2: accuracy on IMDb's test.
DISTILBERT_PAPER = 0.9282
# Yang et al. 2019, "XLNet": test accuracy of XLNet-large, among the highest published for IMDb.
XLNET_LARGE = 0.9621

_SAMPLES = re.compile(r"(\d+)(k?)-samples")
_OTHER_DATA = re.compile("twitter|amzn")  # cards whose names say that the reviews are not IMDb's


@dataclass(frozen=True)
class Run:
    """A published run.

    Attributes:
        train_rows: IMDb reviews trained on; None where the card does not give it away.
        first_epoch_training_loss: mean over the last log window of the first epoch; None where
            the card has no table of epochs.
    """

    card: str
    accuracy: float
    train_rows: int | None
    first_epoch_training_loss: float | None


@dataclass(frozen=True)
class Yardstick:
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
def published_runs() -> tuple[Run, ...]:
    """The runs of `published.csv`."""
    text = (files("cardproof.claims") / "published.csv").read_text(encoding="utf-8")
    return tuple(
        Run(
            card=row["card"],
            accuracy=float(row["accuracy"]),
            train_rows=int(row["train_rows"]) if row["train_rows"] else None,
            first_epoch_training_loss=float(row["first_epoch_training_loss"])
            if row["first_epoch_training_loss"]
            else None,
        )
        for row in csv.DictReader(text.splitlines())
    )


def accuracies(train_rows: int) -> Yardstick | None:
    """Accuracies of the runs on about as many reviews: two thirds to one and a half times.

    Runs on more rows than the train split has are left out: they trained on some of the test split.
    None if there are fewer than five runs.
    """
    most = min(train_rows * 1.5, IMDB_SPLIT)
    near = tuple(
        run.accuracy
        for run in published_runs()
        if run.train_rows and train_rows / 1.5 <= run.train_rows <= most
    )
    return Yardstick(near) if len(near) >= 5 else None


def first_epoch_training_losses() -> Yardstick:
    """Training losses at the end of the first epoch, of all runs that print one."""
    losses = (run.first_epoch_training_loss for run in published_runs())
    return Yardstick(tuple(loss for loss in losses if loss is not None))


def condense(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Make the rows of `published.csv` from a collection of cards.

    A collection's columns are card, accuracy, eval_loss, lr, batch, epochs, seed and
    training_table: rows of the Trainer's table joined by `//`.
    """
    condensed = []
    for row in rows:
        first = [
            cell.strip() for cell in row["training_table"].split("//")[0].strip(" |").split("|")
        ]
        loss = first[0] if re.fullmatch(r"\d+\.\d+", first[0]) else ""
        step = int(first[2]) if len(first) > 2 and first[1] == "1.0" else None
        train_rows, source = _train_rows(row, step)
        as_it_stands = ("card", "accuracy", "eval_loss", "lr", "batch", "epochs", "seed")
        values = (*(row[key] for key in as_it_stands), train_rows, source, loss)
        condensed.append(dict(zip(COLUMNS, values, strict=True)))
    return condensed


def _train_rows(row: Mapping[str, str], step: int | None) -> tuple[str, str]:
    """How many reviews a run was trained on, and what gives it away; both empty if nothing does."""
    name = _SAMPLES.search(row["card"])
    if _OTHER_DATA.search(row["card"]):
        return "", ""
    if step:  # steps x batch leaves a range of one batch; the roundest number in it
        batch = int(row["batch"])
        inside = range((step - 1) * batch + 1, step * batch + 1)
        return str(max(inside, key=lambda rows: (rows % 1000 == 0, rows % 100 == 0))), "steps"
    if name:
        return str(int(name[1]) * (1000 if name[2] else 1)), "name"
    figure = parse_figure(row["accuracy"])
    fits = [rows for rows in (300, 3000, 5000, 10000, 25000) if figure.whole_counts(rows)]
    # A score that only the whole test split can give, and no word of samples: all of train.
    return ("25000", "test rows") if fits == [25000] else ("", "")

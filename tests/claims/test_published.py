"""The published runs, and how their file was condensed from a longer collection of cards."""

import csv
import io
import re
from collections.abc import Iterable, Mapping

import pytest

from cardproof.claims.published import accuracies, published_runs
from cardproof.recipe.reported import parse_figure
from tests.conftest import ROOT, SHARED

COLUMNS = (
    "card", "accuracy", "loss", "learning_rate", "batch", "epochs", "seed",
    "train_rows", "train_rows_from", "first_epoch_training_loss",
)  # fmt: skip
SAMPLES = re.compile(r"(\d+)(k?)-samples")
OTHER_DATA = re.compile("twitter|amzn")  # cards whose names say that the reviews are not IMDb's


def test_seventy_one_runs_give_a_reference_where_enough_had_as_many_rows() -> None:
    runs = published_runs()
    assert len(runs) == 71
    assert all(0 < float(run["accuracy"]) < 1 for run in runs)
    assert accuracies(25_000) is not None
    assert accuracies(10) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection is not part of this repository")
def test_the_file_is_condensed_from_the_collection() -> None:
    with (SHARED / "published_runs.csv").open(encoding="utf-8", newline="") as stream:
        rows = condense(csv.DictReader(stream))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = ROOT / "cardproof/claims/published.csv"
    assert path.read_text(encoding="utf-8") == text.getvalue()


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
        known_rows, source = train_rows(row, step)
        as_it_stands = ("card", "accuracy", "eval_loss", "lr", "batch", "epochs", "seed")
        values = (*(row[key] for key in as_it_stands), known_rows, source, loss)
        condensed.append(dict(zip(COLUMNS, values, strict=True)))
    return condensed


def train_rows(row: Mapping[str, str], step: int | None) -> tuple[str, str]:
    """How many reviews a run was trained on, and what gives it away; both empty if nothing does."""
    name = SAMPLES.search(row["card"])
    if OTHER_DATA.search(row["card"]):
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

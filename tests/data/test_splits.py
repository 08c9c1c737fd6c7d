"""Splits: those of the cards, on the real reviews, and what is in them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from cardproof.data.reviews import draw_balanced, read_reviews
from cardproof.data.splits import SplitError, describe_splits, make_splits
from cardproof.data.user_files import ReviewsError, read_reviews_file
from cardproof.recipe.schema import Split
from cardproof.training.trainer import steps_per_epoch
from tests.recipe.files import recipe_of
from tests.recipe.test_load import CARDS

# As the cards print them: rows of each set, optimizer steps of the whole recipe.
PUBLISHED = {
    "grojeda": ({"train": 22_500, "validation": 2_500, "test": 25_000}, 2_814),
    "deepaxion": ({"train": 25_000, "test": 25_000}, 9_375),
    "template": ({"train": 25_000, "test": 100}, 4_689),
    "llm_project": ({"train": 20_000, "validation": 5_000}, 3 * 1_250),
    "hansaht": ({"train": 25_000, "test": 25_000}, 5 * 1_563),
}


@pytest.fixture(scope="module")
def real(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    folder = mirror / "datasets/stanfordnlp/imdb/plain_text"
    scratch = tmp_path_factory.mktemp("scratch")
    train, test = (
        read_reviews(folder / f"{n}-00000-of-00001.parquet", scratch) for n in ("train", "test")
    )
    return train, test


@pytest.mark.parametrize("card", CARDS)
def test_sizes_and_steps_on_the_real_reviews_are_the_printed_ones(
    real: tuple[Dataset, Dataset], card: str
) -> None:
    recipe = recipe_of(card)
    sets = make_splits(*real, recipe.split)
    rows, steps = PUBLISHED[card]
    assert {name: len(reviews) for name, reviews in sets.items()} == rows
    per_epoch = steps_per_epoch(len(sets["train"]), recipe.train.batch_size)
    assert per_epoch * recipe.train.epochs == steps
    if card == "template":
        assert sum(sets["test"]["label"]) == 50


def test_a_holdout_is_the_datasets_librarys_own(real: tuple[Dataset, Dataset]) -> None:
    split = split_of(validation="holdout", test_size=0.1, seed=42)
    ours = make_splits(*real, split)
    theirs = real[0].train_test_split(test_size=0.1, seed=42)
    assert ours["train"]["row"] == theirs["train"]["row"]
    assert ours["validation"]["text"] == theirs["test"]["text"]


def test_repeats_of_the_real_reviews_are_the_known_ones(real: tuple[Dataset, Dataset]) -> None:
    facts = describe_splits(make_splits(*real, split_of()))
    assert (facts["train_repeats"], facts["test_repeats"], facts["test_in_train"]) == (96, 199, 123)
    assert facts["test_in_train_relabelled"] == 0


def split_of(**changes: object) -> Split:
    values = {"validation": "none", "test_size": None, "seed": None, "scored": "test"}
    return Split.model_validate(values | {"scored_rows": "all"} | changes)


def synthetic(rows: int, prefix: str = "") -> Dataset:
    labels = [0] * (rows // 2) + [1] * (rows - rows // 2)
    return Dataset.from_dict(
        {"text": [f"{prefix}{i}" for i in range(rows)], "label": labels, "row": list(range(rows))}
    )


def test_a_balanced_draw_keeps_order_and_takes_the_shuffles_first_rows() -> None:
    reviews = synthetic(1000)
    drawn = draw_balanced(reviews, 101, seed=7)
    assert sum(drawn["label"]) == 51
    assert list(drawn["row"]) == sorted(drawn["row"])
    shuffled = reviews.shuffle(seed=7)
    negatives = [
        r for r, label in zip(shuffled["row"], shuffled["label"], strict=True) if not label
    ]
    assert set(negatives[:50]) <= set(drawn["row"])
    assert len(draw_balanced(reviews, 5000, seed=7)) == 1000


def test_limits_are_of_each_split_and_the_test_rows_may_have_their_own() -> None:
    train, test = synthetic(400), synthetic(300, "t")
    split = split_of(validation="holdout", test_size=0.25, seed=1)
    sizes = {k: len(v) for k, v in make_splits(train, test, split, limit=100).items()}
    assert sizes == {"train": 75, "validation": 25, "test": 100}
    sizes = {k: len(v) for k, v in make_splits(train, test, split, limit=8, test_limit=200).items()}
    assert sizes == {"train": 6, "validation": 2, "test": 200}


def test_a_share_that_leaves_no_row_is_refused_by_its_key() -> None:
    rows = Dataset.from_dict({"text": ["a", "b"] * 10, "label": [0, 1] * 10})
    split = Split.model_validate(
        {"validation": "holdout", "test_size": 0.96, "seed": 1, "scored": "test",
         "scored_rows": "all"}
    )  # fmt: skip
    with pytest.raises(SplitError, match=r"split\.test_size: 0\.96 of 20 rows"):
        make_splits(rows, rows, split)


def test_repeats_are_counted_within_and_across_sets() -> None:
    train = Dataset.from_dict({"text": ["a", "a", "b", "c"], "label": [0, 0, 1, 1]})
    test = Dataset.from_dict({"text": ["a", "c", "d", "d"], "label": [0, 0, 1, 1]})
    facts = describe_splits({"train": train, "test": test})
    assert (facts["train_repeats"], facts["test_repeats"]) == (1, 1)
    assert (facts["test_in_train"], facts["test_in_train_relabelled"]) == (2, 1)
    assert facts["train_positive_share"] == 0.5


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "stars": [1]}, "must have one column label; its columns: 'text', 'stars'"),
        ({"text": ["a", "b"], "label": [0, 2]}, "row 2: label 2; labels must be the whole"),
        ({"text": ["a", None], "label": [0, 1]}, "row 2: text is null"),
        ({"text": [1, 2], "label": [0, 1]}, "column text is of type int64; make it string"),
        ({"text": ["a", "b"], "label": [0, None]}, "row 2: label None"),
    ],
)
def test_reviews_of_another_shape_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    path = tmp_path / "reviews.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ReviewsError, match=message):
        list(read_reviews_file(path))


def test_reading_keeps_odd_line_breaks_and_the_files_order(tmp_path: Path) -> None:
    texts = ["one\u0085two", "b\u2028", "nbsp\u00a0"]
    pq.write_table(pa.table({"text": texts, "label": [1, 0, 1]}), tmp_path / "r.parquet")
    reviews = read_reviews(tmp_path / "r.parquet", tmp_path)
    assert list(reviews["text"]) == texts
    assert np.array_equal(reviews["row"], [0, 1, 2])

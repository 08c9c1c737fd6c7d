"""Which rows are trained on, validated on and scored: a card's split, and what is in it."""

from itertools import combinations

from datasets import Dataset

from cardproof.data.duplicates import repeats_earlier, text_key
from cardproof.data.reviews import draw_balanced
from cardproof.errors import CardproofError
from cardproof.recipe.schema import Split

BATCH = 1000  # reviews held as text at once
DEFAULT_SEED = 42  # for drawing `data.limit` rows where the split itself has no seed


class SplitError(CardproofError):
    """Rows that cannot be split as the card says."""


def make_splits(
    train: Dataset,
    test: Dataset,
    split: Split,
    *,
    limit: int | None = None,
    test_limit: int | None = None,
) -> dict[str, Dataset]:
    """Split reviews as a card did.

    Args:
        train: the reviews to train on, in the hub's order.
        test: the reviews kept for testing, likewise.
        split: the card's split.
        limit: use at most this many rows of each, drawn balanced by label.
        test_limit: another limit for `test`.

    Returns:
        "train", and "validation" and "test" where the card uses them.

    Raises:
        SplitError: the share to hold out leaves one side without a row.
    """
    seed = DEFAULT_SEED if split.seed is None else split.seed
    if limit is not None:
        train = draw_balanced(train, limit, seed)
        test_limit = test_limit or limit
    if test_limit is not None:
        test = draw_balanced(test, test_limit, seed)
    sets = {"train": train}
    if split.validation == "holdout":
        try:
            parts = train.train_test_split(test_size=split.test_size, seed=split.seed)
        except ValueError as error:
            raise SplitError(
                f"split.test_size: {split.test_size} of {len(train):,} rows cannot be held "
                f"out, for some must be left on both sides; choose another share ({error})"
            ) from error
        sets = {"train": parts["train"], "validation": parts["test"]}
    if "test" in (split.scored_set, split.validation_set):
        rows = len(test) if split.scored_rows == "all" else split.scored_rows
        sets["test"] = draw_balanced(test, rows, seed)
    return sets


def describe_splits(sets: dict[str, Dataset]) -> dict[str, float]:
    """Count rows, label balance and repeated texts.

    Returns:
        For each set: `<set>_rows`, `<set>_positive_share`, `<set>_repeats` (rows whose text
        occurs earlier in the same set). For each pair of sets: `<a>_in_<b>`, distinct texts that
        stand in both, and `<a>_in_<b>_relabelled`, those of them that have another label there.
    """
    facts: dict[str, float] = {}
    labels_of: dict[str, dict[bytes, int]] = {}
    for name, reviews in sets.items():
        keys: list[bytes] = []
        for batch in reviews.iter(BATCH):
            keys += map(text_key, batch["text"])
        labels = reviews["label"][:]
        facts[f"{name}_rows"] = len(keys)
        facts[f"{name}_positive_share"] = sum(labels) / len(labels)
        facts[f"{name}_repeats"] = int(repeats_earlier(keys).sum())
        labels_of[name] = dict(zip(keys, labels, strict=True))
    for (first, earlier), (second, later) in combinations(labels_of.items(), 2):
        both = earlier.keys() & later.keys()
        facts[f"{second}_in_{first}"] = len(both)
        facts[f"{second}_in_{first}_relabelled"] = sum(earlier[k] != later[k] for k in both)
    return facts

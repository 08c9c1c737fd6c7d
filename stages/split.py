"""Split the reviews as the card did, and count what each part is made of."""

from pathlib import Path

from cardproof.cli import run_stage
from cardproof.files import working_folder, write_json
from cardproof.params import load_recipe


def main() -> None:
    """Write data/split/<set>.parquet (text, label, row) and metrics/split.json."""
    recipe = load_recipe()
    from cardproof.reviews import read_reviews
    from cardproof.splits import describe_splits, make_splits

    sets = make_splits(
        read_reviews(Path("data/reviews/train.parquet")),
        read_reviews(Path("data/reviews/test.parquet")),
        recipe.split,
        limit=recipe.data.limit,
        test_limit=recipe.data.test_limit,
    )
    with working_folder(Path("data/split")) as folder:
        for name, reviews in sets.items():
            reviews.to_parquet(folder / f"{name}.parquet")
            print(f"{name}: {len(reviews):,} reviews")
    write_json(Path("metrics/split.json"), describe_splits(sets))


if __name__ == "__main__":
    run_stage("split", __doc__, main)

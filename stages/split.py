"""Split the reviews as the card did, and count what each part is made of."""

from pathlib import Path

from cardproof.files import checksummed_folder, scratch_folder, write_json
from cardproof.imports import quick_imports
from cardproof.recipe.identity import ORIGIN
from cardproof.recipe.stages import SplitRecipe, read_stage_recipe
from cardproof.stage import run_stage

SCRATCH = Path(".dvc/tmp/split")  # ignored by Git; what lies there is of this machine only

READS = {"data/reviews": "download"}


def main() -> None:
    """Write data/split/<set>.parquet (text, label, row) and metrics/split.json."""
    recipe = read_stage_recipe(SplitRecipe)
    with quick_imports():
        from datasets import disable_progress_bars

        from cardproof.data.provide import identify_reviews
        from cardproof.data.reviews import read_reviews
        from cardproof.data.splits import describe_splits, make_splits

    reviews_identity = identify_reviews()  # checks each row, too
    disable_progress_bars()  # of copying and writing: a second at most
    with scratch_folder(SCRATCH) as scratch:
        sets = make_splits(
            read_reviews(Path("data/reviews/train.parquet"), scratch),
            read_reviews(Path("data/reviews/test.parquet"), scratch),
            recipe.split,
            limit=recipe.limit,
            test_limit=recipe.test_limit,
        )
        with checksummed_folder(Path("data/split")) as folder:
            for name, reviews in sets.items():
                reviews.to_parquet(folder / f"{name}.parquet")
                print(f"{name}: {len(reviews):,} reviews")
            write_json(folder / ORIGIN, {"reviews": reviews_identity})
        write_json(Path("metrics/split.json"), describe_splits(sets))


if __name__ == "__main__":
    run_stage("split", __doc__, main, reads=READS)

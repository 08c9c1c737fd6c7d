"""Read params.yaml and refuse its faults, all at once, before any other stage runs."""

from pathlib import Path

from cardproof.files import write_text_atomic
from cardproof.recipe.params import load_recipe
from cardproof.stage import run_stage


def main() -> None:
    """Check the parameters and say what is going to run."""
    recipe = load_recipe()
    print(f"card {recipe.name}: reviews {recipe.reviews_name}, base {recipe.base_name}")
    for deviation in recipe.deviations:
        print(
            f"  deviates from the card: {deviation.key} is {deviation.ours}, not {deviation.card}"
        )
    # The text never changes, so that a new parameter alone invalidates no later stage.
    write_text_atomic(Path("data/checked.txt"), "params.yaml has no faults\n")


if __name__ == "__main__":
    run_stage("check", __doc__, main)

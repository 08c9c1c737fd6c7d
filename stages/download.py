"""Resolve the recipe, and fetch the reviews and the base that it names, known by their sha256.

params.yaml, cards/ and sources.yaml are checked before anything is touched; reviews and a base that
are there and right are left alone.

The sample is embedded, in sample/hub. All else comes from the folder that CARDPROOF_MIRROR names,
laid out like the hub, or from the hub, by way of its client's cache (HF_HOME and HF_ENDPOINT are
respected). The IMDb reviews may also lie in that folder as the original archive,
aclImdb_v1.tar.gz, or unpacked. User files are read where sources.yaml says. No other stage uses the
network.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from cardproof.data.provide import identify, provide_base, provide_reviews, provide_user_reviews
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.identity import identified
from cardproof.recipe.load import load_recipe
from cardproof.recipe.schema import Recipe
from cardproof.recipe.stages import write_stage_recipes
from cardproof.stage import run_stage


def main() -> None:
    """Write data/reviews, data/base and, when they are there, data/recipe/<stage>.json."""
    try:
        _download(load_recipe())
    except RecipeError as error:
        raise RecipeError(error.faults, _how_to_undo(os.environ)) from error


def _how_to_undo(variables: Mapping[str, str]) -> str:
    """What DVC leaves behind where it refuses `-S`: in a copy of the repository, nothing."""
    in_place = Path(variables.get("DVC_ROOT", ".")).absolute() == Path.cwd()
    if "DVC_EXP_BASELINE_REV" not in variables or not in_place:
        return ""
    return (
        "What -S set stays in params.yaml: change it there, or undo all that changed there since "
        "the last commit by `git checkout params.yaml`."
    )


def _download(recipe: Recipe) -> None:
    _say(recipe)
    # A queued run works in a folder of its own: a relative name is meant from the original.
    root = Path(os.environ.get("DVC_ROOT", "."))
    if recipe.user_reviews:
        lines = provide_user_reviews(recipe.reviews_name, recipe.reviews, root)
    else:
        lines = provide_reviews(recipe.reviews, root)
    print(*lines, sep="\n", flush=True)
    print(*provide_base(recipe.base, root), sep="\n")
    recipe = identified(recipe, identify())
    for deviation in recipe.deviations:
        if deviation.why:
            print(f"  not the card's {deviation.key}: {deviation.why}")
    write_stage_recipes(recipe)


def _say(recipe: Recipe) -> None:
    print(f"card {recipe.name}: reviews {recipe.reviews_name}, base {recipe.base_name}")
    for deviation in recipe.deviations:
        print(
            f"  deviates from the card: {deviation.key} is {deviation.ours}, not {deviation.card}"
        )


if __name__ == "__main__":
    run_stage("download", __doc__, main, network=True)

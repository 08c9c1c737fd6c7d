"""Check the recipe's files and the environment without running anything: `cardproof check`.

`make repro` does so before DVC reads params.yaml: DVC expands every alias there, and a file that
was made to do harm keeps it busy or ends it in an error of its own. It also removes a stage's
outputs before the stage can refuse a variable.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from cardproof.recipe.environment import VariableError, check_environment
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import load_recipe
from cardproof.recipe.schema import Recipe
from cardproof.text import listed

EXIT_FAULTS = 2

_EPILOG = """\
examples:
  cardproof check          params.yaml, cards/ and sources.yaml in the folder here
  cardproof check --quiet  faults only

exit codes: 0 nothing is wrong; 2 there are faults, each printed with its key or variable.
"""


def main(arguments: Sequence[str]) -> int:
    """Check the environment, params.yaml, cards/ and sources.yaml here; the exit code."""
    parser = argparse.ArgumentParser(
        prog="cardproof check",
        description="Say what is wrong in params.yaml, cards/, sources.yaml and the environment's "
        "variables; nothing is run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quiet", action="store_true", help="print faults only")
    quiet = parser.parse_args(arguments).quiet
    try:
        check_environment(os.environ)
        recipe = load_recipe()
    except (VariableError, RecipeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAULTS
    if not quiet:
        print(f"card {recipe.name}: no faults; {_overridden(recipe)}")
    return 0


def _overridden(recipe: Recipe) -> str:
    """What params.yaml overrides, and whether that deviates from the card, as the report has it."""
    keys = [deviation.key for deviation in recipe.deviations if deviation.key != "train.seed"]
    open_keys = [key for key in keys if recipe.card.leaves_open(key)]
    deviating = [key for key in keys if key not in open_keys]
    said = [f"deviates from the card in {listed(deviating) if deviating else 'nothing'}"]
    if open_keys:
        said.append(f"sets {listed(open_keys)}, which the card leaves unspecified")
    if len(keys) < len(recipe.deviations):
        said.append("trains with another seed")
    return "; ".join(said)

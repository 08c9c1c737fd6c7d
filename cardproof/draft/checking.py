"""Whether the recipe's files would be accepted with a draft among them."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import CARDS, RawFiles, resolve


def faults_with(text: str, name: str, files: RawFiles) -> list[str]:
    """What a run would refuse about a card's file; empty if nothing.

    Args:
        text: of the card's file.
        name: of the card.
        files: the recipe's other files.
    """
    card = YAML(typ="safe", pure=True).load(StringIO(text))
    others = {other: content for other, content in files.cards.items() if other != name}
    try:
        resolve(replace(files, cards={**others, name: card}))
    except RecipeError as error:
        path = str(CARDS / Path(f"{name}.yaml"))
        return [fault for fault in error.faults if fault.startswith(f"{path}:")]
    return []

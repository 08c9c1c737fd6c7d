"""The repository's own recipe files, with other values, for tests."""

import copy
from functools import cache

from cardproof.recipe.load import RawFiles, read_files, resolve
from cardproof.recipe.schema import Recipe
from tests.conftest import ROOT


@cache
def _files() -> RawFiles:
    return read_files(ROOT)


def raw_files(**overrides: object) -> RawFiles:
    """The parsed files, to be changed; `train__seed=1` sets train.seed in params.yaml."""
    raw = copy.deepcopy(_files())
    for key, value in overrides.items():
        section, _, field = key.partition("__")
        if field:
            raw.params[section][field] = value
        else:
            raw.params[section] = value
    return raw


def recipe_of(card: str = "sample", **overrides: object) -> Recipe:
    """The recipe of a card, with overrides as in `raw_files`."""
    return resolve(raw_files(card=card, **overrides))

"""The resolved recipe as files, one a stage: each stage depends on nothing but its own.

So an override or a claim runs again what depends on it, and no more. `download` writes them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from cardproof.files import working_folder, write_text_atomic
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.schema import Recipe, Section, Split, Tokenize, Train

FOLDER = Path("data/recipe")


class SplitRecipe(Section):
    """What `split` needs: at most `limit` rows of train and of test, `test_limit` of test."""

    split: Split
    limit: int | None
    test_limit: int | None


class TrainRecipe(Section):
    """What `train` needs.

    Attributes:
        train: the hyperparameters.
        evaluation_batch_size: rows of a batch of validation.
        validation_set: the row set to validate on; None without one.
        labels: names of classes 0 and 1; None for those of the base.
        max_length: in tokens; it goes with the model's tokenizer.
        base: the repository's name.
        processes: how many share each batch.
    """

    train: Train
    evaluation_batch_size: int
    validation_set: Literal["validation", "test"] | None
    labels: list[str] | None
    max_length: int
    base: str
    processes: int


class EvaluateRecipe(Section):
    """What `evaluate` needs: the sets to score, the first of them for the headline figures."""

    sets: list[Literal["validation", "test"]]
    batch_size: int
    precision: Literal["fp32", "bf16", "fp16"]
    max_length: int


R = TypeVar("R", bound=Section)
_NAMES: dict[type[Section], str] = {
    SplitRecipe: "split",
    Tokenize: "tokenize",
    TrainRecipe: "train",
    EvaluateRecipe: "evaluate",
    Recipe: "report",
}


def stage_recipes(recipe: Recipe) -> Mapping[str, Section]:
    """What each stage needs of a recipe, by the stage's name."""
    split = recipe.split
    parts: list[Section] = [
        SplitRecipe(split=split, limit=recipe.data.limit, test_limit=recipe.data.test_limit),
        recipe.tokenize,
        TrainRecipe(
            train=recipe.train,
            evaluation_batch_size=recipe.evaluate.batch_size,
            validation_set=split.validation_set,
            labels=recipe.card.labels,
            max_length=recipe.tokenize.max_length,
            base=recipe.base.repository,
            processes=recipe.processes,
        ),
        EvaluateRecipe(
            sets=list(dict.fromkeys([split.scored_set, split.validation_set or split.scored_set])),
            batch_size=recipe.evaluate.batch_size,
            precision=recipe.train.precision,
            max_length=recipe.tokenize.max_length,
        ),
        recipe,
    ]
    return {_NAMES[type(part)]: part for part in parts}


def write_stage_recipes(recipe: Recipe, folder: Path = FOLDER) -> None:
    """Write each stage's part of a recipe to `folder`: all of them, or none."""
    with working_folder(folder) as work:
        for name, part in stage_recipes(recipe).items():
            write_text_atomic(work / f"{name}.json", part.model_dump_json(indent=2) + "\n")


def read_stage_recipe(kind: type[R], folder: Path = FOLDER) -> R:
    """Read a stage's part of the recipe: `Recipe` for the report, which needs all of it.

    Raises:
        RecipeError: the file is missing, or of another version of this project.
    """
    path = folder / f"{_NAMES[kind]}.json"
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = "missing" if isinstance(error, OSError) else "of another version"
        raise RecipeError(
            [f"{path}: {reason}; run `dvc repro download`, which writes it"]
        ) from error


def parse_recipe(content: bytes) -> Recipe:
    """The recipe of a finished run, as its report had it; keys that are no more are left out.

    Raises:
        ValueError: it is no recipe of this project.
    """
    return Recipe.model_validate_json(content, extra="ignore")

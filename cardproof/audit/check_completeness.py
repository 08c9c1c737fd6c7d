"""What a card leaves out, or leaves in of a template: asked for with `--completeness`."""

import re
from collections.abc import Iterator

from cardproof.audit.facts import CardFacts, Finding
from cardproof.audit.vocabulary import split_in

_BLANK = re.compile(r"X\.X|XX ?%")


def check_reading(facts: CardFacts) -> Iterator[Finding]:
    """What could not be found or read."""
    for problem in facts.problems:
        yield Finding("not-found", "note", problem, "looked for in the whole document")
    if facts.front_matter.state == "broken":
        yield Finding(
            "broken-metadata",
            "warning",
            "Its metadata block is not valid YAML; what keys could be found were read.",
            facts.front_matter.detail[:200] or "its parser did not say why",
        )


def check_placeholders(facts: CardFacts) -> Iterator[Finding]:
    """Passages of a template that nobody filled in."""
    if facts.placeholders:
        count = len(facts.placeholders)
        shown = "; ".join(f"line {quote.line}: {quote.text}" for quote in facts.placeholders[:12])
        yield Finding(
            "placeholders",
            "warning",
            f"{count} {'passage' if count == 1 else 'passages'} of a template "
            f"{'was' if count == 1 else 'were'} left in, to be filled in or removed.",
            shown + (f"; and {count - 12} more" if count > 12 else ""),
        )


def check_blanks(facts: CardFacts) -> Iterator[Finding]:
    """Figures that nobody filled in."""
    blanks = [quote for quote in facts.placeholders if _BLANK.search(quote.text)]
    if blanks:
        yield Finding(
            "blank-figures",
            "note",
            "Its figures are placeholders.",
            "; ".join(f"line {quote.line}: {quote.text}" for quote in blanks[:12]),
            blanks[0].line,
        )


def check_split(facts: CardFacts) -> Iterator[Finding]:
    """A score that the metadata assigns to training rows."""
    for name in dict.fromkeys(split.text for split in facts.splits):
        if split_in(name) == "train":
            yield Finding(
                "split-named-train",
                "note",
                "Its metadata says that its scores are of the split `train`: of rows it was "
                "trained on, or of some that were held out of it. Older Trainers named the split "
                "of the training data whatever was scored.",
                f"model-index, dataset, split: {name}",
            )
        elif "train" in name.lower() and "test" in name.lower():
            yield Finding(
                "split-mixes-train-and-test",
                "warning",
                "Its metadata says that its data mix the train and the test split: rows of the "
                "official test split may have been trained on.",
                f"model-index, dataset, split: {name}",
            )


def check_missing(facts: CardFacts) -> Iterator[Finding]:
    """Licence, base model and data: missing altogether, or in the prose only."""
    metadata = facts.front_matter
    fields = (
        ("licence", "license", facts.licence, metadata.licence),
        ("base model", "base_model", facts.base, next(iter(metadata.base_models), None)),
        ("data set", "datasets", facts.dataset, next(iter(metadata.datasets), None)),
    )
    for what, key, anywhere, in_metadata in fields:
        if not anywhere:
            yield Finding(
                f"missing-{key.replace('_', '-')}",
                "warning",
                f"It names no {what}.",
                f"neither `{key}:` in its metadata nor its text",
            )
        elif not in_metadata and metadata.state != "absent":
            yield Finding(
                f"{key.replace('_', '-')}-not-in-metadata",
                "note",
                f"It names its {what} in the text only, where the hub does not look.",
                f"text: {anywhere}; no `{key}:` in its metadata",
            )


def check_missing_recipe(facts: CardFacts) -> Iterator[Finding]:
    """Hyperparameters without which nobody can repeat the run."""
    recipe = facts.hyperparameters
    values = {
        "learning rate": recipe.learning_rate,
        "batch size": recipe.rows_per_step,
        "number of epochs or steps": recipe.epochs or recipe.max_steps or recipe.steps,
        "seed": recipe.seed,
    }
    missing = [name for name, value in values.items() if value is None]
    if missing:
        found = ", ".join(
            f"{name} {value:g}" for name, value in values.items() if value is not None
        )
        yield Finding(
            "missing-hyperparameters",
            "warning",
            f"It does not state its {', '.join(missing)}: the run cannot be repeated as it was.",
            f"found: {found or 'none of them'}",
        )

"""What a card leaves out, leaves in, or says twice and differently."""

from collections.abc import Iterator
from itertools import combinations

from cardproof.audit.facts import CardFacts, Claim, Finding
from cardproof.audit.vocabulary import split_in

_MOST_COMPARED = 100


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


def check_split(facts: CardFacts) -> Iterator[Finding]:
    """A score that the metadata assigns to training rows."""
    for name in dict.fromkeys(split.text for split in facts.splits):
        if split_in(name) == "train":
            yield Finding(
                "split-named-train",
                "warning",
                "Its metadata says that its scores are of the split `train`. Either they are of "
                "rows it was trained on, or the name is wrong: the Trainer writes the split of the "
                "data set it was given.",
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


def check_figures_agree(facts: CardFacts) -> Iterator[Finding]:
    """One metric with two values."""
    claims = [claim for claim in facts.claims if not claim.printed.text.startswith(("~", "≈"))]
    said: set[str] = set()
    for one, other in combinations(claims[:_MOST_COMPARED], 2):
        if one.metric in said or not _same_quantity(one, other) or _overlap(one, other):
            continue
        said.add(one.metric)
        sources = {one.source, other.source}
        kind = "figures-differ" if len(sources) > 1 else "metric-twice"
        yield Finding(
            kind,
            "warning",
            f"It gives two values of {one.metric}: {one.printed.text} ({_place(one)}) and "
            f"{other.printed.text} ({_place(other)}).",
            f"{one.printed.figure.low:.6g} to {one.printed.figure.high:.6g} and "
            f"{other.printed.figure.low:.6g} to {other.printed.figure.high:.6g} do not meet",
        )


def _same_quantity(one: Claim, other: Claim) -> bool:
    """Whether nothing in the card says that two claims are of different things."""
    one_split = None if one.source == "metadata" and one.split == "train" else one.split
    other_split = None if other.source == "metadata" and other.split == "train" else other.split
    return (
        one.metric == other.metric
        and one.subject == other.subject
        and _compatible(one.average, other.average)
        and _compatible(one_split, other_split)
    )


def _compatible(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _overlap(one: Claim, other: Claim) -> bool:
    first, second = one.printed.figure, other.printed.figure
    return first.low <= second.high and second.low <= first.high


def _place(claim: Claim) -> str:
    return claim.source if claim.source == "metadata" else f"{claim.source}, line {claim.line}"

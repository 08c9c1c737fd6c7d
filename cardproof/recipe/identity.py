"""What reviews and bases are, by their bytes: a name in sources.yaml can be given to anything.

A card names its reviews and its base. What those names stand for is written down here, apart from
sources.yaml: the rows and the files as they were published. `download` compares what it put into
data/ with that, and what does not agree is renamed, so that no later stage takes it for the card's.

Each stage measures what it reads, and writes that beside what it makes of it: an `identity.json`
goes with the rows, the tokens, the model and its predictions, and no folder is used with another
that was made from something else.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cardproof.errors import CardproofError
from cardproof.files import CHECKSUMS
from cardproof.recipe.schema import Deviation, Identity, Recipe

CHANGED = "-changed"  # after a name whose bytes are not those that it stands for
ORIGIN = "identity.json"  # in a folder: what it was made from

Origin = Mapping[str, str]  # the identity of "reviews", "base" or "model"


class IdentityError(CardproofError):
    """Folders that were not made from the same things."""


class Published(NamedTuple):
    """A repository as published: its name there, and the identity of what is used of it."""

    repository: str
    identity: str


REVIEWS = {
    "sample": Published(
        "cardproof/sample-reviews",
        "8fa6ec6c045ab4bcf7a7d27dee3747e4a3856e799e62f5775eb7aeaf53498411",
    ),
    "imdb": Published(
        "stanfordnlp/imdb",
        "3a9d271baf18793f67b7d5bb6867b841d7ef43e8c6aaf9d88f5139867dfe24ba",
    ),
}
BASES = {
    "sample": Published(
        "cardproof/sample-distilbert",
        "88e98c7bce945c779a3ae8977fa0576cfde2502b8573da6fd2e3f728e1b8dd7b",
    ),
    "distilbert": Published(
        "distilbert/distilbert-base-uncased",
        "d4f50d224c1e0c6c835058ee3e46d62d375fec07d241cf2a3e078776817da387",
    ),
    "distilbert-sst2": Published(
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "b0b99d47dad77a7261dc655e3294c519f7b8b2766271130d7c8fbceea21bf784",
    ),
    "minilm": Published(
        "sentence-transformers/all-MiniLM-L6-v2",
        "9425202fa5f82dd3338713b8bfac3c58b2e9bd3c0379cb75b9b8b5c6e17b1b7f",
    ),
}


def identity_of(parts: Mapping[str, str]) -> str:
    """The sha256 over names and their checksums, in the order of the names.

    Args:
        parts: of reviews, the checksum over the rows of train and of test; of a base, the sha256 of
            each file by its name.
    """
    lines = (f"{name} {checksum}\n" for name, checksum in sorted(parts.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def identity_of_base(folder: Path) -> str:
    """The identity of a base by the checksums beside it, which a stage verifies as it starts."""
    checksums: dict[str, str] = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    return identity_of(checksums)


def read_origin(folder: Path) -> Origin:
    """What a folder was made from, as the stage that made it wrote it there.

    Raises:
        IdentityError: it does not say.
    """
    try:
        origin: dict[str, str] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"{folder} does not say what it was made from ({error}); `dvc repro` makes it again"
        ) from error
    return origin


def origin_of(recipe: Recipe) -> Origin:
    """What a recipe's run is made from; nothing where that is not on record."""
    return recipe.identity.model_dump() if recipe.identity else {}


def common_origin(origins: Mapping[str, Origin]) -> dict[str, str]:
    """What folders were made from, taken together.

    Args:
        origins: what each says, by its name.

    Raises:
        IdentityError: two of them were made from different reviews, bases or models.
    """
    known: dict[str, tuple[str, str]] = {}
    for folder, origin in origins.items():
        for what, identity in origin.items():
            of_other, other = known.setdefault(what, (identity, folder))
            if identity != of_other:
                raise IdentityError(
                    f"{folder} is of another identity of {what} than {other}; `dvc repro` makes "
                    f"them again\n  {folder}: {identity}\n  {other}: {of_other}"
                )
    return {what: identity for what, (identity, _) in known.items()}


def identified(recipe: Recipe, used: Identity) -> Recipe:
    """The recipe with reviews and base named by what they are.

    Bytes that are as published bear the name of that, wherever they came from. Others lose a name
    and a repository that stand for published ones, and that is a deviation. Names that stand for
    nothing published are left as they are.

    Args:
        recipe: as resolved, by names.
        used: the identity of what lies in data/reviews and data/base.
    """
    reviews_name = _name(recipe.reviews_name, used.reviews, REVIEWS)
    base_name = _name(recipe.base_name, used.base, BASES)
    changes: dict[str, object] = {"identity": used}
    if _is_borrowed(recipe.reviews.repository, reviews_name, used.reviews, REVIEWS):
        unnamed = {"repository": reviews_name, "revision": None}
        changes |= {"reviews": recipe.reviews.model_copy(update=unnamed), "user_reviews": True}
    if _is_borrowed(recipe.base.repository, base_name, used.base, BASES):
        unnamed = {"repository": base_name, "revision": None}
        changes |= {"base": recipe.base.model_copy(update=unnamed)}
    deviations = [d for d in recipe.deviations if d.key not in ("data.reviews", "model.base")]
    for key, card, named, ours, published in (
        ("model.base", recipe.card.base, recipe.base_name, base_name, BASES),
        ("data.reviews", recipe.card.reviews, recipe.reviews_name, reviews_name, REVIEWS),
    ):
        if ours != card:
            lent = named in published and ours != named
            why = f"sources.yaml gives the name {named} to other bytes" if lent else ""
            deviations.insert(0, Deviation(key=key, card=card, ours=ours, why=why))
    names = {"reviews_name": reviews_name, "base_name": base_name, "deviations": deviations}
    return recipe.model_copy(update=changes | names)


def _name(entry: str, identity: str, published: Mapping[str, Published]) -> str:
    """What is to be called so: the published name of these bytes, or the entry's own."""
    for name, known in published.items():
        if known.identity == identity:
            return name
    return f"{entry}{CHANGED}" if entry in published else entry


def _is_borrowed(
    repository: str, name: str, identity: str, published: Mapping[str, Published]
) -> bool:
    """Whether a repository's name would be given to bytes that are not as published there."""
    of_name = {known.repository: known.identity for known in published.values()}
    return name.endswith(CHANGED) or of_name.get(repository, identity) != identity

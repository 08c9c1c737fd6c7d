"""Drafts real model cards and counts what became of them: `python -m dev.study.drafts`.

It reads the five documents of this project and, of a collection of cards from the hub, every one
that says "Training hyperparameters", was written by transformers' Trainer and is of IMDb, by
what the audit reads; there is no draw. results/drafts.md is what it prints, with `--write`.
No text of a card goes into it, and no name but those of the five.
"""

import argparse
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardproof.audit.reading import decode, read_card
from cardproof.draft.checking import faults_with
from cardproof.draft.drafting import Draft, DraftError, draft_card
from cardproof.draft.sources import UNKNOWN, read_sources
from cardproof.draft.writing import as_yaml
from cardproof.files import write_text_atomic
from cardproof.recipe.load import RawFiles, read_files

PAGE = Path("results/drafts.md")
SHARED = Path("../shared")
ACCEPTED = "accepted as drafted"
LIMITED = "accepted; its number of rows is the -S data.limit that is printed"
MORE_ROWS = "accepted, but it was trained on more rows than train has"
NEEDS_BASE = "accepted once its base is added to sources.yaml"
NEEDS_NAME = "accepted once a base or data set, which it does not name, is filled in"
_STAND_IN: dict[str, Any] = {
    "repository": "a/b",
    "revision": None,
    "max_positions": 512,
    "files": {"config.json": "0" * 64},
}


@dataclass(frozen=True)
class Outcome:
    """What became of a card.

    Attributes:
        word: of the table.
        draft: of the card, if there is one.
    """

    word: str
    draft: Draft | None


def trainer_written(archive: tarfile.TarFile) -> Iterator[tuple[str, str]]:
    """Name and text of the cards of a collection that transformers' Trainer wrote of IMDb."""
    for member in archive:
        stream = archive.extractfile(member) if member.isfile() else None
        data = stream.read() if stream else b""
        if b"raining hyperparameters" not in data or b"imdb" not in data.lower():
            continue
        text, problems = decode(data)
        facts = read_card(text, problems)
        if facts.generated and facts.task.imdb:
            yield member.name, text


def outcome(text: str, files: RawFiles) -> Outcome:
    """Draft a card and check it as runs do.

    Args:
        text: of the card.
        files: the recipe's files.
    """
    try:
        draft = draft_card(text, read_sources(files.sources))
    except DraftError as error:
        return Outcome(f"not drafted: {_reason(error)}", None)
    written, unknown = as_yaml(draft), UNKNOWN in (draft.card["base"], draft.card["reviews"])
    faults = faults_with(written, draft.name, files)
    if faults and draft.new_base:
        bases = {**files.sources["bases"], draft.new_base[0]: _STAND_IN}
        faults = faults_with(
            written, draft.name, replace(files, sources={**files.sources, "bases": bases})
        )
        return Outcome(f"refused: {faults[0]}" if faults else NEEDS_BASE, draft)
    if faults:
        return Outcome(NEEDS_NAME if unknown else f"refused: {faults[0]}", draft)
    notes = " ".join(draft.unplaced)
    word = MORE_ROWS if "more than train has" in notes else ACCEPTED
    return Outcome(LIMITED if "data.limit=" in notes else word, draft)


def _reason(error: DraftError) -> str:
    masked = "masked language model" in str(error)
    return "its losses are of a masked language model" if masked else "it is no text classifier"


def render(five: Iterable[tuple[str, Outcome]], others: Iterable[Outcome]) -> str:
    """The page: a table of the project's five documents, and one of the others by outcome."""
    rows = [(title, one.word, *_counts(one.draft)) for title, one in five]
    columns = ("document", "outcome", "stated", "inferred", "assumed", "not placed")
    outcomes = list(others)
    words = Counter(one.word for one in outcomes)
    order = (ACCEPTED, LIMITED, MORE_ROWS, NEEDS_BASE, NEEDS_NAME)
    known = [word for word in order if word in words]
    counted = [(word, words[word]) for word in [*known, *sorted(words.keys() - set(order))]]
    return "\n".join(
        [
            "# Drafts of published cards",
            "",
            "`cardproof add` on model cards that nobody wrote a file for by hand. Written by",
            "`python -m dev.study.drafts --write`; how the cards are chosen is said there.",
            "",
            "## The five documents of this project",
            "",
            _markdown(rows, columns),
            "",
            f"## {len(outcomes)} cards that the Trainer wrote of IMDb",
            "",
            _markdown([*counted, ("all", len(outcomes))], ("outcome", "cards")),
            "",
            _bases(outcomes),
            "",
        ]
    )


def _counts(draft: Draft | None) -> tuple[int, int, int, int]:
    """Values that are stated, inferred and assumed, and what was printed."""
    card = draft.card if draft else {}
    sections = ("split", "tokenize", "train", "evaluate", "claims")
    stated = sum(len(card.get(section, {})) for section in sections)
    inferred, assumed = (len(card.get(key, {})) for key in ("inferred", "assumed"))
    return stated, inferred, assumed, len(draft.unplaced) if draft else 0


def _markdown(rows: Iterable[Iterable[object]], columns: Sequence[str]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _bases(outcomes: Iterable[Outcome]) -> str:
    """How many bases sources.yaml has no entry for."""
    drafts = (one.draft for one in outcomes if one.word == NEEDS_BASE)
    bases = {draft.new_base for draft in drafts if draft}
    return f"The bases to add are {len(bases)}." if bases else "No base is to be added."


def render_all(shared: Path, files: RawFiles) -> str:
    """The page of all cards in a folder: its `cards/` and its `model_cards.tar.gz`."""
    five = []
    for document in sorted((shared / "cards").iterdir()):
        result = outcome(decode(document.read_bytes())[0], files)
        five.append((str(result.draft.card["published_as"]) if result.draft else "", result))
    with tarfile.open(shared / "model_cards.tar.gz") as archive:
        others = [outcome(text, files) for _, text in trainer_written(archive)]
    return render(five, others)


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.study.drafts", description=(__doc__ or "").partition(":")[0] + "."
    )
    parser.add_argument("--shared", type=Path, default=SHARED, help="the folder of the cards")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}")
    options = parser.parse_args()
    page = render_all(options.shared, read_files())
    if options.write:
        write_text_atomic(PAGE, page)
    print(page)


if __name__ == "__main__":
    main()

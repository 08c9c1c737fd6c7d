"""Drafts real model cards and counts what became of them: `python -m dev.study.drafts`.

It reads the five documents of this project and, of a collection of cards from the hub, every one
that says "Training hyperparameters", was written by transformers' Trainer and is of IMDb, by
what the audit reads; there is no draw. It writes results/drafts.md. No text of a card goes into
that, and no name but those of the five.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cardproof.audit.reading import decode, read_card
from cardproof.draft.drafting import Draft, DraftError, as_yaml, draft_card, faults_with
from cardproof.draft.sources import UNKNOWN, read_sources
from cardproof.files import write_text_atomic
from cardproof.pages.templates import make_environment
from cardproof.recipe.load import RawFiles, read_files
from cardproof.recipe.schema import SECTIONS

PAGE, SHARED = Path("results/drafts.md"), Path("../shared")
ACCEPTED = "accepted as drafted"
NEEDS_BASE = "accepted once its base is added to sources.yaml"
_STAND_IN = {"repository": "a/b", "revision": None, "max_positions": 512,
             "files": {"config.json": "0" * 64}}  # fmt: skip

Outcome = tuple[str, Draft | None]  # in a few words what became of a card, and the draft if any


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
    """Draft a card and check it as runs do, with the recipe's files."""
    try:
        draft = draft_card(text, read_sources(files.sources))
    except DraftError as error:
        masked = "masked language model" in str(error)
        reason = "its losses are of a masked language model" if masked else "no text classifier"
        return f"not drafted: {reason}", None
    return _accepted(draft, files), draft


def _accepted(draft: Draft, files: RawFiles) -> str:
    """Whether a run would accept a draft, and what its user has to do."""
    notes, text = " ".join(draft.unplaced), as_yaml(draft)
    faults = faults_with(text, draft.name, files)
    if faults and draft.new_base:
        bases = files.sources["bases"] | {draft.new_base[0]: _STAND_IN}
        completed = replace(files, sources={**files.sources, "bases": bases})
        faults = faults_with(text, draft.name, completed)
        return f"refused: {faults[0]}" if faults else NEEDS_BASE
    if faults and UNKNOWN in (draft.card["base"], draft.card["reviews"]):
        return "accepted once a base or data set, which it does not name, is filled in"
    if faults:
        return f"refused: {faults[0]}"
    if draft.limit:
        return "accepted; its number of rows is the -S data.limit that is printed"
    beyond = "more than train has" in notes
    return "accepted, but it was trained on more rows than train has" if beyond else ACCEPTED


def render_all(shared: Path, files: RawFiles) -> str:
    """The page of all cards in a folder: its `cards/` and its `model_cards.tar.gz`."""
    documents = sorted((shared / "cards").iterdir())
    five = [outcome(decode(document.read_bytes())[0], files) for document in documents]
    with tarfile.open(shared / "model_cards.tar.gz") as archive:
        others = [outcome(text, files) for _, text in trainer_written(archive)]
    needed = {draft.new_base for word, draft in others if draft and word == NEEDS_BASE}
    template = make_environment(Path(__file__).parent / "templates").get_template("drafts.md.j2")
    outcomes = sorted(Counter(word for word, _ in others).items())
    rows = [_row(*one) for one in five]
    return template.render(rows=rows, outcomes=outcomes, bases=len(needed)) + "\n"


def _row(word: str, draft: Draft | None) -> list[object]:
    """Which card it is, what became of it, and how many values its draft has of each kind."""
    if draft is None:
        return ["-", word, 0, 0, 0, 0]
    kinds = (*SECTIONS, "claims"), ("inferred",), ("assumed",)
    counts = [sum(len(draft.card.get(key, ())) for key in keys) for keys in kinds]
    return [draft.card["published_as"], word, *counts, len(draft.unplaced)]


if __name__ == "__main__":
    write_text_atomic(PAGE, render_all(SHARED, read_files()))
    print(PAGE)

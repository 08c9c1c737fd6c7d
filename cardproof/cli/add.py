"""Draft a card's file from a published model card: `cardproof add README.md`."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cardproof.audit.reading import LARGEST, decode
from cardproof.draft.checking import faults_with
from cardproof.draft.document import shown
from cardproof.draft.drafting import Draft, draft_card
from cardproof.draft.hub import HubError, is_hub_id, pin_base, read_card_file
from cardproof.draft.sources import base_block, read_sources, reviews_block
from cardproof.draft.writing import as_yaml
from cardproof.errors import CardproofError
from cardproof.files import write_text_atomic
from cardproof.recipe.load import CARDS, read_files

EXIT_REFUSED_BY_RUNS = 1
EXIT_NOT_DRAFTED = 2

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_EPILOG = """\
examples:
  cardproof add README.md                draft cards/<the model's name>.yaml
  cardproof add README.md --name mine    draft cards/mine.yaml
  cardproof add owner/model              take the card from the hub
  curl -L URL | cardproof add - --force  from standard input, over a file of that name
  git add cards/mine.yaml                let DVC's queue and --temp have it
  dvc exp run -S card=mine               run it

Run it in the root of a clone. What the card states is written to its file; what follows from its
figures, under `inferred:`, with the arithmetic. The rest is left to cards/defaults.yaml, and what
has no place in the file is printed. exit codes: 0 drafted, and runs accept it; 1 drafted, but runs
refuse it until what is printed is done; 2 nothing was written.
"""


class AddError(CardproofError):
    """A card that is not written; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draft the card named on the command line; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _add(options)
    except (CardproofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOT_DRAFTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardproof add",
        description="Draft a card's file from a published model card.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "card", metavar="CARD", help="a model card, - for stdin, or owner/name on the hub"
    )
    parser.add_argument("--name", help="of the file (default: the model's own)")
    parser.add_argument(
        "--out", type=Path, default=CARDS, metavar="FOLDER", help="where to (default: cards)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    return parser


def _add(options: argparse.Namespace) -> int:
    if options.name is not None and not _NAME.fullmatch(options.name):
        raise AddError(f"--name {options.name!r}: use letters, digits, - and _ only")
    files = read_files()
    data, repository = _read(options.card)
    draft = draft_card(decode(data)[0], read_sources(files.sources), repository)
    name = options.name or draft.name
    path = options.out / f"{name}.yaml"
    if name == "defaults":
        raise AddError("cards/defaults.yaml is no card; choose another with --name")
    if path.exists() and not options.force:
        raise AddError(f"{path} is there already; choose another with --name, or add --force")
    text = as_yaml(draft)
    options.out.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, text)
    return _report(draft, name, path, faults_with(text, name, files), from_hub=bool(repository))


def _read(card: str) -> tuple[bytes, str | None]:
    """The card's bytes, as many as are ever looked at, and its repository if it is from the hub."""
    most = 4 * LARGEST + 1  # a character is at most four bytes
    if card == "-":
        return sys.stdin.buffer.read(most), None
    if Path(card).is_file():
        with Path(card).open("rb") as stream:
            return stream.read(most), None
    if is_hub_id(card):
        return read_card_file(card), card
    raise AddError(f"{card}: there is no such file; name a model card, or owner/name on the hub")


def _report(draft: Draft, name: str, path: Path, faults: Sequence[str], *, from_hub: bool) -> int:
    """Print what was drafted and what is left to do; the exit code."""
    keys = sum(len(value) if isinstance(value, dict) else 1 for value in draft.card.values())
    print(f"{path}: {keys} values drafted, {len(draft.defaults)} keys left to cards/defaults.yaml")
    if draft.unplaced:
        print("\nnot placed, or read with a doubt:")
        print("\n".join(f"  - {one}" for one in draft.unplaced))
    _print_entries(draft, from_hub=from_hub)
    if faults:
        print("\nuntil this is fixed, every run is refused, as all of cards/ is checked:")
        print("\n".join(f"  - {one}" for one in faults))
        return EXIT_REFUSED_BY_RUNS
    print(
        f"\ncompare it with the card, then\n"
        f"  git add {path}  (the queue and --temp take only what Git knows)\n"
        f"  dvc exp run -S card={name}"
    )
    return 0


def _print_entries(draft: Draft, *, from_hub: bool) -> None:
    """Print what to add to sources.yaml, the pins of a base included where the hub answers."""
    if draft.new_base:
        entry, repository = draft.new_base
        pins = None
        if from_hub:  # it could be reached a moment ago
            try:
                pins = pin_base(repository)
            except HubError as error:
                print(f"\nwithout checksums: {shown(str(error), 300)}")
        print(f"\nsources.yaml has no base {shown(repository)}; add under `bases:`")
        print(base_block(entry, repository, pins))
    if draft.new_reviews:
        entry, repository = draft.new_reviews
        print(f"\nsources.yaml has no reviews {shown(repository)}; add under `reviews:`")
        print(reviews_block(entry, repository))


if __name__ == "__main__":
    sys.exit(main())

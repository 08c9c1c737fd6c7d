"""Draft a card's file from a published model card: `cardproof add README.md`."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from cardproof.audit.reading import decode
from cardproof.cli.card import read_named
from cardproof.draft.document import LIMIT, shown
from cardproof.draft.drafting import Draft, DraftError, as_entries, as_yaml, draft_card, faults_with
from cardproof.draft.sources import pin_base, read_sources
from cardproof.errors import CardproofError
from cardproof.files import write_text_atomic
from cardproof.recipe.load import CARDS, read_files

EXIT_REFUSED_BY_RUNS = 1
EXIT_NOT_DRAFTED = 2

_EPILOG = """\
examples:
  cardproof add README.md --name mine    draft cards/mine.yaml
  cardproof add owner/model              take the card from the hub
  curl -L URL | cardproof add - --force  from standard input, over a file of that name
  git add cards/mine.yaml                let DVC's queue and --temp have it
  dvc exp run -S card=mine               run it

Run it in the root of a clone. exit codes: 0 drafted, and runs accept it; 1 drafted, but runs refuse
it until what is printed is done; 2 nothing was written.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draft the card named on the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="cardproof add",
        description="Draft a card's file from a published model card.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("card", metavar="CARD", help="a model card, - for stdin, or owner/name")
    parser.add_argument("--name", help="of the file (default: the model's own)")
    parser.add_argument(
        "--out", type=Path, default=CARDS, help="folder (default: cards, where runs look)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    try:
        return _add(parser.parse_args(arguments))
    except (CardproofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOT_DRAFTED


def _add(options: argparse.Namespace) -> int:
    if options.name is not None and not re.fullmatch("[A-Za-z0-9_-]+", options.name):
        raise CardproofError(f"--name {options.name!r}: use letters, digits, - and _ only")
    files = read_files()
    data, repository = read_named(options.card)
    try:
        draft = draft_card(decode(data)[0], read_sources(files.sources), repository)
    except DraftError as error:
        raise DraftError(f"{options.card}: {error}") from error
    name = options.name or draft.name
    path = options.out / f"{name}.yaml"
    if name == "defaults":
        raise CardproofError("cards/defaults.yaml is no card; choose another with --name")
    if path.exists() and not options.force:
        raise CardproofError(f"{path} is there already; choose another with --name, or add --force")
    text = as_yaml(draft)
    options.out.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, text)
    return _report(draft, name, path, faults_with(text, name, files), from_hub=bool(repository))


def _report(draft: Draft, name: str, path: Path, faults: Sequence[str], *, from_hub: bool) -> int:
    """Print what was drafted and what is left to do; the exit code."""
    keys = sum(len(value) if isinstance(value, dict) else 1 for value in draft.card.values())
    print(f"{path}: {keys} values drafted, {len(draft.defaults)} keys left to cards/defaults.yaml")
    if draft.unplaced:
        print("\n  - ".join(["\nnot placed, or read with a doubt:", *draft.unplaced]))
    _print_sources(draft, from_hub=from_hub)
    if faults:
        print("\n  - ".join(["\nevery run is refused until this is fixed:", *faults]))
        return EXIT_REFUSED_BY_RUNS
    run = f"dvc exp run -S card={name}" + (f" -S {LIMIT}={draft.limit}" if draft.limit else "")
    there = CARDS / path.name
    copy = "" if path.absolute() == there.absolute() else f"  cp {path} {there}\n"
    print(f"\ncompare it with the card, then\n{copy}  git add {there}\n  {run}")
    return 0


def _print_sources(draft: Draft, *, from_hub: bool) -> None:
    """Print what sources.yaml lacks, and the entry of a base where the hub answers."""
    for section, new in (("bases", draft.new_base), ("reviews", draft.new_reviews)):
        if new:
            name, repository = new
            print(f"\nsources.yaml has no {shown(repository)}; add {name} under `{section}:`")
    if draft.new_base and from_hub:  # it could be reached a moment ago
        name, repository = draft.new_base
        try:
            print(indent(as_entries({name: pin_base(repository)}), "  "))
        except CardproofError as error:
            print(f"its checksums are not known: {shown(str(error), 300)}")

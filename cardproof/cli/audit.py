"""Audit model cards: `cardproof audit README.md`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

from cardproof.audit import Audit, audit_bytes
from cardproof.audit.rendering import as_annotations, as_json, as_line, as_markdown, as_text
from cardproof.cli.card import read_named
from cardproof.errors import CardproofError

EXIT_CONTRADICTION = 1
EXIT_UNREADABLE = 2

_EPILOG = """\
examples:
  cardproof audit README.md             do its figures agree with each other?
  cardproof audit owner/name            the card from the hub; its page's address does, too
  cardproof audit *.md --table          one line a card
  cardproof audit README.md --json      for programs; --markdown: pages, --github: pull requests
  curl -L URL | cardproof audit -       read a card from standard input
  cardproof audit README.md --strict    fail if the card contradicts itself

The first line is the bottom line. An error: figures of one list that cannot all hold, whatever is
meant by them. A warning is suspicious, and says under which reading the card holds. A note follows
from the figures and accuses nobody.
exit codes: 0 read; 1 with --strict, a card contradicts itself; 2 a card could not be read.
"""


def main(arguments: Sequence[str]) -> int:
    """Audit the cards named on the command line; the exit code."""
    options = _parser().parse_args(arguments)
    audited: dict[str, Audit] = {}
    unreadable = False
    for card in options.cards:
        try:
            audited[card] = audit_bytes(read_named(card)[0], completeness=options.completeness)
        except (OSError, CardproofError) as error:
            unreadable = True
            said = f"{card}: {error.strerror}" if isinstance(error, OSError) else str(error)
            print(f"error: {said}", file=sys.stderr)
    printed = _printed(audited, options.form)
    if printed:
        print(printed)
    if unreadable:
        return EXIT_UNREADABLE
    contradictory = any(audit.of("error") for audit in audited.values())
    return EXIT_CONTRADICTION if options.strict and contradictory else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardproof audit",
        description="Audit model cards of the Hugging Face hub by their own figures.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "cards", nargs="+", metavar="CARD", help="a model card, - for stdin, owner/name or its page"
    )
    forms = parser.add_mutually_exclusive_group()
    for form, what in (
        ("json", "print JSON: a list, one entry a card"),
        ("markdown", "print a page: one section a card"),
        ("table", "print one line a card"),
        ("github", "print annotations for GitHub's pull requests, with file and line"),
    ):
        forms.add_argument(f"--{form}", action="store_const", dest="form", const=form, help=what)
    parser.add_argument(
        "--completeness", action="store_true", help="also look for licence, base, seed and the like"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 if a card contradicts itself")
    return parser


def _printed(audited: Mapping[str, Audit], form: str | None) -> str:
    """All audits in one form."""
    if form == "json":
        return json.dumps([as_json(*one) for one in audited.items()], indent=2)
    if form == "markdown":
        return "\n".join(as_markdown(*one) for one in audited.items()).rstrip("\n")
    shown, between = {
        "table": (as_line, "\n"),
        "github": (as_annotations, "\n"),
        None: (as_text, "\n\n"),
    }[form]
    return between.join(filter(None, (shown(*one) for one in audited.items())))

"""Audit model cards: `cardproof audit README.md`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cardproof.audit import audit_bytes
from cardproof.audit.facts import Finding
from cardproof.audit.reading import LARGEST
from cardproof.audit.rendering import as_json, as_markdown, as_text

EXIT_FINDINGS = 1
EXIT_UNREADABLE = 2

_EPILOG = """\
examples:
  cardproof audit README.md             print the findings of a card
  cardproof audit *.md --json           the same of several, for programs
  cardproof audit README.md --markdown  print the findings as a page's section
  curl -L URL | cardproof audit -       read a card from standard input
  cardproof audit README.md --strict    fail if the card contradicts itself

severities: an error is a contradiction, a warning is suspicious or ambiguous, a note follows from
the figures. exit codes: 0 read, 1 an error was found and --strict was given, 2 a file could not be
read.
"""


def main(arguments: Sequence[str]) -> int:
    """Audit the cards named on the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="cardproof audit",
        description="Audit model cards of the Hugging Face hub by their own figures.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cards", nargs="+", metavar="CARD", help="a model card, or - for stdin")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: a list, one entry a card")
    form.add_argument("--markdown", action="store_true", help="print a page: one table a card")
    parser.add_argument("--strict", action="store_true", help="exit 1 if there is an error")
    options = parser.parse_args(arguments)

    audited: dict[str, list[Finding]] = {}
    unreadable = False
    for card in options.cards:
        try:
            audited[card] = audit_bytes(_read(card))
        except OSError as error:
            unreadable = True
            print(f"error: {card}: {error.strerror or error}; name a model card", file=sys.stderr)
    if options.json:
        print(json.dumps([as_json(*one) for one in audited.items()], indent=2))
    elif options.markdown:
        print("\n".join(as_markdown(*one) for one in audited.items()), end="")
    elif audited:
        print("\n\n".join(as_text(*one) for one in audited.items()))
    if unreadable:
        return EXIT_UNREADABLE
    severe = any(one.severity == "error" for found in audited.values() for one in found)
    return EXIT_FINDINGS if options.strict and severe else 0


def _read(card: str) -> bytes:
    """The beginning of a file or of standard input: as much as is ever looked at, and one more."""
    most = 4 * LARGEST + 1  # a character is at most four bytes
    if card == "-":
        return sys.stdin.buffer.read(most)
    with Path(card).open("rb") as stream:
        return stream.read(most)

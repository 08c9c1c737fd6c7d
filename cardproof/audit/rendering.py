"""Findings as text for a terminal, as JSON for programs and as Markdown for pages."""

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardproof.audit.facts import Finding

_WIDTH = 100


def as_text(name: str, findings: Sequence[Finding]) -> str:
    """The findings of one card, each with its arithmetic, and a summary in one line."""
    lines = [_printable(name)]
    for finding in findings:
        head = f"  {finding.severity:<8}{finding.code}: "
        lines += _wrapped(finding.text, head, "          ")
        lines += _wrapped(finding.arithmetic, "          = ", "            ")
    return "\n".join([*lines, summary(name, findings)])


def summary(name: str, findings: Sequence[Finding]) -> str:
    """One line: how many findings of each severity."""
    return f"{_printable(name)}: {_counted(findings)}"


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    parts = [
        f"{counts['error']} {'error' if counts['error'] == 1 else 'errors'}",
        f"{counts['warning']} {'warning' if counts['warning'] == 1 else 'warnings'}",
        f"{counts['note']} {'note' if counts['note'] == 1 else 'notes'}",
    ]
    return ", ".join(parts)


def as_json(name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings of one card as plain data."""
    return {
        "card": _printable(name),
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "counts": dict(Counter(finding.severity for finding in findings)),
    }


def as_markdown(name: str, findings: Sequence[Finding]) -> str:
    """The findings of one card as a Markdown section; what they quote cannot become markup."""
    rows = [
        f"| {finding.severity} | {_escaped(finding.text)} | {_escaped(finding.arithmetic)} |"
        for finding in findings
    ]
    head = [f"## {_escaped(Path(name).stem)}", "", f"{_counted(findings)}.", ""]
    return "\n".join([*head, "| severity | finding | from |", "|---|---|---|", *rows]) + "\n"


def _wrapped(text: str, first: str, other: str) -> list[str]:
    return textwrap.wrap(
        _printable(text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=True,
        break_on_hyphens=False,
    )


def _printable(text: str) -> str:
    """The text without control characters: cards are untrusted, and terminals obey them."""
    return "".join(character if character.isprintable() else " " for character in text)


def _escaped(text: str) -> str:
    for character in "\\`*_[]<>|~#":
        text = text.replace(character, f"\\{character}")
    return _printable(text)

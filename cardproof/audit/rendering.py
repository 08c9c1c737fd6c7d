"""An audit as text for a terminal, JSON for programs, Markdown for pages, notes for GitHub."""

import dataclasses
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from cardproof.audit.checks import Audit
from cardproof.audit.facts import Finding
from cardproof.text import printable

_WIDTH = 100


def verdict(audit: Audit) -> tuple[str, str]:
    """The bottom line: what the card's figures come to, and where or why."""
    errors, warnings = audit.of("error"), audit.of("warning")
    if errors:
        return "contradicts itself", _where(errors)
    if warnings:
        return "suspicious", _where(warnings)
    if audit.checked:
        return "no contradiction", "; ".join(audit.checked)
    return "nothing compared", "the audit found no two figures that it compares"


def _where(findings: tuple[Finding, ...]) -> str:
    """The codes and lines of findings, each code once."""
    lines: dict[str, list[str]] = {}
    for finding in findings:
        lines.setdefault(finding.code, []).append(str(finding.line))
    return "; ".join(
        f"{code} (line{'s' if len(found) > 1 else ''} {', '.join(dict.fromkeys(found))})"
        for code, found in lines.items()
    )


def as_line(name: str, audit: Audit) -> str:
    """One card in one line, its bottom line."""
    return f"{printable(name)}: {': '.join(verdict(audit))}"


def as_text(name: str, audit: Audit) -> str:
    """One card: the bottom line, then each finding with its line and its arithmetic."""
    lines = [as_line(name, audit)]
    for finding in audit.findings:
        head = f"  {finding.severity:<8}{finding.code}, line {finding.line}: "
        lines += _wrapped(finding.text, head, "          ")
        lines += _wrapped(finding.arithmetic, "          = ", "            ")
    return "\n".join(lines)


def as_json(name: str, audit: Audit) -> dict[str, Any]:
    """One card as plain data."""
    word, why = verdict(audit)
    return {
        "card": printable(name),
        "verdict": word,
        "why": why,
        "checked": list(audit.checked),
        "findings": [dataclasses.asdict(finding) for finding in audit.findings],
        "counts": dict(Counter(finding.severity for finding in audit.findings)),
    }


def as_markdown(name: str, audit: Audit) -> str:
    """One card as a Markdown section; what it quotes cannot become markup."""
    rows = [
        f"| {finding.severity} | {finding.line} | {_escaped(finding.text)} |"
        for finding in audit.findings
    ]
    word, why = verdict(audit)
    head = [f"## {_escaped(Path(name).stem)}", "", f"**{word.capitalize()}**: {_escaped(why)}.", ""]
    table = ["| severity | line | finding |", "|---|---|---|", *rows] if rows else []
    return "\n".join([*head, *table]).rstrip() + "\n"


def as_annotations(name: str, audit: Audit) -> str:
    """Errors and warnings as GitHub's workflow commands, which mark the lines of a pull request."""
    return "\n".join(
        f"::{finding.severity} file={_property(name)},line={finding.line},"
        f"title={_property(finding.code)}::{_data(finding.text)}"
        for finding in (*audit.of("error"), *audit.of("warning"))
    )


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _wrapped(text: str, first: str, other: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=True,
        break_on_hyphens=False,
    )


def _escaped(text: str) -> str:
    for character in "\\`*_[]<>|~#":
        text = text.replace(character, f"\\{character}")
    return printable(text)

"""Findings that a person judged, card by card: tests/audit/labelled.csv.

Before: every error, and 200 warnings drawn with seed 14, of the audit at commit 631094f,
completeness left out. After: every error and every warning of the audit as it is. A finding is
right if what it says of the card is so and the card itself does not explain it.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LABELLED = Path("tests/audit/labelled.csv")


@dataclass(frozen=True)
class Label:
    """A judged finding; `audit` is before or after, `judgement` right or wrong."""

    audit: str
    card: str
    code: str
    severity: str
    judgement: str
    why: str


def read_labels(path: Path = LABELLED) -> tuple[Label, ...]:
    """All judged findings."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(Label(**row) for row in csv.DictReader(file))


def precision(labels: Sequence[Label], audit: str, severity: str) -> tuple[int, int]:
    """How many findings of a severity are right, and of how many."""
    judged = [one for one in labels if (one.audit, one.severity) == (audit, severity)]
    return sum(one.judgement == "right" for one in judged), len(judged)


def by_kind(labels: Sequence[Label], audit: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Right and judged findings, by severity and code."""
    judged = Counter((one.severity, one.code) for one in labels if one.audit == audit)
    right = Counter(
        (one.severity, one.code)
        for one in labels
        if one.audit == audit and one.judgement == "right"
    )
    return {kind: (right[kind], count) for kind, count in sorted(judged.items())}

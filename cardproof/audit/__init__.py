"""Audit of a model card by its own figures: what follows from them, and what they contradict."""

from cardproof.audit.checks import Audit, run_checks
from cardproof.audit.facts import Finding
from cardproof.audit.reading import decode, read_card

__all__ = ["Audit", "Finding", "audit_bytes", "audit_text"]


def audit_text(text: str, *, completeness: bool = False) -> Audit:
    """Audit a model card. It never fails."""
    return run_checks(read_card(text), completeness=completeness)


def audit_bytes(data: bytes, *, completeness: bool = False) -> Audit:
    """Audit a model card as read from a file, in whatever encoding."""
    text, problems = decode(data)
    return run_checks(read_card(text, problems), completeness=completeness)

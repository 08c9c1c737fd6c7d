"""Audit of a model card by its own figures: what follows from them, and what they contradict."""

from cardproof.audit.checks import run_checks
from cardproof.audit.facts import Finding
from cardproof.audit.reading import decode, read_card

__all__ = ["Finding", "audit_bytes", "audit_text"]


def audit_text(text: str) -> list[Finding]:
    """Audit a model card; errors come first, then warnings, then notes. It never fails."""
    return run_checks(read_card(text))


def audit_bytes(data: bytes) -> list[Finding]:
    """Audit a model card as read from a file, in whatever encoding."""
    text, problems = decode(data)
    return run_checks(read_card(text, problems))

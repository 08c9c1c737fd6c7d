"""Re-run published model cards, and check what they claim."""

__version__ = "0.2.0"

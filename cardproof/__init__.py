"""Re-run published model cards, and check what they claim."""

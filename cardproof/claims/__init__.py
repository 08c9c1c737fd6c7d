"""A card's claims beside what was measured: verdicts, and published runs of the same task."""

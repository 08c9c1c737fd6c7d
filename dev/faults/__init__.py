"""Faults injected into the pipeline, and what became of it: `python -m dev.faults --help`."""

"""Measurements of this project beside what one would use without it: `python -m dev.benchmarks`."""

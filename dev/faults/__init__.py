"""Faults done to the pipeline for real, and what became of it: `python -m dev.faults --help`.

All is done to miniature runs of the embedded sample, in copies of this repository.
"""

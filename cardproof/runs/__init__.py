"""Finished runs: reading, analysing, grouping and comparing them."""

"""Finished runs: reading, grouping, sharing and verifying them."""

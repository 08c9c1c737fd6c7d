"""Runs side by side: a line for each recipe, with its seeds, its claims and paired tests."""

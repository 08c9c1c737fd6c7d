"""Metrics of predictions, statistics, intervals, error analysis."""

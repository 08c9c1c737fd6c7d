"""Repeated measurements: their median and their range."""

import statistics
from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class Spread(TypedDict):
    """A median with the lowest and the highest of `repeats` measurements."""

    median: float
    low: float
    high: float
    repeats: int


def spread(values: Sequence[float]) -> Spread:
    """The spread of repeated measurements, of which there must be one."""
    median = float(statistics.median(values))
    return Spread(
        median=median, low=float(min(values)), high=float(max(values)), repeats=len(values)
    )


def power_law(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent of values ~ sizes^exponent, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def straight_line(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of values over sizes, by least squares."""
    slope, intercept = np.polyfit(sizes, values, 1)
    return float(slope), float(intercept)

"""Figures as text: the same in every page and table."""

from cardproof.evaluation.statistics import Interval

NONE = "-"


def number(value: float | None, digits: int = 4) -> str:
    """A figure with four decimals, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def interval(found: Interval | None) -> str:
    """An interval's ends with four decimals, or a dash."""
    return NONE if found is None else f"{found.low:.4f} to {found.high:.4f}"


def points(found: Interval | None) -> str:
    """An interval of differences in points of a hundred, or a dash."""
    return NONE if found is None else f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"


def p_value(p: float | None) -> str:
    """A p-value with four decimals, or a dash."""
    return NONE if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as "92.10 %", or a dash; what is not quite none or all is never rounded to it."""
    if share is None:
        return NONE
    least, unit = 10**-digits, "\u00a0%"  # a space at which no line breaks
    if 0 < share < 1:
        if round(100 * share, digits) == 0:
            return f"under {least:.{digits}f}{unit}"
        if round(100 * share, digits) == 100:
            return f"over {100 - least:.{digits}f}{unit}"
    return f"{100 * share:.{digits}f}{unit}"


def confidence(probability: float) -> str:
    """A probability from 0.5 to 1 as "0.9876"; in floats, 1 is what is too near to it."""
    return "over 0.9999" if round(probability, 4) == 1 else f"{probability:.4f}"


def count(number: int, noun: str) -> str:
    """A count with its noun: "1 review", "2 reviews"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

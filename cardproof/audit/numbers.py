"""Numbers as they stand in cards: in prose, tables and YAML, with their printed digits."""

import math
import re
from typing import Any

from cardproof.audit.facts import Printed
from cardproof.recipe.reported import PrintedFigure, parse_figure

# Not part of a longer word or number; "%" and "k" belong to it. Every quantifier is bounded, and
# possessive where it can be: untrusted text must not make a search backtrack.
NUMBER = (
    r"[~≈]?[ \t]?(?<![\w.,])\d[\d,]{0,14}+(?:\.\d{1,20}+)?+(?:[eE][-+]?\d{1,3})?"
    r"(?:[ \t]?%|[kK](?!\w))?"
)
_SCIENTIFIC = re.compile(r"^(\d{1,15}(?:\.(\d{1,20}))?)[eE]([-+]?\d{1,3})$")
_DECIMAL_COMMA = re.compile(r"^(0|\d{1,3}(?=,(?:\d{1,2}|\d{4,20})(?!\d))),(\d{1,20})(?=\s?%?$)")
_LONGEST = 40
_SLACK = 1e-9  # of a float's last digits, relative
_LARGEST_EXPONENT = 30


def read_number(text: str) -> Printed | None:
    """A number with its printed digits, also as `2e-05`; None if the text is none."""
    text = text.strip().strip("*`").strip()
    if not text or len(text) > _LONGEST:
        return None
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    scientific = _SCIENTIFIC.match(text)
    if scientific and abs(int(scientific[3])) > _LARGEST_EXPONENT:
        return None
    if scientific:
        places = len(scientific[2] or "")
        half_unit = 0.5 * 10.0 ** (int(scientific[3]) - places)
        figure = PrintedFigure(float(text), half_unit)
    else:
        try:
            figure = parse_figure(text)
        except ValueError:
            return None
    return Printed(text, figure) if math.isfinite(figure.value) else None


def as_share(printed: Printed) -> Printed | None:
    """A score between 0 and 1; one printed as 93.2 is taken for a percentage.

    None if it cannot be a score at all.
    """
    figure = printed.figure
    if 1 < figure.value <= 100 and "%" not in printed.text:
        figure = PrintedFigure(figure.value / 100, figure.half_unit / 100)
    return Printed(printed.text, figure) if figure.value <= 1 else None


def exactly(printed: Printed, places: int = 4) -> Printed:
    """The figure as the Trainer's own card prints it: fewer digits than `places` are all there are.

    Its template prints a float as it is, unless it has more than four decimals, when it rounds
    (`_maybe_round` in transformers/modelcard.py). So 0.903 is 0.903, not 0.9030 rounded.
    """
    decimals = len(printed.text.partition(".")[2])
    if "%" in printed.text or "e" in printed.text.lower() or decimals in (0, places):
        return printed
    return Printed(printed.text, PrintedFigure(printed.figure.value, 0.0))


def of_yaml(value: Any) -> Printed | None:
    """A number of a YAML or JSON document, with the digits that Python prints it with."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) > 10**12:
        return None  # also keeps str() from refusing numbers of thousands of digits
    return read_number(str(value))


def whole(text: str) -> int | None:
    """A whole number, as `25,000`, `~2,814` or `22.5k`; None if the text is none."""
    printed = read_number(text)
    if printed is None or "%" in text or printed.figure.value != round(printed.figure.value):
        return None
    return round(printed.figure.value)


def loose(figure: PrintedFigure) -> PrintedFigure:
    """The figure as wide as if it might have been cut off instead of rounded."""
    return PrintedFigure(figure.value + figure.half_unit / 2, 1.5 * figure.half_unit)


def agree(one: PrintedFigure, other: PrintedFigure) -> bool:
    """Whether two figures print one number; 0.9254 and 0.9255, which only touch, do not."""
    fine, coarse = sorted((one.half_unit, other.half_unit))
    gap, slack = abs(one.value - other.value), _SLACK * max(abs(one.value), abs(other.value))
    return gap <= slack + (fine + coarse if fine < coarse else 0)


def nearly_agree(one: PrintedFigure, other: PrintedFigure) -> bool:
    """Whether they would print one number if one was cut off and the other rounded."""
    fine, coarse = sorted((one.half_unit, other.half_unit))
    slack = _SLACK * max(abs(one.value), abs(other.value))
    return abs(one.value - other.value) <= fine + 2 * coarse + slack


def in_unit_of(figure: PrintedFigure, other: PrintedFigure) -> PrintedFigure:
    """The figure in the unit of another that may be a percentage of the same: 34.2 as 0.342."""
    for factor in (0.01, 100.0):
        if other.value and 0.5 < factor * figure.value / other.value < 2:
            return PrintedFigure(figure.value * factor, figure.half_unit * factor)
    return figure

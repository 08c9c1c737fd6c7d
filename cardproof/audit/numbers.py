"""Numbers as they stand in cards: in prose, tables and YAML, with their printed digits."""

import math
import re
from typing import Any

from cardproof.audit.facts import Printed
from cardproof.recipe.reported import PrintedFigure, parse_figure

# Not part of a longer word or number; "%" and "k" belong to it. Every quantifier is bounded, and
# possessive where it can be: untrusted text must not make a search backtrack.
NUMBER = (
    r"[~≈]?\s?(?<![\w.,])\d[\d,]{0,14}+(?:\.\d{1,20}+)?+(?:[eE][-+]?\d{1,3})?(?:\s?%|[kK](?!\w))?"
)
_SCIENTIFIC = re.compile(r"^(\d{1,15}(?:\.(\d{1,20}))?)[eE]([-+]?\d{1,3})$")
_LONGEST = 40
_LARGEST_EXPONENT = 30


def read_number(text: str) -> Printed | None:
    """A number with its printed digits, also as `2e-05`; None if the text is none."""
    text = text.strip().strip("*`").strip()
    if not text or len(text) > _LONGEST:
        return None
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

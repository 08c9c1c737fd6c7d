"""Figures as cards print them: "0.9256" is an interval, "XX.XX%" a blank to be filled in."""

import math
import re
from dataclasses import dataclass

_NUMBER = re.compile(
    r"^[~≈]?\s*(?P<digits>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>%|k|K|M|ms)?$"  # "~2,814", "94 %", "22.5k"
)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")  # "25,000", not "0,875"
_BLANK = re.compile(r"^(?P<before>[~≈]?\s*)(?P<whole>X+)(?:\.(?P<places>X+))?\s*(?P<unit>%|ms)?$")
_NO_LOG = "No log"  # of the Trainer's tables: the epoch had fewer steps than a log interval
_SLACK = 1e-9  # far above the error of a float64 ratio, far below one row in a million
_SCALE = {None: 1.0, "%": 0.01, "k": 1e3, "K": 1e3, "M": 1e6, "ms": 1.0}


@dataclass(frozen=True)
class PrintedFigure:
    """A number and how far its digits leave it open.

    Attributes:
        value: in plain units: 94 % is 0.94, 22.5k is 22,500.
        half_unit: half a unit of the last printed digit; the figure stands for any number in
            value ± half_unit.
    """

    value: float
    half_unit: float

    @property
    def low(self) -> float:
        """The smallest number that prints as this figure."""
        return self.value - self.half_unit

    @property
    def high(self) -> float:
        """The number at which the next figure begins."""
        return self.value + self.half_unit

    def covers(self, number: float) -> bool:
        """Whether `number` prints as this figure, give or take the last bit of a float."""
        slack = _SLACK * max(1.0, abs(self.value))
        return self.low - slack <= number <= self.high + slack

    def whole_counts(self, rows: int) -> range:
        """The counts k for which k / rows prints as this figure; empty if there is none."""
        first = math.ceil((self.low - _SLACK) * rows)
        last = math.floor((self.high + _SLACK) * rows)
        return range(max(first, 0), min(last, rows) + 1)


def parse_figure(text: str) -> PrintedFigure:
    """Read a printed figure: `0.9256`, `94%`, `~2,814`, `≈22.5k`, `67M`, `4.2 ms`.

    Raises:
        ValueError: the text is no such figure.
    """
    match = _NUMBER.match(text.strip())
    if not match:
        raise ValueError(f'{text!r} is no figure; write one as the card prints it, e.g. "94%"')
    digits, scale = match["digits"].replace(",", ""), _SCALE[match["unit"]]
    places = len(digits.partition(".")[2])
    return PrintedFigure(float(digits) * scale, 0.5 * 10.0**-places * scale)


def is_blank(text: str) -> bool:
    """Whether the text is a placeholder such as `XX.XX%`, or the Trainer's `No log`."""
    return text.strip() == _NO_LOG or _BLANK.match(text.strip()) is not None


def check_printed(text: str) -> str:
    """The text itself, if it is a printed count or time, or a placeholder.

    Raises:
        ValueError: it is neither; a comma in it does not separate thousands.
    """
    if not is_blank(text):
        parse_figure(text)
        digits = _NUMBER.match(text.strip())
        if digits and "," in digits["digits"] and not _THOUSANDS.fullmatch(digits["digits"]):
            raise ValueError(_with_a_point(text))
    return text


def check_small(text: str) -> str:
    """The text itself, if it is a printed figure without thousands, or a placeholder.

    Raises:
        ValueError: it is neither; a comma in it can only be a decimal one.
    """
    check_printed(text)
    if "," in text:
        raise ValueError(_with_a_point(text))
    return text


def check_share(text: str) -> str:
    """The text itself, if it is a printed share of at most 1, which is 100%, or a placeholder.

    Raises:
        ValueError: it is neither.
    """
    check_small(text)
    if is_blank(text) or parse_figure(text).value <= 1:
        return text
    percentage, most = with_percent(text), "100%" if "%" in text else "1"
    if percentage == text:
        raise ValueError(f"{text!r} is above {most}, as no share is; correct it")
    raise ValueError(f'{text!r} is above {most}; write "{percentage}" if the card means percent')


def with_percent(text: str) -> str:
    """A printed share with the % that one above 1 lacks: 93.1 is 93.1%, and 0.931 is itself."""
    match = _NUMBER.match(text.strip())
    if match and not match["unit"] and 1 < parse_figure(text).value <= 100:
        return f"{text.strip()}%"
    return text


def _with_a_point(text: str) -> str:
    """What to do about a comma that separates no thousands."""
    if text.count(",") > 1:
        return f"{text!r}: commas separate thousands; write three digits after each"
    point = text.replace(",", ".")
    return f'{text!r}: write a decimal point ("{point}"); commas separate thousands'


def fill_blank(text: str, value: float) -> str:
    """Print `value` in the format of a placeholder: `XX.XX%` and 0.91 give `91.00%`.

    Raises:
        ValueError: the text is no placeholder.
    """
    if text.strip() == _NO_LOG:
        return f"{value:.4f}"  # as the Trainer's tables have losses
    match = _BLANK.match(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no placeholder such as XX.XX%")
    places, unit = len(match["places"] or ""), match["unit"] or ""
    number = f"{value / _SCALE[match['unit']]:.{places}f}"
    return f"{match['before']}{number}{' ' if unit == 'ms' else ''}{unit}"


def print_like(text: str, value: float) -> str:
    """Print `value` with the digits and the unit of a printed figure or placeholder."""
    if is_blank(text):
        return fill_blank(text, value)
    match = _NUMBER.match(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no figure")
    places, unit = len(match["digits"].partition(".")[2]), match["unit"] or ""
    return f"{value / _SCALE[match['unit']]:,.{places}f}{unit}"


def print_in_unit(text: str, value: float, decimals: int = 4) -> str:
    """Print `value` in the unit of a printed figure, in percent or plain, with digits to spare.

    Args:
        text: the printed figure, or a placeholder.
        value: in plain units.
        decimals: of the plain number; two fewer in percent.
    """
    if text.rstrip().endswith("%"):
        return f"{100 * value:.{max(0, decimals - 2)}f} %"
    return f"{value:.{decimals}f}"

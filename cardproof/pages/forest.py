"""The forest plot: each claimed figure on an axis of its own, with our runs and their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from cardproof.claims.judge import JudgedClaim
from cardproof.evaluation.statistics import Interval
from cardproof.recipe.reported import PrintedFigure, print_in_unit

MOST_TICKS = 5
ROOM = 0.05  # of an axis, left free at both ends


class Span(NamedTuple):
    """A stretch of an axis, in percent of its width."""

    start: float
    width: float

    @property
    def middle(self) -> float:
        """Of the stretch."""
        return self.start + self.width / 2

    @property
    def end(self) -> float:
        """Of the stretch."""
        return self.start + self.width


@dataclass(frozen=True)
class Strip:
    """A claimed figure as it is drawn, in percent of the axis; what is not known is None."""

    name: str
    word: str
    alt: str  # all that is drawn, in words
    ticks: Sequence[tuple[float, str]]
    dots: Sequence[float]  # our runs
    claim: Span  # as wide as its digits leave it open
    margin: Span | None  # where a mean is within the margin of whatever was rounded to the claim
    run: Span | None  # where one more run lies
    mean: Span | None  # where our recipe's mean over seeds lies


def strips(claims: Sequence[JudgedClaim]) -> list[Strip]:
    """The rows of the plot, one for each figure that the card does not leave blank."""
    return [_strip(claim, claim.claimed) for claim in claims if claim.claimed]


def _strip(claim: JudgedClaim, printed: PrintedFigure) -> Strip:
    found = claim.verdict
    claimed, margin = (printed.low, printed.high), None
    if found.margin and found.margin > printed.half_unit:
        margin = (printed.high - found.margin, printed.low + found.margin)
    run, mean = _ends(found.interval), _ends(found.mean_interval)
    drawn = [*claim.values, *(end for ends in (claimed, margin, run, mean) if ends for end in ends)]
    low, high = min(drawn), max(drawn)
    room = ROOM * (high - low) or ROOM * (abs(high) or 1)  # of a single figure, part of itself
    low, width = low - room, high - low + 2 * room

    def place(ends: tuple[float, float]) -> Span:
        return Span(100 * (ends[0] - low) / width, 100 * (ends[1] - ends[0]) / width)

    return Strip(
        name=claim.name,
        word=found.word,
        alt=_alt(claim),
        ticks=_ticks(low, width, claim.printed),
        dots=[100 * (value - low) / width for value in claim.values],
        claim=place(claimed),
        margin=margin and place(margin),
        run=run and place(run),
        mean=mean and place(mean),
    )


def _ends(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)


def _ticks(low: float, width: float, printed: str) -> list[tuple[float, str]]:
    """Round numbers with their places, none so near to an end that its label would be cut off."""
    values = MaxNLocator(MOST_TICKS, steps=[1, 2, 5, 10]).tick_values(low, low + width)
    decimals = max(0, -math.floor(math.log10(values[1] - values[0]) + 1e-9))
    places = [(float(value), 100 * (value - low) / width) for value in values]
    return [
        (place, print_in_unit(printed, value, decimals))
        for value, place in places
        if ROOM <= place / 100 <= 1 - ROOM
    ]


def _alt(claim: JudgedClaim) -> str:
    found, printed = claim.verdict, claim.printed
    said = [f"{claim.name}: claimed {printed}"]
    if found.margin:
        said.append(f"margin ±{found.margin:g}")
    runs = ", ".join(print_in_unit(printed, value) for value in claim.values)
    said.append(f"our run{'s' if len(claim.values) > 1 else ''} {runs or 'not measured'}")
    for what, interval in (("one more run", found.interval), ("our mean", found.mean_interval)):
        if interval:
            low, high = (print_in_unit(printed, end) for end in (interval.low, interval.high))
            said.append(f"{what} in {low} to {high}")
    return f"{'; '.join(said)}. {found.word.capitalize()}."

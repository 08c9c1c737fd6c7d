"""Whether our runs reproduce a printed figure: one word, and the sentences that give the reason.

Two questions are asked, each with an error rate of its own, and the word says both answers:

                             shown to be within the margin    not shown to be
    consistent with          reproduced                       undecided
    not consistent           equivalent                       higher, or lower

*Consistent*: the claim may be a run of our recipe; a true claim is denied this at most at 1 - level
over all figures of a card together. *Within the margin*: the mean that our recipe has over seeds is
shown to be no farther than the margin from the claim; a mean at the margin or beyond is called so
at most at 1 - level, each figure by itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from cardproof.claims.variation import (
    Spread,
    Widths,
    candidate_spreads,
    own_spread,
    widest,
    widths,
)
from cardproof.evaluation.statistics import Interval, Source, summarise
from cardproof.recipe.reported import PrintedFigure
from cardproof.text import listed

Word = Literal[
    "reproduced", "undecided", "equivalent", "higher", "lower",
    "not comparable", "left blank", "not measured",
]  # fmt: skip
_SOURCES: dict[bool, Source] = {False: "seeds", True: "seeds and rows"}
_SLACK = 1e-9  # far above the error of a float64, far below a digit that anyone prints


class Rule(NamedTuple):
    """When a figure counts as the claimed one.

    Attributes:
        margin: the largest difference that does not matter, in the figure's units.
        level: 1 minus the error rate of each of the two answers.
        together: of how many figures of the card the error rate is.
        highest: that the figure can be; none can be below 0.
    """

    margin: float
    level: float = 0.95
    together: int = 1
    highest: float = math.inf


@dataclass(frozen=True)
class Verdict:
    """What our runs say about a claim; what is not known is None."""

    word: Word  # `higher` and `lower` say where our measurement lies, seen from the claim
    reason: str  # with the numbers
    n: int = 0  # our runs
    mean: float | None = None
    spread: Spread | None = None  # of one run: the candidate with the widest `interval`
    mean_spread: Spread | None = None  # and the one with the widest `mean_interval`
    margin: float | None = None
    interval: Interval | None = None  # where one more run lies
    mean_interval: Interval | None = None  # of our recipe's mean over seeds
    smallest_difference: float | None = None  # from the claim: nearer ones are consistent with it


def consistent(distance: Any, half_unit: float, found: Widths) -> Any:
    """Whether a claim at that distance from our mean may be one of our recipe's runs."""
    return distance <= found.run + half_unit + _SLACK


def within_margin(distance: Any, half_unit: float, found: Widths, margin: float) -> Any:
    """Whether our recipe's mean is shown to be within the margin of the claim.

    Two one-sided t tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15), written as an interval
    that lies within the margin, from whichever number was rounded to the printed one.
    """
    return distance + half_unit + found.mean < margin - _SLACK


def judge(
    claim: PrintedFigure | None,
    measured: Sequence[float],
    rule: Rule,
    *,
    earlier: Sequence[Spread] = (),
    row_variance: float | None = 0.0,
    deviations: Sequence[str] = (),
) -> Verdict:
    """Compare our runs with a claim.

    Args:
        claim: the printed figure; None for a blank.
        measured: one figure per run that finished.
        rule: when it counts as the claimed one.
        earlier: the spread over seeds in each group of earlier repeats that is known.
        row_variance: of claim minus ours by their test rows; 0 if these are the same, None if it
            is not known.
        deviations: what our runs do differently from the card, each in a few words.

    Raises:
        StatisticsError: a figure is NaN or infinite.
    """
    n = len(measured)
    found = Verdict("not measured", "", n=n, margin=rule.margin)
    if n:
        found = replace(found, mean=summarise(measured).mean)
    if deviations:
        reason = f"Our runs differ from the card's in {listed(deviations)}."
        return replace(found, word="not comparable", reason=reason)
    if claim is None:
        return replace(found, word="left blank", reason="The card leaves this figure blank.")
    if not n:
        return replace(found, reason=f"No run of ours measured the claimed {_claimed(claim)}.")
    spreads = candidate_spreads(earlier, own_spread(measured))
    if not spreads:
        lacking = (
            "one run has no spread over seeds, and no earlier repeats of such runs are known; run "
            "two seeds or more"
        )
    elif not any(spread.sd for spread in spreads):
        lacking = "they are equal, which does not show that runs never vary; run more seeds"
    elif row_variance is None:
        lacking = "how far it lies apart on other test rows than ours is not on record"
    else:
        return _decide(claim, found, spreads, rule, row_variance)
    reason = f"{_ours(claim, found)} beside the claimed {_claimed(claim)}: {lacking}."
    return replace(found, word="undecided", reason=reason)


def _decide(
    claim: PrintedFigure,
    found: Verdict,
    spreads: Sequence[Spread],
    rule: Rule,
    row_variance: float,
) -> Verdict:
    assert found.mean is not None
    asked = (found.n, row_variance, rule.level, rule.together)
    width = widest(spreads, *asked)
    run, mean = float(width.run), float(width.mean)
    middle, source = found.mean, _SOURCES[row_variance > 0]
    found = replace(
        found,
        spread=max(spreads, key=lambda spread: float(widths(spread, *asked).run)),
        mean_spread=max(spreads, key=lambda spread: float(widths(spread, *asked).mean)),
        interval=_around(middle, run, rule, rule.level, source),
        mean_interval=_around(middle, mean, rule, 2 * rule.level - 1, source),
        smallest_difference=run + claim.half_unit,
    )
    distance = abs(middle - claim.value)
    near = bool(consistent(distance, claim.half_unit, width))
    shown = bool(within_margin(distance, claim.half_unit, width, rule.margin))
    if near:
        word: Word = "reproduced" if shown else "undecided"
    elif shown:
        word = "equivalent"
    else:
        word = "higher" if middle > claim.value else "lower"
    return replace(found, word=word, reason=_reason(claim, replace(found, word=word), rule))


def _around(mean: float, half: float, rule: Rule, level: float, source: Source) -> Interval:
    return Interval(max(mean - half, 0.0), min(mean + half, rule.highest), level, source)


def _reason(claim: PrintedFigure, found: Verdict, rule: Rule) -> str:
    """The two answers with their numbers, and what would decide."""
    assert found.interval is not None
    assert found.mean_interval is not None
    one_more = f"One more run would lie in {_range(found.interval, claim)}"
    together = f" for {rule.together} figures together" if rule.together > 1 else ""
    one_more += f" ({100 * rule.level:g} %{together})"
    holds = "which holds" if found.word in ("reproduced", "undecided") else "which does not hold"
    said = f"{_ours(claim, found)}. {one_more}, {holds} the claimed {_claimed(claim)}"
    shown = found.word in ("reproduced", "equivalent")
    said += "; " if shown == (found.word == "reproduced") else "; yet "
    said += f"our mean over seeds is {'' if shown else 'not '}shown to be within "
    said += f"±{rule.margin:.3g} of it ({_range(found.mean_interval, claim)}, "
    said += f"{100 * found.mean_interval.level:g} %"
    if found.mean_spread and found.mean_spread != found.spread:
        said += f", by {_deviation(found.mean_spread)}"
    said += ")."
    return f"{said} {_what_would_decide(claim, found)}" if found.word == "undecided" else said


def _what_would_decide(claim: PrintedFigure, found: Verdict) -> str:
    assert found.smallest_difference is not None
    assert found.margin is not None
    told = (
        f"These runs cannot tell a difference of up to {found.smallest_difference:.2g} from chance."
    )
    if claim.half_unit >= found.margin:
        return (
            f"{told} No number of seeds shows it reproduced: the card rounds to "
            f"±{claim.half_unit:.2g}, as much as the margin."
        )
    return f"{told} `cardproof plan` says what more seeds would show."


def _ours(claim: PrintedFigure, found: Verdict) -> str:
    assert found.mean is not None
    spread = ""
    if found.spread:
        spread = f"; runs vary with {_deviation(found.spread)}"
    runs = "our one run" if found.n == 1 else f"the mean of our {found.n} runs"
    return f"{_number(found.mean, claim)} is {runs}{spread}"


def _deviation(spread: Spread) -> str:
    return f"a standard deviation of {spread.sd:.2g} (df {spread.df:g})"


def _range(interval: Interval, claim: PrintedFigure) -> str:
    return f"{_number(interval.low, claim)} to {_number(interval.high, claim)}"


def _claimed(claim: PrintedFigure) -> str:
    return f"{claim.value:,.{_places(claim)}f}"


def _number(value: float, claim: PrintedFigure) -> str:
    """At least four decimals, so that a near miss shows."""
    return f"{value:,.{max(4, _places(claim))}f}"


def _places(claim: PrintedFigure) -> int:
    """Decimal places of the claim: half a unit of 0.0005 makes 3."""
    if claim.half_unit == 0:
        return 4
    return min(max(0, round(-math.log10(2 * claim.half_unit))), 10)

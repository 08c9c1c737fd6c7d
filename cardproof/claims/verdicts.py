"""Whether our runs reproduce a printed claim: one word, and the sentence that gives the reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cardproof.evaluation.statistics import (
    Interval,
    Summary,
    equivalence_test,
    prediction_interval,
    summarise,
)
from cardproof.recipe.reported import PrintedFigure

Word = Literal["reproduced", "equivalent", "higher", "lower", "not comparable", "not testable"]

EQUIVALENCE_LEVEL = 0.05


@dataclass(frozen=True)
class Verdict:
    """What our runs say about a claim; what was not needed or cannot be computed is None."""

    word: Word  # `higher` and `lower` say where our measurement lies, seen from the claim
    reason: str  # one sentence with the numbers
    interval: Interval | None = None  # where one more run lies
    n: int = 0  # our runs
    mean: float | None = None
    sd: float | None = None
    p_equivalence: float | None = None


def judge(
    claim: PrintedFigure | None,
    measured: Sequence[float],
    *,
    margin: float,
    published_sd: float | None,
    deviations: Sequence[str],
    level: float = 0.95,
    exact: bool = False,
) -> Verdict:
    """Compare our runs with a claim.

    The first rule that fits decides: deviations from the card's base, reviews, split or recipe;
    nothing to compare; the claim meets the prediction interval of one more run (reproduced); our
    mean is shown to be within the margin (equivalent); else higher or lower.

    Args:
        claim: the printed figure; None for a blank.
        measured: one figure per run that finished.
        margin: the largest difference that does not matter, in the figure's units.
        published_sd: standard deviation of published runs, for a single run of ours; 0 says as
            little as None.
        deviations: what our runs do differently, each in a few words.
        level: of the prediction interval.
        exact: the figure is a count (steps, rows) that seeds do not move: no interval, no test.

    Raises:
        StatisticsError: a figure is NaN or infinite.
    """
    ours = summarise(measured) if len(measured) else Summary(0, math.nan, None)
    found = Verdict("not testable", "", n=ours.n, mean=ours.mean if ours.n else None, sd=ours.sd)
    if deviations:
        reason = f"Our runs differ from the card's in {_listed(deviations)}."
        return replace(found, word="not comparable", reason=reason)
    if claim is None:
        return replace(found, reason=f"The card leaves this figure blank; we have {_runs(ours.n)}.")
    if not ours.n:
        return replace(found, reason=f"No run of ours measured the claimed {_claimed(claim)}.")
    if exact:
        return _judge_count(claim, measured, found)
    return _judge_figure(claim, measured, found, margin, published_sd or None, level)


def _judge_figure(
    claim: PrintedFigure,
    measured: Sequence[float],
    found: Verdict,
    margin: float,
    published_sd: float | None,
    level: float,
) -> Verdict:
    ours = summarise(measured)
    said = _described(claim, ours)
    if ours.sd is None and published_sd is None:
        if claim.covers(ours.mean):  # so would any interval around it
            reason = f"{said} prints as the claimed {_claimed(claim)}."
            return replace(found, word="reproduced", reason=reason)
        reason = (
            f"{said} is not the claimed {_claimed(claim)}, and no spread is known that says how "
            "far apart two runs may lie."
        )
        return replace(found, reason=reason)
    interval = prediction_interval(measured, level, published_sd)
    p = equivalence_test(measured, claim, margin, published_sd)
    found = replace(found, interval=interval, p_equivalence=p)
    spread = "" if interval.source == "seeds" else ", by the spread of published runs"
    where = (
        f"{said} puts one more run at {_number(interval.low, claim)} to "
        f"{_number(interval.high, claim)} ({100 * level:g} %{spread})"
    )
    if claim.covers(interval.nearest(claim.value)):
        reason = f"{where}, which meets the claimed {_claimed(claim)}."
        return replace(found, word="reproduced", reason=reason)
    where += f", which misses the claimed {_claimed(claim)}"
    distance = f"within ±{margin:.3g} of it (p = {p:.2g})"
    if p < EQUIVALENCE_LEVEL:
        return replace(found, word="equivalent", reason=f"{where}, but our mean is {distance}.")
    # the claim lies outside the interval, so the mean is on one side of it
    word: Word = "higher" if ours.mean > claim.value else "lower"
    reason = f"{where}: ours is {word}, and not shown to be {distance}."
    return replace(found, word=word, reason=reason)


def _judge_count(claim: PrintedFigure, measured: Sequence[float], found: Verdict) -> Verdict:
    least, most = float(min(measured)), float(max(measured))
    counted = f"{least:,.12g}" if least == most else f"{least:,.12g} to {most:,.12g}"
    said = f"{_runs(found.n)} counted {counted}"
    if all(claim.covers(value) for value in measured):
        reason = f"Our {said}, which prints as the claimed {_claimed(claim)}."
        return replace(found, word="reproduced", reason=reason)
    word: Word
    if not claim.covers(least) and least > claim.value:
        word = "higher"
    elif not claim.covers(most) and most < claim.value:
        word = "lower"
    else:
        reason = f"Our {said}: not one count to compare with the claimed {_claimed(claim)}."
        return replace(found, reason=reason)
    reason = f"Our {said}, {word} than the claimed {_claimed(claim)}."
    return replace(found, word=word, reason=reason)


def _runs(n: int) -> str:
    return {0: "no run", 1: "1 run"}.get(n, f"{n} runs")


def _described(claim: PrintedFigure, ours: Summary) -> str:
    if ours.sd is None:
        return f"Our one run at {_number(ours.mean, claim)}"
    return f"The mean {_number(ours.mean, claim)} of our {ours.n} runs (sd {ours.sd:.2g})"


def _claimed(claim: PrintedFigure) -> str:
    return f"{claim.value:,.{_places(claim)}f}"


def _number(value: float, claim: PrintedFigure) -> str:
    """Two digits more than the claim, so that a near miss shows."""
    return f"{value:,.{_places(claim) + 2}f}"


def _places(claim: PrintedFigure) -> int:
    """Decimal places of the claim: half a unit of 0.0005 makes 3."""
    if claim.half_unit == 0:
        return 4
    return min(max(0, round(-math.log10(2 * claim.half_unit))), 10)


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last

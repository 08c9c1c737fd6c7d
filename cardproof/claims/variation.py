"""A model of what lies between a claimed figure and ours, and what follows from it.

A claim is one run's figure y₀, printed with a rounding of ± h. Ours are n runs of one recipe that
differ by their seeds. If the recipe is the card's, then

    y₀ = μ + seed noise + row noise        each of ours = μ + seed noise + row noise of our rows

- *Seeds*: normal, one variance σ² for the claim's run and ours. It is estimated from our runs
  and from earlier repeats of a recipe (`repeats.csv`), each weighted by its degrees of freedom,
  figure by figure: the pooled variance, whose t distribution has as many degrees of freedom as both
  together (Box, Hunter & Hunter 2005, Statistics for Experimenters, section 4.2). Where several
  groups of repeats are known, each is pooled with ours by itself and the widest interval counts:
  error rates hold if any one of the groups varies as ours do. Of IMDb there are two: published runs
  of DistilBERT, on several machines and library versions but with one seed, and ours from a smaller
  base, with a seed and a split each.
- *Test rows*: nothing if the claim was scored on our rows. Else both are draws from one
  population, whose two sampling variances are added, normal. The half-widths of seeds and of rows
  are added as squares (Zou & Donner 2008, Stat. Med. 27): never too narrow, as Satterthwaite's
  degrees of freedom are where few runs tell the spread.
- *Rounding*: y₀ is anywhere in the printed figure ± h; the nearest decides for consistency, the
  farthest for equivalence, so that neither error rate depends on what was rounded away.

Not in the model: another draw of the training rows, hardware and library versions beyond what the
earlier repeats had of them. `not_modelled` says so wherever a verdict is read.

Numbers may be floats or arrays that broadcast: the simulation of the error rates calls the code
that judges.
"""

import csv
import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from cardproof.evaluation.statistics import summarise

NEAR = 1.5  # repeats tell the spread of runs on as many rows, up to this factor
_GROUP = ("reviews", "recipe", "train_rows", "scored_rows")

Number = Any  # a float or an array of float64


def not_modelled(reviews: str, *, earlier_used: bool) -> str:
    """What no verdict takes into account, in a sentence or two.

    Args:
        reviews: the name of their entry in sources.yaml.
        earlier_used: whether the spread behind any verdict is partly of earlier repeats.
    """
    said = (
        "Not modelled: another draw of the training rows, other hardware and other library "
        "versions, beyond what the repeated runs that the spread is taken from had of them."
    )
    if reviews == "imdb" and earlier_used:
        said += (
            " These are two published runs of DistilBERT, both with seed 42, and three of ours "
            "from another base: how far other seeds move DistilBERT is not known."
        )
    return said


class Spread(NamedTuple):
    """Standard deviation of one run's figure over seeds, and its degrees of freedom."""

    sd: Number
    df: Number


class Widths(NamedTuple):
    """What a claim and our mean are held against, in the figure's units; both are ≥ 0.

    Attributes:
        run: half the width of the prediction interval: one more run on the claim's rows lies so
            close to our mean (Hahn & Meeker 1991, Statistical Intervals, section 4.7).
        mean: half the width of the interval of our recipe's own mean on the claim's rows.
    """

    run: Number
    mean: Number


def earlier_spreads(
    figure: str,
    reviews: str,
    train_rows: float,
    rows: float,
    *,
    claimed_by: str,
    ours: Sequence[Mapping[str, float]] = (),
) -> tuple[Spread, ...]:
    """The spread of a figure over each group of earlier repeats of runs of about this size.

    Args:
        figure: accuracy, loss, f1, precision or recall.
        reviews: the name of their entry in sources.yaml.
        train_rows: of our runs; repeats on up to `NEAR` times more or fewer count.
        rows: that are scored, likewise.
        claimed_by: the card whose claim is judged; its own run is no repeat of itself.
        ours: metrics of the runs that are judged; they do not count as earlier ones, too.

    Returns:
        One for each group of two runs and more.
    """
    spreads = []
    for (of, _, trained, scored), runs in _repeats().items():
        if of == reviews and _is_near(trained, train_rows) and _is_near(scored, rows):
            others = [r for r in runs if r["source"] != claimed_by and not _is_among(r, ours)]
            values = [float(run[figure]) for run in others if run[figure]]
            spreads.append(own_spread(values) if values else None)
    return tuple(spread for spread in spreads if spread is not None)


@functools.cache
def _repeats() -> dict[tuple[str, ...], list[dict[str, str]]]:
    """The rows of `repeats.csv` by what their runs share; an empty cell is not known."""
    text = (files("cardproof.claims") / "repeats.csv").read_text(encoding="utf-8")
    groups = defaultdict(list)
    for run in csv.DictReader(text.splitlines()):
        groups[tuple(run[key] for key in _GROUP)].append(run)
    return groups


def _is_among(run: Mapping[str, str], ours: Sequence[Mapping[str, float]]) -> bool:
    """Whether it is one of our runs: the same accuracy and loss, to the digits on record."""
    known = {name: float(run[name]) for name in ("accuracy", "loss")}
    return any(
        all(round(one.get(f"evaluate.{name}", np.nan), 5) == known[name] for name in known)
        for one in ours
    )


def _is_near(rows: str, ours: float) -> bool:
    return int(rows) / NEAR <= ours <= int(rows) * NEAR


def pooled(spreads: Sequence[Spread | None]) -> Spread | None:
    """One spread out of several, each variance weighted by its degrees of freedom."""
    known = [spread for spread in spreads if spread is not None]
    if not known:
        return None
    df = sum(spread.df for spread in known)
    return Spread(np.sqrt(sum(s.df * np.square(s.sd) for s in known) / df), df)


def candidate_spreads(earlier: Sequence[Spread], own: Spread | None) -> list[Spread]:
    """Ours pooled with each group of earlier repeats; ours alone where there are none.

    Empty where nothing is known.
    """
    candidates = [pooled([group, own]) for group in earlier] or [own]
    return [spread for spread in candidates if spread is not None]


def own_spread(values: Sequence[float]) -> Spread | None:
    """The spread of our runs' figures; None of fewer than two."""
    found = summarise(values)
    return None if found.sd is None else Spread(found.sd, found.n - 1)


def widest(
    spreads: Sequence[Spread], n: int, row_variance: Number, level: float, together: int = 1
) -> Widths:
    """The largest `widths` of several candidate spreads, each of the two by itself."""
    found = [widths(spread, n, row_variance, level, together) for spread in spreads]
    return Widths(
        run=functools.reduce(np.maximum, [of.run for of in found]),
        mean=functools.reduce(np.maximum, [of.mean for of in found]),
    )


def widths(spread: Spread, n: int, row_variance: Number, level: float, together: int = 1) -> Widths:
    """How near a true claim and our recipe's mean are to the mean of our runs.

    Args:
        spread: over seeds, of earlier repeats and ours together.
        n: our runs.
        row_variance: of the difference of two scores that is due to their rows; 0 for the same.
        level: chance that the interval of one more run holds a true claim; the interval of the
            mean has level 2 · level - 1, so that each of its ends is wrong with 1 - level.
        together: how many figures the level of the former is for, by Bonferroni: at that level all
            of their true claims are in their intervals at once.
    """
    return Widths(
        run=_half_width(spread, 1 + 1 / n, row_variance, (1 - level) / together / 2),
        mean=_half_width(spread, 1 / n, row_variance, 1 - level),
    )


def _half_width(spread: Spread, runs: float, row_variance: Number, tail: float) -> Number:
    """Of seeds and rows together: each one's quantile times its standard error, as squares."""
    seeds = np.square(special.stdtrit(spread.df, tail) * spread.sd) * runs
    return np.sqrt(seeds + special.ndtri(tail) ** 2 * row_variance)

"""How often each verdict falls: a simulation of the model of `variation`, through its own code."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardproof.claims.variation import Spread, candidate_spreads, widest
from cardproof.claims.verdicts import Rule, Word, consistent, within_margin

DRAWS = 20_000
SEED = 0  # of the draws: the same scenario gives the same shares
WORDS: tuple[Word, ...] = ("reproduced", "undecided", "equivalent", "higher", "lower")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """What is true of a claim and of our runs, and what is known of it.

    Attributes:
        sd: standard deviation of one run's figure over seeds.
        rule: by which it is judged.
        half_unit: half a unit of the claim's last digit.
        earlier: the spread of each group of earlier repeats, and its degrees of freedom.
        redrawn: whether these are true spreads, of which each claim meets an estimate of its own;
            else they are the estimates that are known.
        row_variance: of claim minus ours by their test rows; 0 if these are the same.
    """

    sd: float
    rule: Rule
    half_unit: float = 0.00005
    earlier: tuple[Spread, ...] = ()
    redrawn: bool = True
    row_variance: float = 0.0


@dataclass(frozen=True)
class Shares:
    """What came of many claims.

    Attributes:
        words: share of each word.
        covered: share of claims, before rounding, that lay in the interval of one more run.
    """

    words: Mapping[Word, float]
    covered: float

    @property
    def consistent(self) -> float:
        """Share of claims that our runs do not speak against."""
        return self.words["reproduced"] + self.words["undecided"]


def simulate(scenario: Scenario, n: int, difference: float, draws: int = DRAWS) -> Shares:
    """Shares of the words over many claims, each with n runs of ours beside it.

    Args:
        scenario: what is true and known.
        n: our runs.
        difference: our recipe's mean minus that of the recipe behind the claim.
        draws: claims.
    """
    claimed, mean, spreads = _draw(scenario, n, difference, draws)
    if not spreads:
        return Shares({word: float(word == "undecided") for word in WORDS}, 1.0)
    rule, unit = scenario.rule, 2 * scenario.half_unit
    width = widest(spreads, n, scenario.row_variance, rule.level, rule.together)
    printed = np.round(claimed / unit) * unit
    distance = np.abs(mean - printed)
    near = consistent(distance, scenario.half_unit, width)
    shown = within_margin(distance, scenario.half_unit, width, rule.margin)
    masks = {
        "reproduced": near & shown,
        "undecided": near & ~shown,
        "equivalent": ~near & shown,
        "higher": ~near & ~shown & (mean > printed),
        "lower": ~near & ~shown & (mean < printed),
    }
    shares = {word: float(masks[word].mean()) for word in WORDS}
    return Shares(shares, float((np.abs(mean - claimed) <= width.run).mean()))


def denied_while_watched(scenario: Scenario, most: int, draws: int = DRAWS) -> float:
    """Share of true claims called unlike our runs by who looks after each run.

    Runs are added until a verdict is no longer undecided, or there are `most`. The rates of
    `simulate` are of one look, at a number of runs that is fixed beforehand.

    Args:
        scenario: what is true and known; test rows are the claim's.
        most: runs at the last look.
        draws: claims.
    """
    rng = np.random.default_rng(SEED)
    rule, unit = scenario.rule, 2 * scenario.half_unit
    printed = np.round(scenario.sd * rng.standard_normal(draws) / unit) * unit
    runs = scenario.sd * rng.standard_normal((most, draws))
    earlier = _met(scenario, rng, draws)
    undecided, denied = np.ones(draws, dtype=bool), 0
    for n in range(1, most + 1):
        own = Spread(runs[:n].std(axis=0, ddof=1), n - 1) if n > 1 else None
        spreads = candidate_spreads(earlier, own)
        if not spreads:
            continue
        width = widest(spreads, n, 0.0, rule.level, rule.together)
        distance = np.abs(runs[:n].mean(axis=0) - printed)
        near = consistent(distance, scenario.half_unit, width)
        denied += int((undecided & ~near).sum())
        undecided &= near & ~within_margin(distance, scenario.half_unit, width, rule.margin)
    return denied / draws


def _draw(
    scenario: Scenario, n: int, difference: float, draws: int
) -> tuple[Floats, Floats, list[Spread]]:
    """Claims before rounding, means of our runs, and the spreads that may be theirs."""
    rng = np.random.default_rng(SEED)
    sd = scenario.sd
    claimed = sd * rng.standard_normal(draws)
    rows = scenario.row_variance**0.5 * rng.standard_normal(draws)
    mean = difference + sd / n**0.5 * rng.standard_normal(draws) + rows
    own = Spread(_estimated(sd, n - 1, rng, draws), n - 1) if n > 1 else None
    earlier = _met(scenario, rng, draws)
    return claimed, mean, candidate_spreads(earlier, own)


def _met(scenario: Scenario, rng: np.random.Generator, draws: int) -> list[Spread]:
    """The earlier repeats' spreads as each claim meets them."""
    if not scenario.redrawn:
        return list(scenario.earlier)
    return [Spread(_estimated(of.sd, of.df, rng, draws), of.df) for of in scenario.earlier]


def _estimated(sd: float, df: float, rng: np.random.Generator, draws: int) -> Floats:
    """Sample standard deviations of normal figures."""
    return np.asarray(sd * np.sqrt(rng.chisquare(df, draws) / df))

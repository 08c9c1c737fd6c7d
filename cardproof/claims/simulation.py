"""How often each verdict falls: a simulation of the model of `variation`, through its own code."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardproof.claims.variation import Spread, pooled, widths
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
        earlier_df: degrees of freedom of the earlier repeats' spread; infinite: it is known, 0:
            there are none.
        factor: how many times `sd` the earlier repeats' true spread is; 1 where they are of the
            same kind.
        row_variance: of claim minus ours by their test rows; 0 if these are the same.
        training_sd: of claim minus ours by which rows were trained on, of which the verdict's model
            knows nothing; 0 if these are the same.
    """

    sd: float
    rule: Rule
    half_unit: float = 0.00005
    earlier_df: float = 2
    factor: float = 1
    row_variance: float = 0.0
    training_sd: float = 0.0


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
    claimed, mean, spread = _draw(scenario, n, difference, draws)
    if spread is None:
        return Shares({word: float(word == "undecided") for word in WORDS}, 1.0)
    rule, unit = scenario.rule, 2 * scenario.half_unit
    width = widths(spread, n, scenario.row_variance, rule.level, rule.together)
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


def _draw(
    scenario: Scenario, n: int, difference: float, draws: int
) -> tuple[Floats, Floats, Spread | None]:
    """Claims before rounding, means of our runs, and the spread that is held to be theirs."""
    rng = np.random.default_rng(SEED)
    sd, df = scenario.sd, scenario.earlier_df
    claimed = sd * rng.standard_normal(draws)
    rows = scenario.row_variance**0.5 * rng.standard_normal(draws)
    mean = difference + sd / n**0.5 * rng.standard_normal(draws) + rows
    own = Spread(_estimated(sd, n - 1, rng, draws), n - 1) if n > 1 else None
    earlier = Spread(_estimated(scenario.factor * sd, df, rng, draws), df) if df else None
    mean += scenario.training_sd * rng.standard_normal(draws)
    return claimed, mean, pooled([earlier, own])


def _estimated(sd: float, df: float, rng: np.random.Generator, draws: int) -> Floats:
    """Sample standard deviations of normal figures; the true one if it is known."""
    if np.isinf(df):
        return np.full(draws, sd)
    return np.asarray(sd * np.sqrt(rng.chisquare(df, draws) / df))

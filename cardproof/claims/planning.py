"""How many seeds decide a card's claims, before any of them is run."""

from dataclasses import dataclass

from cardproof.claims.judge import (
    FIGURES,
    judge_claims,
    known_repeats,
    rule_of,
    scores_our_rows,
)
from cardproof.claims.published import IMDB_SPLIT
from cardproof.claims.simulation import Scenario, Shares, simulate
from cardproof.claims.verdicts import Rule
from cardproof.recipe.reported import PrintedFigure, is_blank, parse_figure
from cardproof.recipe.schema import Deviation, Recipe

RUNS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30)
POWER = 0.8  # of showing a true claim: the usual one
ENDLESS = 1_000_000  # runs: as good as all
DRAWS = 10_000


@dataclass(frozen=True)
class PlannedClaim:
    """What some numbers of seeds would make of a claim.

    Attributes:
        key: of the figure in the card's claims.
        name: for people.
        printed: the claim as the card prints it.
        claimed: what that stands for.
        margin: that it is planned with.
        scenario: what the plan takes for true; None where no spread is known.
        if_true: by number of seeds, the shares of the words if the recipe behind the claim is ours.
        if_wrong: the same if ours is lower by twice the margin.
        at_best: the share of "reproduced" of true claims with endless seeds; None: no spread known.
    """

    key: str
    name: str
    printed: str
    claimed: PrintedFigure
    margin: float
    scenario: Scenario | None
    if_true: dict[int, Shares]
    if_wrong: dict[int, Shares]
    at_best: float | None

    @property
    def enough(self) -> int | None:
        """The fewest of the seeds looked at that show a true claim with the usual power."""
        return next((n for n, s in self.if_true.items() if s.words["reproduced"] >= POWER), None)

    @property
    def never(self) -> bool:
        """Whether endless seeds lack that power, too: true claims often lie too far off."""
        return self.at_best is not None and self.at_best < POWER

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of how such runs vary."""
        return self.scenario is None and not self.too_coarse

    @property
    def too_coarse(self) -> bool:
        """Whether it is printed to no finer than the margin: no number of seeds shows it."""
        return self.claimed.half_unit >= self.margin


def plan_claims(
    recipe: Recipe, margin: float | None = None, sd: float | None = None
) -> list[PlannedClaim]:
    """Plan each claimed score and loss of a recipe's card.

    Args:
        recipe: of the runs.
        margin: of scores, another one than the verdict's.
        sd: what one run's scores are taken to vary by, and its loss if no repeats of it are known;
            None for that of the earlier repeats that vary most. The verdict counts these anyway.
    """
    claims = recipe.card.claims
    printed = {key: getattr(claims, key) for key in FIGURES}
    figures = {k: parse_figure(text) for k, text in printed.items() if text and not is_blank(text)}
    planned = []
    for key, claimed in figures.items():
        rule = rule_of(recipe.verdict, key, len(figures))
        if margin is not None and key != "loss":
            rule = rule._replace(margin=margin)
        scenario = _scenario(recipe, key, claimed, rule, sd)
        true, wrong = {}, {}
        for n in RUNS if scenario else ():
            assert scenario
            true[n] = simulate(scenario, n, 0.0, DRAWS)
            wrong[n] = simulate(scenario, n, -2 * rule.margin, DRAWS)
        best = simulate(scenario, ENDLESS, 0.0, DRAWS).words["reproduced"] if scenario else None
        name = FIGURES[key].format(averaging=claims.averaging)
        planned.append(
            PlannedClaim(key, name, printed[key], claimed, rule.margin, scenario, true, wrong, best)
        )
    return planned


def breaking_overrides(recipe: Recipe) -> list[str]:
    """The overrides of params.yaml that make every verdict "not comparable", by their keys."""

    def breaks(deviation: Deviation) -> bool:
        alone = recipe.model_copy(update={"deviations": [deviation]})
        return any(c.verdict.word == "not comparable" for c in judge_claims(alone, []))

    return [deviation.key for deviation in recipe.deviations if breaks(deviation)]


def _scenario(
    recipe: Recipe, key: str, claimed: PrintedFigure, rule: Rule, sd: float | None
) -> Scenario | None:
    rows = scored_rows(recipe)
    earlier = known_repeats(recipe, key, train_rows(recipe), rows)
    if sd is None or (key == "loss" and earlier):  # of scores, as a loss varies on another scale
        if not earlier:
            return None
        sd = max(float(spread.sd) for spread in earlier)
    drawn = 0.0  # of a loss on other rows than ours nothing is known beforehand
    if key != "loss" and rows and not scores_our_rows(recipe):
        drawn = 2 * claimed.value * (1 - claimed.value) / rows  # the claim's rows, and ours
    return Scenario(
        sd=sd,
        rule=rule,
        half_unit=claimed.half_unit,
        earlier=earlier,
        redrawn=False,
        row_variance=drawn,
    )


def train_rows(recipe: Recipe) -> float:
    """About how many rows a run trains on, by the card; 0 if it does not say."""
    held_out = recipe.split.test_size if recipe.split.validation == "holdout" else 0.0
    return _rows(recipe.card.claims.train_rows, recipe, 1 - (held_out or 0.0))


def scored_rows(recipe: Recipe) -> float:
    """About how many rows a run scores, by the card; 0 if it does not say."""
    claims, split = recipe.card.claims, recipe.split
    printed = claims.validation_rows if split.scored_set == "validation" else claims.test_rows
    drawn = None if split.scored_rows == "all" else str(split.scored_rows)
    held_out = split.scored_set == "validation" and split.validation == "holdout"
    share = (split.test_size or 1.0) if held_out else 1.0
    return _rows(claims.scored_rows or drawn or printed, recipe, share)


def _rows(printed: str | None, recipe: Recipe, share: float) -> float:
    """As printed, else that share of one of IMDb's splits."""
    if printed is None or is_blank(printed):
        return share * IMDB_SPLIT if recipe.reviews_name == "imdb" else 0
    return parse_figure(printed).value

"""How many seeds decide a card's claims, before any of them is run."""

from dataclasses import dataclass, replace

from cardproof.claims.judge import FIGURES, rule_of, scores_our_rows
from cardproof.claims.published import IMDB_SPLIT
from cardproof.claims.simulation import Scenario, Shares, simulate
from cardproof.claims.variation import earlier_spread
from cardproof.recipe.reported import PrintedFigure, is_blank, parse_figure
from cardproof.recipe.schema import Recipe

RUNS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30)
POWER = 0.8  # of showing a true claim: the usual one
DRAWS = 10_000


@dataclass(frozen=True)
class PlannedClaim:
    """What some numbers of seeds would make of a claim.

    Attributes:
        name: of the figure.
        claimed: the printed figure.
        scenario: what the plan takes for true; None where no spread is known.
        if_true: by number of seeds, the shares of the words if the recipe behind the claim is ours.
        if_wrong: the same if ours is lower by twice the margin.
    """

    name: str
    claimed: PrintedFigure
    scenario: Scenario | None
    if_true: dict[int, Shares]
    if_wrong: dict[int, Shares]

    @property
    def enough(self) -> int | None:
        """The fewest of the seeds looked at that show a true claim with the usual power."""
        return next((n for n, s in self.if_true.items() if s.words["reproduced"] >= POWER), None)


def plan_claims(
    recipe: Recipe, margin: float | None = None, sd: float | None = None
) -> list[PlannedClaim]:
    """Plan each claimed score and loss of a recipe's card.

    Args:
        recipe: of the runs.
        margin: another one than the verdict's.
        sd: of one run's figures over seeds; None for that of earlier repeats.
    """
    claims = recipe.card.claims
    printed = {key: getattr(claims, key) for key in FIGURES}
    figures = {k: parse_figure(text) for k, text in printed.items() if text and not is_blank(text)}
    planned = []
    for key, claimed in figures.items():
        scenario = _scenario(recipe, key, claimed, len(figures), sd)
        if scenario and margin is not None:
            scenario = replace(scenario, rule=scenario.rule._replace(margin=margin))
        true, wrong = {}, {}
        for n in RUNS if scenario else ():
            assert scenario
            true[n] = simulate(scenario, n, 0.0, DRAWS)
            wrong[n] = simulate(scenario, n, -2 * scenario.rule.margin, DRAWS)
        name = FIGURES[key].format(averaging=claims.averaging)
        planned.append(PlannedClaim(name, claimed, scenario, true, wrong))
    return planned


def _scenario(
    recipe: Recipe, key: str, claimed: PrintedFigure, together: int, sd: float | None
) -> Scenario | None:
    rows = scored_rows(recipe)
    claimed_by = recipe.card.published_as
    earlier = earlier_spread(
        key, recipe.reviews_name, train_rows(recipe), rows, claimed_by=claimed_by
    )
    if sd is None:
        if earlier is None:
            return None
        sd = float(earlier.sd)
    drawn = 0.0  # of a loss on other rows than ours nothing is known beforehand
    if key != "loss" and rows and not scores_our_rows(recipe):
        drawn = 2 * claimed.value * (1 - claimed.value) / rows  # the claim's rows, and ours
    return Scenario(
        sd=sd,
        rule=rule_of(recipe.verdict, key, together),
        half_unit=claimed.half_unit,
        earlier_df=float(earlier.df) if earlier else 0.0,
        row_variance=drawn,
    )


def train_rows(recipe: Recipe) -> float:
    """About how many rows a run trains on, by the card; 0 if it does not say."""
    return _rows(recipe.card.claims.train_rows, recipe)


def scored_rows(recipe: Recipe) -> float:
    """About how many rows a run scores, by the card; 0 if it does not say."""
    claims, split = recipe.card.claims, recipe.split
    printed = claims.validation_rows if split.scored_set == "validation" else claims.test_rows
    drawn = None if split.scored_rows == "all" else str(split.scored_rows)
    return _rows(claims.scored_rows or drawn or printed, recipe)


def _rows(printed: str | None, recipe: Recipe) -> float:
    if printed is None or is_blank(printed):
        return IMDB_SPLIT if recipe.reviews_name == "imdb" else 0
    return parse_figure(printed).value

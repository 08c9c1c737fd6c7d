"""How many seeds decide a card's claims, before any of them is run."""

from dataclasses import dataclass

from cardproof.claims.judge import FIGURES, judge_claims, rule_of, scores_our_rows
from cardproof.claims.published import IMDB_SPLIT
from cardproof.claims.simulation import Scenario, Shares, simulate
from cardproof.claims.variation import earlier_spread
from cardproof.claims.verdicts import Rule
from cardproof.recipe.reported import PrintedFigure, is_blank, parse_figure
from cardproof.recipe.schema import Deviation, Recipe

RUNS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30)
POWER = 0.8  # of showing a true claim: the usual one
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
    """

    key: str
    name: str
    printed: str
    claimed: PrintedFigure
    margin: float
    scenario: Scenario | None
    if_true: dict[int, Shares]
    if_wrong: dict[int, Shares]

    @property
    def enough(self) -> int | None:
        """The fewest of the seeds looked at that show a true claim with the usual power."""
        return next((n for n, s in self.if_true.items() if s.words["reproduced"] >= POWER), None)

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
        margin: another one than the verdict's.
        sd: of one run's figures over seeds; None for that of earlier repeats.
    """
    claims = recipe.card.claims
    printed = {key: getattr(claims, key) for key in FIGURES}
    figures = {k: parse_figure(text) for k, text in printed.items() if text and not is_blank(text)}
    planned = []
    for key, claimed in figures.items():
        rule = rule_of(recipe.verdict, key, len(figures))
        rule = rule if margin is None else rule._replace(margin=margin)
        scenario = _scenario(recipe, key, claimed, rule, sd)
        true, wrong = {}, {}
        for n in RUNS if scenario else ():
            assert scenario
            true[n] = simulate(scenario, n, 0.0, DRAWS)
            wrong[n] = simulate(scenario, n, -2 * rule.margin, DRAWS)
        name = FIGURES[key].format(averaging=claims.averaging)
        planned.append(
            PlannedClaim(key, name, printed[key], claimed, rule.margin, scenario, true, wrong)
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
        rule=rule,
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

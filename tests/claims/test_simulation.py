"""The error rates that the verdict names, by simulation through the code that judges."""

from dataclasses import replace

import numpy as np
import pytest

from cardproof.claims.simulation import Scenario, denied_while_watched, simulate
from cardproof.claims.variation import Spread
from cardproof.claims.verdicts import Rule, judge
from cardproof.recipe.reported import PrintedFigure

RUNS = (1, 2, 3, 5, 10)
KINDS = {
    "accuracy": Scenario(0.0015, Rule(0.005)),
    "loss": Scenario(0.012, Rule(0.02)),
    "accuracy of 100 rows": Scenario(0.0015, Rule(0.005), half_unit=0.005, row_variance=0.026**2),
}
ENDLESS = 1e9  # degrees of freedom: a spread that is as good as known
KNOWN = {"known": ENDLESS, "estimated by 2": 2.0, "estimated by 4": 4.0}


@pytest.mark.parametrize("df", KNOWN.values(), ids=KNOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_error_rates(kind: str, df: float) -> None:
    of = KINDS[kind]
    scenario = replace(of, earlier=(Spread(of.sd, df),))
    for n in RUNS:
        found = simulate(scenario, n, 0.0)
        assert found.covered >= 0.945, n
        if not of.row_variance or df == ENDLESS:  # else it is on the safe side
            assert found.covered == pytest.approx(0.95, abs=0.01), n
        assert found.words["higher"] + found.words["lower"] <= 0.05, n


@pytest.mark.parametrize(
    ("df", "factor"),
    [(ENDLESS, 1), (0, 1), *((df, factor) for df in (2, 4) for factor in (0.5, 1, 2))],
)
@pytest.mark.parametrize("kind", KINDS)
def test_more_runs_never_speak_more_for_a_claim_beyond_the_margin(
    kind: str, df: float, factor: float
) -> None:
    of = KINDS[kind]
    scenario = replace(of, earlier=(Spread(factor * of.sd, df),) if df else ())
    for difference in (1.5, 2, 4):
        shares = [simulate(scenario, n, -difference * of.rule.margin).consistent for n in RUNS]
        steps = np.diff(shares)
        assert steps.max() <= 0.01, (difference, shares)


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("ratio", [0.03, 0.1, 0.3, 3.0])
def test_one_group_of_earlier_runs_that_varies_as_ours_is_enough(right: int, ratio: float) -> None:
    """The other, too, has two runs or three, and varies less or more."""
    for together in (1, 5):
        spreads = [Spread(0.0015 * (1 if group == right else ratio), group + 1) for group in (0, 1)]
        rule = Rule(0.005, together=together)
        scenario = Scenario(0.0015, rule, 1e-9, tuple(spreads))
        for n in (1, 2, 3, 10):
            denied = 1 - simulate(scenario, n, 0.0).consistent
            assert denied * together <= 0.05 + 3 * (together * 0.05 / 20_000) ** 0.5, n


def test_who_looks_after_each_run_denies_more_true_claims() -> None:
    scenario = Scenario(0.0015, Rule(0.005), 1e-9, (Spread(0.0015, ENDLESS),))
    once = denied_while_watched(scenario, 1)
    assert once == pytest.approx(1 - simulate(scenario, 1, 0.0).consistent, abs=0.006)
    assert once == pytest.approx(0.05, abs=0.006)
    # never decided by the margin: a walk that may leave its interval at any of the looks
    never = replace(scenario, rule=Rule(1e-9))
    watched = [denied_while_watched(never, n) for n in (1, 2, 5, 10)]
    assert watched == sorted(watched)
    assert watched[-1] > 0.08


def test_a_mean_at_the_margin_of_the_claim_is_called_within_it_at_most_at_the_level() -> None:
    """The claim is given, as a card gives it, and the farthest number rounds to it."""
    rule, sd, studies = Rule(0.005), 0.0015, 4_000
    claim = PrintedFigure(0.93, 0.0005)
    mean = claim.value - claim.half_unit - (rule.margin - 2 * claim.half_unit)
    for n, df in ((1, 4), (3, 2), (5, 0)):
        random = np.random.default_rng(n)
        shown = 0
        for _ in range(studies):
            runs = random.normal(mean, sd, n).tolist()
            earlier = [Spread(sd * (random.chisquare(df) / df) ** 0.5, df)] if df else []
            shown += judge(claim, runs, rule, earlier=earlier).word in ("reproduced", "equivalent")
        assert shown / studies <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5, n


@pytest.mark.parametrize("correlated", [0.0, 0.9])
def test_a_page_of_a_dozen_true_claims_denies_any_of_them_at_most_at_the_level(
    correlated: float,
) -> None:
    figures, studies, random = 12, 1_500, np.random.default_rng(3)
    rule, denied = Rule(0.005, together=figures), 0

    def draw() -> np.ndarray:
        own, common = random.standard_normal(figures), random.standard_normal()
        return np.asarray(correlated**0.5 * common + (1 - correlated) ** 0.5 * own)

    for _ in range(studies):
        claims, runs = draw(), np.stack([draw() for _ in range(3)])
        words = {
            judge(
                PrintedFigure(0.9 + 0.001 * claim, 0.0), (0.9 + 0.001 * of).tolist(), rule,
                earlier=[Spread(0.001 * (random.chisquare(4) / 4) ** 0.5, 4)],
            ).word
            for claim, of in zip(claims, runs.T, strict=True)
        }  # fmt: skip
        denied += bool(words & {"higher", "lower", "equivalent"})
    assert denied / studies <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def test_the_simulation_is_of_the_code_that_judges() -> None:
    """The same draws, judged one by one."""
    scenario = Scenario(0.002, Rule(0.005), earlier=(Spread(0.002, ENDLESS),))
    shares = simulate(scenario, 3, -0.004, draws=4_000)
    random, words = np.random.default_rng(11), []
    for _ in range(2_000):
        claim = round(0.9 + random.normal(0, 0.002), 4)
        mean = 0.9 - 0.004 + random.normal(0, 0.002 / 3**0.5)
        runs = [mean - 1e-9, mean, mean + 1e-9]
        found = judge(PrintedFigure(claim, 0.00005), runs, scenario.rule,
                      earlier=scenario.earlier)  # fmt: skip
        words.append(found.word)
    for word, share in shares.words.items():
        assert words.count(word) / len(words) == pytest.approx(share, abs=0.035), word


def test_without_any_spread_one_run_leaves_everything_undecided() -> None:
    scenario = Scenario(0.0015, Rule(0.005))
    assert simulate(scenario, 1, -0.05).words["undecided"] == 1

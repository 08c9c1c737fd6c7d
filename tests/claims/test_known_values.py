"""Claims beside values from elsewhere: distributions of scipy, figures of papers, and the edges."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from cardproof.claims import published, variation
from cardproof.claims.judge import check_claims, judge_claims, row_variance
from cardproof.claims.planning import plan_claims, scored_rows, train_rows
from cardproof.claims.published import accuracies, first_epoch_training_losses
from cardproof.claims.simulation import Scenario, simulate
from cardproof.claims.variation import Spread, earlier_spreads
from cardproof.claims.verdicts import Rule, judge
from cardproof.recipe.load import resolve
from cardproof.recipe.reported import PrintedFigure
from tests.recipe.files import raw_files, recipe_of

# -- simulation and plan ---------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [2, 5])
def test_how_often_a_wrong_claim_is_consistent_is_a_noncentral_t(runs: int) -> None:
    """Without earlier repeats, (our mean - the claim) over its standard error has that law."""
    sd, level, together = 0.004, 0.9, 2
    scenario = Scenario(sd, Rule(0.005, level, together), half_unit=1e-9)
    away = -0.01 / (sd * (1 + 1 / runs) ** 0.5)
    edge = stats.t.ppf(1 - (1 - level) / together / 2, runs - 1)
    expected = stats.nct.cdf(edge, runs - 1, away) - stats.nct.cdf(-edge, runs - 1, away)
    found = simulate(scenario, runs, -0.01)
    assert found.consistent == pytest.approx(expected, abs=0.011)
    assert found.words["higher"] < 0.001
    assert simulate(scenario, runs, 0.01).words["lower"] < 0.001


def test_a_plan_shows_a_recipe_that_is_worse_by_twice_the_margin() -> None:
    recipe = recipe_of("grojeda", data__reviews="sample")  # no earlier repeats of its size
    planned, _ = plan_claims(recipe, margin=0.004, sd=0.005)
    assert planned.scenario
    assert planned.scenario.earlier == ()
    for runs in (3, 10):
        away = -0.008 / (0.005 * (1 + 1 / runs) ** 0.5)
        edge = stats.t.ppf(1 - 0.05 / 4, runs - 1)  # two figures together
        expected = stats.nct.cdf(edge, runs - 1, away) - stats.nct.cdf(-edge, runs - 1, away)
        assert planned.if_wrong[runs].consistent == pytest.approx(expected, abs=0.02)
        assert planned.if_wrong[runs].words["higher"] < 0.01


def test_a_plan_looks_at_few_runs_one_by_one_and_at_more_in_larger_steps() -> None:
    runs = list(plan_claims(recipe_of("grojeda"), sd=0.001)[0].if_true)
    assert runs[:5] == [1, 2, 3, 4, 5]
    assert runs[-1] == 30  # as many as make a spread known: t(29) is within 5 % of the normal
    assert all(1 < later / earlier <= 1.5 for earlier, later in pairwise(runs[4:]))


def test_the_rows_of_the_claim_and_ours_vary_as_binomials_do() -> None:
    raw = raw_files(card="llm_project")
    raw.cards["llm_project"]["claims"] |= {"accuracy": "0.900", "loss": "0.300"}
    accuracy, loss = plan_claims(resolve(raw), sd=0.002)[:2]
    rows = scored_rows(resolve(raw))
    assert accuracy.scenario
    assert accuracy.scenario.row_variance == pytest.approx(
        2 * stats.binom(rows, 0.9).var() / rows**2
    )
    assert loss.scenario
    assert loss.scenario.row_variance == 0  # not known beforehand


def test_rows_that_a_card_does_not_print_are_those_of_imdb_or_not_known() -> None:
    raw = raw_files(card="grojeda")
    for key in ("train_rows", "validation_rows", "test_rows", "scored_rows"):
        raw.cards["grojeda"]["claims"].pop(key, None)
    recipe = resolve(raw)
    assert (train_rows(recipe), scored_rows(recipe)) == (22_500, 25_000)  # Maas et al. 2011
    raw.params["data"]["reviews"] = "sample"
    assert (train_rows(resolve(raw)), scored_rows(resolve(raw))) == (0, 0)


def test_a_scenario_is_of_four_decimals_and_no_earlier_runs_unless_said() -> None:
    assert simulate(Scenario(0.002, Rule(0.005)), 2, 0) == simulate(
        Scenario(0.002, Rule(0.005, 0.95, 1), 0.5e-4, (), True, 0.0), 2, 0
    )


# -- published runs --------------------------------------------------------------------------------


def test_references_outside_are_as_their_papers_print_them() -> None:
    assert f"{100 * published.DISTILBERT_PAPER:.2f}" == "92.82"  # table 2: IMDb, test accuracy
    assert f"{100 * (1 - published.XLNET_LARGE):.2f}" == "3.79"  # table 4: IMDb, error rate


def test_runs_on_two_thirds_to_one_and_a_half_times_the_rows_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def runs_of(*rows: int) -> None:
        found = [{"train_rows": str(n), "accuracy": f"0.{n}"} for n in rows]
        monkeypatch.setattr(published, "published_runs", lambda: [*found, {"train_rows": ""}])

    runs_of(1_999, 2_000, 2_500, 3_000, 4_000, 4_500, 4_501)
    near = accuracies(3_000)
    assert near
    assert near.values == (0.2, 0.25, 0.3, 0.4, 0.45)
    runs_of(2_000, 2_500, 3_000, 4_000)
    assert accuracies(3_000) is None  # four are too few
    runs_of(17_000, 20_000, 22_500, 24_000, 25_000, 25_001, 30_000)
    assert len(getattr(accuracies(25_000), "values", ())) == 5  # the others saw the test split


def test_first_epochs_print_a_loss_that_is_better_than_chance() -> None:
    found = first_epoch_training_losses()
    assert 0 < min(found.values) <= found.mean <= max(found.values) < np.log(2)
    assert found.deviation == pytest.approx(np.std(found.values, ddof=1))


# -- spreads and verdicts --------------------------------------------------------------------------


def test_repeats_count_up_to_one_and_a_half_times_as_many_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of DistilBERT are of 25,000 rows, trained on and scored."""
    imdb = [group for group in variation._repeats().items() if "DistilBERT" in group[0][1]]
    monkeypatch.setattr(variation, "_repeats", lambda: dict(imdb))
    for inside in (16_667, 37_500):
        assert earlier_spreads("accuracy", "imdb", inside, 25_000, claimed_by="")
        assert earlier_spreads("accuracy", "imdb", 25_000, inside, claimed_by="")
    for outside in (16_666, 37_501):
        assert earlier_spreads("accuracy", "imdb", outside, 25_000, claimed_by="") == ()
        assert earlier_spreads("accuracy", "imdb", 25_000, outside, claimed_by="") == ()


def test_a_spread_that_is_known_makes_normal_intervals() -> None:
    found = judge(PrintedFigure(0.9, 0.0), [0.91], Rule(0.05), earlier=[Spread(0.01, 1e9)])
    assert found.interval
    assert found.interval.high == pytest.approx(0.91 + stats.norm.ppf(0.975) * 0.01 * 2**0.5)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (PrintedFigure(0.9, 0.0), "claimed 0.9000"),  # exact: four decimals
        (PrintedFigure(0.9, 0.005), "claimed 0.90"),
        (PrintedFigure(12.0, 0.5), "claimed 12"),
        (PrintedFigure(1200.0, 50.0), "claimed 1,200"),
        (PrintedFigure(0.125, 0.5e-14), "claimed 0.1250000000"),  # ten at most
    ],
)
def test_a_claim_is_said_with_the_decimals_that_it_is_printed_with(
    claim: PrintedFigure, said: str
) -> None:
    assert judge(claim, [], Rule(0.1)).reason.endswith(f"{said}.")


def test_a_figure_far_from_the_claim_on_either_side_has_its_word() -> None:
    rule = Rule(0.02)
    assert rule[1:] == (0.95, 1, np.inf)
    earlier = [Spread(1e-6, 4)]
    words = [
        judge(PrintedFigure(0.3, 0.0), [m, m], rule, earlier=earlier).word
        for m in (0.28, 0.3, 0.32, 0.31)
    ]
    assert words == ["lower", "reproduced", "higher", "equivalent"]  # a margin is no part of itself


# -- judging a card --------------------------------------------------------------------------------


def test_only_figures_that_are_claimed_and_measured_share_the_error_rate() -> None:
    """The half-width of 3 runs: t(2), each side 2.5 % by the number of figures that are judged."""
    sd = 0.001
    runs = [{"evaluate.accuracy": 0.9256 + sd * step} for step in (-1, 0, 1)]
    for figures, extra in ((1, {}), (2, {"evaluate.loss": 0.25})):
        judged = judge_claims(recipe_of("grojeda"), [run | extra for run in runs])
        found = {c.key: c.verdict for c in judged}["accuracy"].interval
        assert found
        half = stats.t.ppf(1 - 0.025 / figures, 2) * sd * (4 / 3) ** 0.5
        assert found.high - 0.9256 == pytest.approx(half, rel=1e-6)


def test_a_shorter_claim_is_on_fewer_rows_than_ours() -> None:
    raw = raw_files(card="template")
    raw.cards["template"]["claims"] |= {"accuracy": "0.9", "scored_rows": "50"}
    loss = [{"evaluate.loss_error": error, "evaluate.rows": 100} for error in (0.03, 0.05)]
    # of ours the mean of both squares, of the claim's rows twice that
    assert row_variance(resolve(raw), "evaluate.loss", loss) == pytest.approx(0.0017 * 3)
    raw.cards["template"]["claims"]["scored_rows"] = None
    alone = row_variance(resolve(raw), "evaluate.loss", loss[:1])
    assert alone == pytest.approx(0.0009 * 2)


def test_a_model_file_is_counted_in_mebibytes() -> None:
    raw = raw_files(card="deepaxion")
    raw.cards["deepaxion"]["claims"]["model_mebibytes"] = "2.00"
    (found,) = (
        c for c in check_claims(resolve(raw), {"train.model_bytes": 2 * 1024**2})
        if c.key == "model_mebibytes"
    )  # fmt: skip
    assert (found.shown, found.word) == ("2.00", "matches")

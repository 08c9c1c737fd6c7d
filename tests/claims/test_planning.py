"""Plans of seeds: what is known, what is not, and the command."""

from dataclasses import replace

import pytest

from cardproof.claims.planning import plan_claims, scored_rows, train_rows
from cardproof.claims.simulation import WORDS, Shares
from cardproof.cli import main
from tests.recipe.files import recipe_of


def test_a_plan_takes_the_spread_of_earlier_repeats_of_its_size() -> None:
    accuracy, loss = plan_claims(recipe_of("grojeda"))
    assert accuracy.scenario
    assert (accuracy.scenario.earlier_df, accuracy.scenario.rule.together) == (1, 2)
    assert accuracy.scenario.sd == pytest.approx(0.00082, abs=1e-5)
    assert loss.scenario
    assert loss.scenario.rule.margin == 0.02
    # the claim's own luck decides at most 95 %; more seeds show more of the rest
    shown = [shares.words["reproduced"] for shares in accuracy.if_true.values()]
    assert shown == sorted(shown, key=lambda share: round(share, 2))
    assert accuracy.enough == next(n for n, s in accuracy.if_true.items()
                                   if s.words["reproduced"] >= 0.8)  # fmt: skip
    assert all(1 - s.consistent < 0.05 for s in accuracy.if_true.values())


def test_the_fewest_seeds_with_the_power_are_enough() -> None:
    (planned, _) = plan_claims(recipe_of("grojeda"))
    shown = {
        n: Shares(dict.fromkeys(WORDS, 0.0) | {"reproduced": share}, 1.0)
        for n, share in ((2, 0.79), (3, 0.8), (5, 0.9))
    }
    assert replace(planned, if_true=shown).enough == 3


def test_a_wider_margin_takes_fewer_seeds_and_a_wider_spread_more() -> None:
    def enough(margin: float | None = None, sd: float | None = None) -> int:
        return plan_claims(recipe_of("grojeda"), margin, sd)[0].enough or 99

    assert enough(margin=0.02) <= enough() <= enough(margin=0.003)
    assert enough(sd=0.0005) <= enough(sd=0.0012) < enough(sd=0.004) == 99


def test_what_is_not_known_is_said() -> None:
    for claim in plan_claims(recipe_of("hansaht", data__reviews="sample")):
        assert (claim.scenario, claim.enough, claim.if_true) == (None, None, {})
    assert plan_claims(recipe_of("template")) == []


def test_rows_are_the_cards() -> None:
    assert (train_rows(recipe_of("grojeda")), scored_rows(recipe_of("grojeda"))) == (22_500, 25_000)
    assert scored_rows(recipe_of("template")) == 100
    llm = plan_claims(recipe_of("llm_project"), sd=0.002)[0].scenario
    assert llm
    assert llm.row_variance > 0  # its rows were drawn with a seed that it does not say


def test_the_command_prints_a_line_for_each_number_of_seeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "grojeda", "--margin", "0.01"]) == 0
    said = capsys.readouterr().out
    assert "accuracy: claimed 0.9256, margin 0.01, spread over seeds 0.00082 (by 1 degree" in said
    assert said.count("\n     10 ") == 2
    assert "dvc exp run --queue -S card=grojeda" in said
    with pytest.raises(SystemExit):
        main(["plan", "grojeda", "--margin", "3"])
    assert "3 is not between 0 and 1" in capsys.readouterr().err

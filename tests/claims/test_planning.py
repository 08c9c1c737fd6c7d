"""Plans of seeds: what is known, what is not, and the command."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cardproof.claims.planning import breaking_overrides, plan_claims, scored_rows, train_rows
from cardproof.claims.simulation import WORDS, Shares
from cardproof.cli import main
from tests.conftest import ROOT
from tests.recipe.files import recipe_of


def test_a_plan_takes_the_spread_of_earlier_repeats_of_its_size() -> None:
    accuracy, loss = plan_claims(recipe_of("grojeda"))
    assert accuracy.scenario
    assert [spread.df for spread in accuracy.scenario.earlier] == [1, 2]
    assert accuracy.scenario.rule.together == 2
    assert accuracy.scenario.sd == pytest.approx(0.00324, abs=1e-5)
    assert loss.scenario
    assert loss.scenario.rule.margin == 0.02
    # the claim's own luck decides at most 95 %; more seeds show more of the rest
    shown = [shares.words["reproduced"] for shares in accuracy.if_true.values()]
    assert shown == sorted(shown, key=lambda share: round(share, 2))
    assert max(shown) < 0.8
    assert accuracy.enough is None
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
    assert enough(sd=0.0005) <= enough(sd=0.0012) < enough(sd=0.002) < enough(sd=0.004) == 99


def test_what_is_not_known_is_said() -> None:
    for claim in plan_claims(recipe_of("hansaht", data__reviews="sample")):
        assert (claim.scenario, claim.enough, claim.if_true) == (None, None, {})
    assert plan_claims(recipe_of("template")) == []


def test_rows_are_the_cards() -> None:
    assert (train_rows(recipe_of("grojeda")), scored_rows(recipe_of("grojeda"))) == (22_500, 25_000)
    assert scored_rows(recipe_of("template")) == 100
    held_out = recipe_of("llm_project")  # a fifth, which it does not print
    assert (train_rows(held_out), scored_rows(held_out)) == (20_000, 5_000)
    llm = plan_claims(recipe_of("llm_project"), sd=0.002)[0].scenario
    assert llm
    assert llm.row_variance > 0  # its rows were drawn with a seed that it does not say


def test_a_claim_of_few_digits_is_shown_by_no_number_of_seeds() -> None:
    assert {c.key: c.too_coarse for c in plan_claims(recipe_of("deepaxion"))} == {
        "accuracy": True, "f1": True, "precision": True, "recall": True,
    }  # fmt: skip
    assert not any(c.too_coarse for c in plan_claims(recipe_of("deepaxion"), margin=0.01))


def test_overrides_that_break_a_comparison_are_found_and_others_are_not() -> None:
    recipe = recipe_of("grojeda", train__epochs=3, train__seed=5, evaluate__batch_size=8)
    assert breaking_overrides(recipe) == ["train.epochs"]
    assert breaking_overrides(recipe_of("deepaxion", train__learning_rate=5e-5)) == []


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, with the recipe's files in it and no run."""
    for name in ("cards", "sources.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines of `cardproof plan`."""
    assert main(["plan", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("folder")
def test_the_command_gives_the_chances_by_seeds_and_what_to_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(capsys, "grojeda")
    assert lines[:3] == [
        "seeds                             1       2       3       5      10      20      30",
        'chance of "reproduced" if the claim is true',
        "  accuracy 0.9256                0%      4%     24%     46%     65%     74%     78%",
    ]
    assert lines[7:] == [
        "accuracy 0.9256: 80 % with more than 30; sd between runs 0.0032, margin 0.005",
        "cross-entropy loss 0.2435: 80 % with 30 seeds; sd between runs 0.012, margin 0.02",
        "the sd is known from few earlier runs only and may be off by several times",
        "to run 5 seeds:",
        "  dvc exp run --queue -S card=grojeda -S 'train.seed=range(1,6)'",
        "  dvc exp run --run-all",
        "  make compare",
    ]
    assert "\n".join(lines) in (ROOT / "README.md").read_text(encoding="utf-8")
    wider = printed(capsys, "grojeda", "--margin", "0.01")
    assert any(line.startswith("accuracy 0.9256: 80 % with 3 seeds;") for line in wider)
    assert "to run 30 seeds:" in wider  # by its loss
    said = "accuracy 0.9256: 80 % with no number of seeds; sd between runs 0.004, margin 0.005"
    assert said in printed(capsys, "grojeda", "--sd", "0.004")
    of_earlier = printed(capsys, "sample", "--sd", "0.001")[7]
    assert "with more than 30; sd between runs 0.001, earlier runs 0.04, margin" in of_earlier


def test_a_claim_of_few_digits_gets_a_reason_and_no_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    *figures, wider = printed(capsys, "deepaxion")
    assert figures[1] == (
        "F1 (macro) 93%: printed to ±0.005, no finer than the margin of 0.005: no number of seeds "
        "shows it reproduced"
    )
    assert len(figures) == 4
    assert "--margin 0.01 (verdict.share_margin)" in wider


def test_an_unknown_spread_asks_for_three_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "deepaxion", "--margin", "0.01"]) == 1
    said = capsys.readouterr().out
    assert "recall (macro) 94%: sd between runs unknown: run 3 seeds and plan again" in said
    assert "to run 7 seeds:" in said  # by its accuracy
    assert main(["plan", "llm_project"]) == 1
    assert "-S card=llm_project -S train.seed=1,2,3\n" in capsys.readouterr().out
    assert (
        "accuracy 0.9804: 80 % with no number of seeds; sd between runs 0.001, other test rows, "
        "margin 0.005"
    ) in printed(capsys, "llm_project", "--sd", "0.001")


def test_a_loss_of_few_digits_is_told_of_its_own_margin(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = folder / "cards"
    cards.unlink()
    shutil.copytree(ROOT / "cards", cards)
    text = (cards / "grojeda.yaml").read_text(encoding="utf-8")
    (cards / "grojeda.yaml").write_text(text.replace('loss: "0.2435"', 'loss: "0.2"'))
    lines = printed(capsys, "grojeda", "--margin", "0.1")
    assert any("loss 0.2: printed to ±0.05, no finer than the margin of 0.02" in s for s in lines)
    assert "a loss of so few digits needs verdict.loss_margin: 0.1 in params.yaml" in lines


def test_overrides_and_the_time_of_the_last_run_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "metrics").mkdir()
    (folder / "metrics/train_time.json").write_text('{"train_seconds": 50}')
    (folder / "data/recipe").mkdir(parents=True)
    ran = recipe_of("grojeda", train__seed=7).model_dump_json()
    (folder / "data/recipe/report.json").write_text(ran)

    def timed(card: str) -> list[str]:
        lines = printed(capsys, card)
        assert max(map(len, lines)) <= 100
        return [line for line in lines if line.startswith("training, by the last run")]

    assert timed("grojeda")[0].endswith("8 min  17 min  25 min")
    assert timed("hansaht") == []
    params = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(params.replace("  epochs:", "  epochs: 3", 1))
    assert printed(capsys, "grojeda")[0] == (
        'warning: params.yaml overrides train.epochs: every run will be "not comparable"'
    )
    assert timed("grojeda") == []  # the last run had other epochs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "CARD: 'nope' is not in cards/; known: deepaxion, grojeda"),
        (["grojed"], "CARD: 'grojed' is not in cards/; did you mean grojeda?"),
        (["grojeda", "--margin", "half"], "--margin: 'half' is no number between 0 and 1"),
        (["grojeda", "--margin", "3"], "--margin: '3' is no number between 0 and 1"),
        (["grojeda", "--sd", "nan"], "--sd: 'nan' is no number between 0 and 1"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["plan", *arguments])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err

"""Each claim of a card beside our figures, and what makes them comparable."""

import csv
import re
from statistics import stdev
from typing import Any

import pytest

from cardproof.claims.judge import breaking_deviations, judge_claims, judge_epochs, summarise_run
from cardproof.recipe.schema import Train
from tests.conftest import ROOT
from tests.recipe.files import recipe_of
from tests.runs.made import outputs_of


def test_a_claim_meets_the_interval_of_one_more_run() -> None:
    recipe = recipe_of("deepaxion")
    metrics = {"evaluate.accuracy": 0.9351, "evaluate.f1_macro": 0.9451}
    metrics |= {"train.parameters": 66_955_010, "train.model_bytes": 267_832_560}
    found = {c.key: c for c in judge_claims(recipe, [metrics])}
    # one run: 0.9351 ± 1.96 x 0.0015 x sqrt(2) meets 93.5 % to 94.5 %
    assert found["accuracy"].verdict.interval is not None
    assert found["accuracy"].verdict.interval.source == "published"
    assert found["accuracy"].verdict.interval.low == pytest.approx(0.9351 - 0.004158, abs=1e-5)
    words = {key: c.verdict.word for key, c in found.items()}
    assert words == {
        "accuracy": "reproduced", "f1": "higher", "precision": "not testable",
        "recall": "not testable", "train_rows": "not testable", "test_rows": "not testable",
        "parameters": "reproduced", "model_mebibytes": "reproduced",
    }  # fmt: skip
    assert found["model_mebibytes"].shown == "255"
    assert found["f1"].difference == pytest.approx(0.0151)


def test_a_deviation_bars_only_the_claims_that_it_concerns() -> None:
    recipe = recipe_of("grojeda", model__base="minilm")
    metrics = {"evaluate.accuracy": 0.9256, "train.steps": 2814, "split.train_rows": 22_500}
    found = {c.key: c for c in judge_claims(recipe, [metrics])}
    assert found["accuracy"].verdict.word == "not comparable"
    assert "model.base" in found["accuracy"].verdict.reason
    assert found["steps"].verdict.word == found["train_rows"].verdict.word == "reproduced"
    short = recipe_of("grojeda", data__limit=100)
    assert {c.verdict.word for c in judge_claims(short, [metrics])} == {"not comparable"}


def test_another_seed_or_unspecified_value_breaks_no_comparison() -> None:
    assert breaking_deviations(recipe_of("llm_project", train__seed=7)) == ["train.seed"]
    other = recipe_of("llm_project", train__seed=7, train__precision="bf16")
    accuracy = next(c for c in judge_claims(other, [{"evaluate.accuracy": 0.98}] * 3))
    assert breaking_deviations(other) == ["train.seed"]
    assert {c.verdict.word for c in judge_claims(other, [{"evaluate.accuracy": 0.9804}])} == {
        "reproduced",
        "not testable",
    }
    assert accuracy.verdict.n in (0, 3)
    assert breaking_deviations(recipe_of("llm_project", tokenize__max_length=256)) == []
    assert breaking_deviations(recipe_of("grojeda", tokenize__max_length=256)) == [
        "tokenize.max_length"
    ]
    assert breaking_deviations(recipe_of("deepaxion", train__precision="bf16"), "bf16") == []
    # Its 1,250 steps an epoch leave one share of held-out rows.
    assert breaking_deviations(recipe_of("llm_project", split__test_size=0.5)) == [
        "split.test_size"
    ]
    assert breaking_deviations(recipe_of("deepaxion"), precision="bf16") == ["train.precision"]


@pytest.mark.parametrize("key", sorted(Train.model_fields.keys() - {"seed", "logging_steps"}))
def test_whatever_is_changed_in_training_bars_a_comparison(key: str) -> None:
    changes: dict[str, Any] = {
        "learning_rate": 1e-5, "scheduler": "cosine", "warmup_steps": 9, "weight_decay": 0.1,
        "betas": [0.8, 0.9], "epsilon": 1e-6, "batch_size": 4, "epochs": 1.0, "max_steps": 9,
        "precision": "bf16", "load_best": False,
    }  # fmt: skip
    run = recipe_of("grojeda", **{f"train__{key}": changes[key]})
    # as if the card stated all of it
    other = run.model_copy(update={"card": run.card.model_copy(update={"unspecified": {}})})
    found = judge_claims(other, [{"evaluate.accuracy": 0.9256, "evaluate.loss": 0.2435}])
    words = {c.key: c.verdict.word for c in found}
    assert (words["accuracy"], words["loss"]) == ("not comparable", "not comparable")


def test_a_single_runs_training_loss_borrows_no_spread() -> None:
    """The published one is of losses on held-out rows: three times llm_project's third epoch."""
    row = {
        "training_loss": 0.12,
        "epoch": 3,
        "step": 3750,
        "validation_loss": 0.1,
        "accuracy": 0.98,
    }
    cells = judge_epochs(recipe_of("llm_project"), [[row]])[2]
    assert cells[0].verdict.word == "not testable"
    assert cells[3].verdict.word == "reproduced"


def test_three_runs_have_a_spread_of_their_own() -> None:
    runs = [{"evaluate.accuracy": a, "evaluate.loss": 0.2435} for a in (0.921, 0.922, 0.923)]
    found = {c.key: c for c in judge_claims(recipe_of("grojeda"), runs)}
    verdict = found["accuracy"].verdict
    assert verdict.interval is not None
    assert (verdict.n, verdict.interval.source) == (3, "seeds")
    # t(2) = 4.3027 (any table): 0.922 ± 4.3027 x 0.001 x sqrt(4/3)
    assert verdict.interval.high == pytest.approx(0.922 + 4.3027 * 0.001 * (4 / 3) ** 0.5, abs=1e-6)
    assert verdict.word == "reproduced"
    assert found["accuracy"].measured == pytest.approx(0.922)


def test_the_declared_spread_is_that_of_the_published_runs() -> None:
    with (ROOT / "cardproof/claims/published.csv").open() as file:
        runs = [
            row
            for row in csv.DictReader(file)
            if (row["train_rows"], row["epochs"]) == ("25000", "2")
        ]
    rules = recipe_of("grojeda").verdict
    assert len(runs) == 3
    assert rules.share_sd == pytest.approx(stdev(float(r["accuracy"]) for r in runs), abs=1e-4)
    assert rules.loss_sd == pytest.approx(stdev(float(r["loss"]) for r in runs), abs=5e-4)


def test_each_cell_of_a_cards_table_meets_the_same_epoch_of_ours() -> None:
    recipe = recipe_of("hansaht")
    table = judge_epochs(recipe, [outputs_of(recipe).epochs])
    assert len(table) == 5
    assert [c.measured for c in table[4]] == [None] * 5
    assert [c.verdict.word for c in table[0]] == ["reproduced"] * 4 + ["higher"]
    assert [c.verdict.word for c in table[1]] == ["not testable", *["reproduced"] * 3, "lower"]
    other = recipe_of("hansaht", train__epochs=3)
    cells = judge_epochs(other, [outputs_of(other).epochs])[0]
    assert [c.verdict.word for c in cells] == [
        "not comparable", "reproduced", "reproduced", "not comparable", "not comparable",
    ]  # fmt: skip


def test_blanks_of_the_template_are_filled_in_its_formats() -> None:
    run = outputs_of(recipe_of("template")).run
    judged = judge_claims(run.recipe, [run.metrics])
    shown = {c.key: c.shown for c in judged}
    for key in ("accuracy", "precision", "recall"):
        assert re.fullmatch(r"\d\d\.\d\d%", shown[key])
    assert re.fullmatch(r"\d\.\d{4}", shown["f1"])
    assert shown["milliseconds_per_example"] == "~12.35 ms"
    assert {c.verdict.word for c in judged if c.claimed is None} == {"not testable"}


def test_a_summary_begins_with_what_is_asked_first() -> None:
    run = outputs_of(recipe_of("grojeda")).run
    found = summarise_run(run.recipe, run.metrics, judge_claims(run.recipe, [run.metrics]))
    assert list(found)[:6] == ["accuracy", "claimed", "verdict", "loss", "f1", "claimed_loss"]
    assert len(found) <= 18
    assert (found["claimed"], found["verdict"]) == (0.9256, "higher")
    run = outputs_of(recipe_of("template")).run
    blank = summarise_run(run.recipe, run.metrics, judge_claims(run.recipe, [run.metrics]))
    assert (blank["verdict"], "claimed" in blank) == ("blank", False)
    assert blank["f1"] == round(run.metrics["evaluate.f1_binary"], 5)
    macro = outputs_of(recipe_of("deepaxion")).run
    scored = summarise_run(macro.recipe, macro.metrics, judge_claims(macro.recipe, [macro.metrics]))
    averaging = macro.recipe.card.claims.averaging
    assert scored["f1"] == round(macro.metrics[f"evaluate.f1_{averaging}"], 5)

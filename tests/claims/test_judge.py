"""Each claim of a card beside our figures, and what makes them comparable."""

import re
from typing import Any

import pytest

from cardproof.claims.judge import (
    breaking_deviations,
    check_claims,
    judge_claims,
    row_variance,
    scores_our_rows,
)
from cardproof.recipe.load import resolve
from cardproof.recipe.schema import Recipe, Train
from tests.recipe.files import raw_files, recipe_of
from tests.runs.made import outputs_of

SIZES = {"split.train_rows": 25_000, "evaluate.rows": 25_000}
COUNTS = {"true_negatives": 11_600, "false_positives": 900, "false_negatives": 950,
          "true_positives": 11_550}  # fmt: skip


def words_of(recipe: Recipe, runs: list[dict[str, float]], **kwargs: Any) -> dict[str, str]:
    return {c.key: c.verdict.word for c in judge_claims(recipe, runs, **kwargs)}


def test_a_single_run_borrows_the_spread_of_earlier_ones() -> None:
    recipe = recipe_of("deepaxion")
    run = SIZES | {"evaluate.accuracy": 0.9351, "evaluate.f1_macro": 0.9451}
    found = {c.key: c for c in judge_claims(recipe, [run])}
    assert {key: c.verdict.word for key, c in found.items()} == {
        "accuracy": "undecided",  # a print of two digits stands for too much
        "f1": "undecided",  # no macro F1 is among the repeats
        "precision": "not measured",
        "recall": "not measured",
    }
    assert (found["accuracy"].full, found["accuracy"].shown) == ("93.51 %", "94%")
    assert found["accuracy"].verdict.interval
    assert found["accuracy"].verdict.spread == pytest.approx((0.00082, 1), abs=1e-5)
    assert "run two seeds or more" not in found["accuracy"].verdict.reason
    assert found["f1"].difference == pytest.approx(0.0151)
    # two figures are judged together: t(1) at 1.25 % each side, wider than t(2) of ours
    half = 25.452 * 0.00082024 * 2**0.5
    assert found["accuracy"].verdict.smallest_difference == pytest.approx(half + 0.005, abs=1e-4)


def test_counts_are_checks_and_no_figures() -> None:
    recipe = recipe_of("deepaxion")
    metrics = {"train.parameters": 66_955_010, "train.model_bytes": 267_832_560}
    found = {c.key: c for c in check_claims(recipe, metrics)}
    assert {key: c.word for key, c in found.items()} == {
        "train_rows": "not measured", "test_rows": "not measured", "parameters": "matches",
        "model_mebibytes": "matches",
    }  # fmt: skip
    assert found["model_mebibytes"].shown == "255"
    other = {c.key: c for c in check_claims(recipe, {"train.parameters": 22_000_000})}
    assert (other["parameters"].word, other["parameters"].reason) == (
        "differs", "The run counted 22,000,000."
    )  # fmt: skip


def test_a_deviation_bars_only_the_claims_that_it_concerns() -> None:
    recipe = recipe_of("grojeda", model__base="minilm")
    metrics = {"evaluate.accuracy": 0.9256, "train.steps": 2814, "split.train_rows": 22_500}
    found = {c.key: c for c in judge_claims(recipe, [metrics])}
    assert found["accuracy"].verdict.word == "not comparable"
    assert "model.base" in found["accuracy"].verdict.reason
    checks = {c.key: c.word for c in check_claims(recipe, metrics)}
    assert checks["steps"] == checks["train_rows"] == "matches"
    short = recipe_of("grojeda", data__limit=100)
    assert set(words_of(short, [metrics]).values()) == {"not comparable"}
    assert {c.word for c in check_claims(short, metrics)} == {"not comparable", "not measured"}


def test_the_claims_rows_are_ours_only_where_all_or_the_draw_is_stated() -> None:
    assert scores_our_rows(recipe_of("grojeda"))  # all test rows
    assert scores_our_rows(recipe_of("deepaxion"))  # likewise, and no seed is needed
    assert not scores_our_rows(recipe_of("llm_project"))  # held out by a seed that it does not say
    assert not scores_our_rows(recipe_of("template"))  # some 100


def test_a_claim_on_other_rows_is_given_their_variance() -> None:
    raw = raw_files(card="template")
    raw.cards["template"]["claims"] |= {"accuracy": "0.9000", "scored_rows": "100"}
    recipe = resolve(raw)
    run = {"evaluate.accuracy": 0.93, "evaluate.rows": 25_000, "split.train_rows": 25_000}
    run |= {f"evaluate.{key}": count for key, count in COUNTS.items()}
    p = (11_600 + 11_550) / 25_000
    expected = p * (1 - p) / 24_999 * (1 + 25_000 / 100)
    assert row_variance(recipe, "evaluate.accuracy", [run]) == pytest.approx(expected)
    (accuracy,) = (c for c in judge_claims(recipe, [run]) if c.key == "accuracy")
    assert accuracy.verdict.word == "undecided"
    assert accuracy.verdict.smallest_difference
    assert accuracy.verdict.smallest_difference > 0.05
    assert row_variance(recipe, "evaluate.loss", [run]) is None
    error = run | {"evaluate.loss_error": 0.01}
    assert row_variance(recipe, "evaluate.loss", [error]) == pytest.approx(0.0251)


def test_another_seed_or_unspecified_value_breaks_no_comparison() -> None:
    assert breaking_deviations(recipe_of("llm_project", train__seed=7)) == ["train.seed"]
    other = recipe_of("llm_project", train__seed=7, train__precision="bf16")
    assert breaking_deviations(other) == ["train.seed"]
    assert words_of(other, [SIZES | {"evaluate.accuracy": 0.98}] * 3)["accuracy"] == "undecided"
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


def test_three_runs_add_a_spread_of_their_own() -> None:
    runs = [
        SIZES | {"evaluate.accuracy": a, "evaluate.loss": 0.2435} for a in (0.9240, 0.9250, 0.9260)
    ]
    found = {c.key: c for c in judge_claims(recipe_of("grojeda"), runs)}
    verdict = found["accuracy"].verdict
    sd = ((2 * 0.001**2 + 2 * 0.00323723**2) / 4) ** 0.5
    assert verdict.spread == pytest.approx((sd, 4), abs=1e-7)
    assert verdict.interval
    # t(4) at 1.25 % each side, two figures together: 3.4954
    assert verdict.interval.high == pytest.approx(0.925 + 3.4954 * sd * (4 / 3) ** 0.5, abs=1e-6)
    assert verdict.word == "reproduced"
    assert found["accuracy"].measured == pytest.approx(0.925)
    assert found["accuracy"].values == (0.9240, 0.9250, 0.9260)


def test_blanks_of_the_template_are_filled_in_its_formats() -> None:
    run = outputs_of(recipe_of("template")).run
    judged = judge_claims(run.recipe, [run.metrics])
    shown = {c.key: c.shown for c in judged}
    for key in ("accuracy", "precision", "recall"):
        assert re.fullmatch(r"\d\d\.\d\d%", shown[key])
    assert re.fullmatch(r"\d\.\d{4}", shown["f1"])
    assert {c.verdict.word for c in judged} == {"left blank"}
    (time,) = (c for c in check_claims(run.recipe, run.metrics) if c.shown.endswith("ms"))
    assert (time.shown, time.word) == ("~12.35 ms", "left blank")

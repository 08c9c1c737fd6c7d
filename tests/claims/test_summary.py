"""A run in a few figures, and its card in a sentence."""

import pytest

from cardproof.claims.judge import judge_claims
from cardproof.claims.summary import summarise_run, verdict_sentence
from tests.recipe.files import recipe_of
from tests.runs.made import outputs_of

SIZES = {"split.train_rows": 22_500, "evaluate.rows": 25_000}


@pytest.mark.parametrize(
    ("accuracies", "losses", "said"),
    [
        ((0.9256,), (0.24352,), "Undecided: this run matches the claimed accuracy 0.9256 and "
         "cross-entropy loss 0.2435, but one run cannot show that the recipe's means over seeds "
         "are within ±0.005 and ±0.02 of them."),
        ((0.9256,), (0.25,), "Undecided: accuracy 0.9256 (claimed 0.9256) and cross-entropy loss "
         "0.2500 (claimed 0.2435) are consistent with the claims, but one run cannot show that"),
        ((0.9192, 0.9299, 0.9256), (0.243, 0.245, 0.244), "Undecided: accuracy 0.9249 (claimed "
         "0.9256) is consistent with the claim, but 3 runs cannot show that the recipe's mean over "
         "seeds is within ±0.005 of it. Within the margin: cross-entropy loss 0.2440"),
        ((0.9192, 0.9320, 0.9256), (0.243, 0.245, 0.244), "Undecided: the mean of 3 runs matches "
         "the claimed accuracy 0.9256, but 3 runs cannot show"),
        ((0.9252, 0.9259, 0.9256), (0.243, 0.245, 0.244),
         "Reproduced to within the margin: accuracy 0.9256 (claimed 0.9256) and cross-entropy loss "
         "0.2440 (claimed 0.2435), by 3 runs."),
        ((0.9252, 0.9259, 0.9256), (0.213, 0.275, 0.244),
         "Undecided: cross-entropy loss 0.2440 (claimed 0.2435) is consistent with the claim, but "
         "3 runs cannot show that the recipe's mean over seeds is within ±0.02 of it. Within the "
         "margin: accuracy 0.9256 (claimed 0.9256)."),
        ((0.9056, 0.9057, 0.9055), (0.243, 0.245, 0.244),
         "Not reproduced: accuracy is lower than claimed. 3 runs with accuracy 0.9056"),
    ],
)  # fmt: skip
def test_the_sentence_of_a_card_with_two_figures(
    accuracies: tuple[float, ...], losses: tuple[float, ...], said: str
) -> None:
    runs = [
        SIZES | {"evaluate.accuracy": a, "evaluate.loss": loss}
        for a, loss in zip(accuracies, losses, strict=True)
    ]
    assert verdict_sentence(judge_claims(recipe_of("grojeda"), runs)).startswith(said)


def test_without_a_spread_over_seeds_nothing_is_called_consistent() -> None:
    far = SIZES | {"split.train_rows": 500, "evaluate.accuracy": 0.6}  # no repeats of that size
    assert verdict_sentence(judge_claims(recipe_of("grojeda"), [far])) == (
        "Undecided: accuracy 0.6000 (claimed 0.9256), and one run cannot show that the recipe's "
        "mean over seeds is within ±0.005 of it."
    )


def test_of_claims_of_few_digits_no_number_of_runs_shows_more() -> None:
    run = SIZES | {"split.train_rows": 25_000, "evaluate.accuracy": 0.9432}
    assert verdict_sentence(judge_claims(recipe_of("deepaxion"), [run])) == (
        "Undecided: this run matches the claimed accuracy 94%, but no number of runs can show that "
        "the recipe's mean over seeds is within ±0.005 of it."
    )


def test_sentences_of_what_cannot_be_judged() -> None:
    run = SIZES | {"evaluate.accuracy": 0.91}
    other = judge_claims(recipe_of("grojeda", model__base="minilm"), [run])
    assert verdict_sentence(other) == (
        "Not comparable: accuracy 0.9100 (claimed 0.9256). Our runs differ from the card's in "
        "model.base."
    )
    blank = verdict_sentence(judge_claims(recipe_of("template"), [run]))
    assert blank == "No claim to judge: measured accuracy 91.00 %."
    assert verdict_sentence([]) == "No claim to judge."
    assert verdict_sentence(judge_claims(recipe_of("grojeda"), [])).startswith("Not measured:")


def test_a_summary_begins_with_what_is_asked_first() -> None:
    run = outputs_of(recipe_of("grojeda")).run
    found = summarise_run(run.recipe, run.metrics, judge_claims(run.recipe, [run.metrics]))
    assert list(found)[:6] == ["accuracy", "claimed", "verdict", "loss", "f1", "claimed_loss"]
    assert len(found) <= 18
    assert (found["claimed"], found["verdict"]) == (0.9256, "undecided")
    run = outputs_of(recipe_of("template")).run
    blank = summarise_run(run.recipe, run.metrics, judge_claims(run.recipe, [run.metrics]))
    assert (blank["verdict"], "claimed" in blank) == ("left blank", False)
    assert blank["f1"] == round(run.metrics["evaluate.f1_binary"], 5)
    macro = outputs_of(recipe_of("deepaxion")).run
    scored = summarise_run(macro.recipe, macro.metrics, judge_claims(macro.recipe, [macro.metrics]))
    averaging = macro.recipe.card.claims.averaging
    assert scored["f1"] == round(macro.metrics[f"evaluate.f1_{averaging}"], 5)

"""Verdicts: each word by each way that leads to it, and the sentence that explains it."""

import math
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from typing import get_args

import numpy as np
import pytest

from cardproof.claims.verdicts import Verdict, Word, judge
from cardproof.errors import CardproofError
from cardproof.recipe.reported import PrintedFigure, parse_figure

RUNS = (0.9100, 0.9102, 0.9101, 0.9099, 0.9103)  # one more lies at 0.9096 to 0.9106


def verdict(
    claim: str | None,
    measured: Sequence[float] = RUNS,
    *,
    margin: float = 0.005,
    published_sd: float | None = None,
    deviations: Sequence[str] = (),
    exact: bool = False,
) -> Verdict:
    return judge(
        parse_figure(claim) if claim else None,
        measured,
        margin=margin,
        published_sd=published_sd,
        deviations=deviations,
        exact=exact,
    )


@pytest.mark.parametrize(
    ("claim", "word"),
    [
        ("0.9101", "reproduced"),
        ("0.9106", "reproduced"),  # stands for anything from 0.91055 on
        ("91%", "reproduced"),
        ("0.9115", "equivalent"),
        ("0.9080", "equivalent"),
        ("0.9148", "equivalent"),  # p is 0.01 here, and 0.26 in the next
        ("0.9150", "lower"),
        ("0.9256", "lower"),  # ours is lower than the claim
        ("0.8900", "higher"),
    ],
)
def test_word_of_five_runs(claim: str, word: Word) -> None:
    found = verdict(claim)
    assert found.word == word, found.reason
    assert found.n == 5
    assert (found.mean, found.sd) == pytest.approx((0.9101, 0.000158), abs=1e-6)
    assert found.interval is not None
    assert found.interval.source == "seeds"
    assert found.p_equivalence is not None


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (
            "0.91",
            "The mean 0.9101 of our 5 runs (sd 0.00016) puts one more run at 0.9096 to 0.9106 "
            "(95 %), which meets the claimed 0.91.",
        ),
        (
            "0.908",
            "The mean 0.91010 of our 5 runs (sd 0.00016) puts one more run at 0.90962 to 0.91058 "
            "(95 %), which misses the claimed 0.908, but our mean is within ±0.005 of it "
            "(p = 2.2e-06).",
        ),
        (
            "0.926",
            "The mean 0.91010 of our 5 runs (sd 0.00016) puts one more run at 0.90962 to 0.91058 "
            "(95 %), which misses the claimed 0.926: ours is lower, and not shown to be within "
            "±0.005 of it (p = 1).",
        ),
    ],
)
def test_the_reason_gives_the_numbers(claim: str, sentence: str) -> None:
    assert verdict(claim).reason == sentence


def test_deviations_come_first_and_are_named() -> None:
    for claim in ("0.9101", None):
        found = verdict(claim, deviations=["base: uncased for cased", "split", "recipe: 1 epoch"])
        assert found.word == "not comparable"
        assert found.reason == (
            "Our runs differ from the card's in base: uncased for cased, split and recipe: 1 epoch."
        )
        assert (found.n, found.interval, found.p_equivalence) == (5, None, None)
    assert verdict("0.91", [], deviations=["split"]).reason.endswith("in split.")


def test_nothing_to_compare_is_not_testable() -> None:
    blank = verdict(None)
    assert (blank.word, blank.n) == ("not testable", 5)
    assert blank.reason == "The card leaves this figure blank; we have 5 runs."
    unmeasured = verdict("0.93", [])
    assert unmeasured.word == "not testable"
    assert unmeasured.reason == "No run of ours measured the claimed 0.93."
    assert (unmeasured.n, unmeasured.mean, unmeasured.sd) == (0, None, None)
    assert verdict(None, []).reason == "The card leaves this figure blank; we have no run."


@pytest.mark.parametrize(
    ("claim", "margin", "word"),
    [
        ("0.9200", 0.005, "reproduced"),  # 0.010 away, 1.96 · 0.005 · √2 is 0.0139
        ("0.9300", 0.05, "equivalent"),
        ("0.9300", 0.005, "lower"),
        ("0.8900", 0.005, "higher"),
    ],
)
def test_one_run_by_the_spread_of_published_runs(claim: str, margin: float, word: Word) -> None:
    found = verdict(claim, [0.91], margin=margin, published_sd=0.005)
    assert found.word == word, found.reason
    assert found.interval is not None
    assert found.interval.source == "published"
    assert "by the spread of published runs" in found.reason
    assert (found.n, found.mean, found.sd) == (1, 0.91, None)


@pytest.mark.parametrize("published_sd", [None, 0.0])
def test_one_run_without_any_spread(published_sd: float | None) -> None:
    same = verdict("0.91", [0.912], published_sd=published_sd)
    assert same.word == "reproduced"  # any interval around 0.912 would meet the claim
    assert same.reason == "Our one run at 0.9120 prints as the claimed 0.91."
    other = verdict("0.93", [0.912], published_sd=published_sd)
    assert other.word == "not testable"
    assert "no spread is known" in other.reason
    assert (other.interval, other.p_equivalence, other.mean) == (None, None, 0.912)


@pytest.mark.parametrize(
    ("claim", "word"), [("0.94", "reproduced"), ("0.937", "equivalent"), ("0.98", "lower")]
)
def test_equal_runs(claim: str, word: Word) -> None:
    found = verdict(claim, [0.94, 0.94, 0.94])
    assert found.word == word, found.reason
    assert found.sd == 0.0


def test_equal_runs_on_the_border_of_the_claim_meet_it() -> None:
    assert verdict("94%", [0.945, 0.945]).word == "reproduced"


def test_very_many_runs() -> None:
    runs = np.random.default_rng(0).normal(0.91, 0.001, 200_000).tolist()
    assert verdict("0.91", runs).word == "reproduced"
    assert verdict("0.914", runs).word == "equivalent"
    assert verdict("0.93", runs).word == "lower"


@pytest.mark.parametrize(
    ("claim", "measured", "word"),
    [
        ("2,814", [2814], "reproduced"),
        ("2,814", [2814, 2814, 2814], "reproduced"),
        ("22.5k", [22_500], "reproduced"),
        ("22.5k", [22_549, 22_451], "reproduced"),
        ("2,814", [2815], "higher"),
        ("2,814", [2813], "lower"),
        ("25k", [22_500, 22_501], "lower"),
        ("2,814", [2813, 2815], "not testable"),
        ("2,814", [2814, 2815], "not testable"),
    ],
)
def test_exact_counts(claim: str, measured: Sequence[float], word: Word) -> None:
    found = verdict(claim, measured, exact=True)
    assert found.word == word, found.reason
    assert (found.interval, found.p_equivalence, found.n) == (None, None, len(measured))


def test_reasons_of_exact_counts() -> None:
    def reason(*measured: float) -> str:
        return verdict("2,814", measured, exact=True).reason

    assert reason(2814) == "Our 1 run counted 2,814, which prints as the claimed 2,814."
    assert reason(2815, 2815) == "Our 2 runs counted 2,815, higher than the claimed 2,814."
    assert reason(2813, 2815) == (
        "Our 2 runs counted 2,813 to 2,815: not one count to compare with the claimed 2,814."
    )


def test_exact_counts_obey_the_rules_before_them() -> None:
    assert verdict("2,814", [2814], deviations=["split"], exact=True).word == "not comparable"
    assert verdict("2,814", [], exact=True).word == "not testable"
    assert verdict(None, [2814], exact=True).word == "not testable"


def test_every_word_is_reached() -> None:
    reached = {
        verdict("0.9101").word,
        verdict("0.9115").word,
        verdict("0.89").word,
        verdict("0.9256").word,
        verdict("0.91", deviations=["base"]).word,
        verdict(None).word,
    }
    assert reached == set(get_args(Word))


def test_a_run_of_the_claimed_recipe_is_reproduced_at_the_level() -> None:
    """A claim that is one more run of ours: 95 in 100 are reproduced, the digits give some more."""
    studies = 2_000
    draws = np.random.default_rng(1).normal(0.91, 0.002, (studies, 4))
    words = [
        judge(
            PrintedFigure(float(row[3]), 0.0),
            row[:3].tolist(),
            margin=0.0,
            published_sd=None,
            deviations=(),
        ).word
        for row in draws
    ]
    share = words.count("reproduced") / studies
    assert abs(share - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / studies), share
    assert "equivalent" not in words  # a margin of 0 shows nothing


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_figures_that_are_no_numbers_are_refused(bad: float) -> None:
    for measured in ([bad], [0.91, bad]):
        for claim in ("0.91", None):
            with pytest.raises(CardproofError, match="no finite number"):
                verdict(claim, measured)
            with pytest.raises(CardproofError, match="no finite number"):
                verdict(claim, measured, deviations=["split"], exact=True)


def test_a_verdict_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        verdict("0.91").word = "lower"  # type: ignore[misc]

"""Verdicts: each word by each way that leads to it, and the sentences that explain it."""

import math
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from typing import get_args

import numpy as np
import pytest

from cardproof.claims.variation import Spread
from cardproof.claims.verdicts import Rule, Verdict, Word, judge
from cardproof.errors import CardproofError
from cardproof.recipe.reported import parse_figure

RUNS = (0.9100, 0.9102, 0.9101, 0.9099, 0.9103)  # one more lies at 0.9096 to 0.9106


def verdict(
    claim: str | None,
    measured: Sequence[float] = RUNS,
    *,
    margin: float = 0.005,
    together: int = 1,
    earlier: Sequence[Spread] = (),
    row_variance: float | None = 0.0,
    deviations: Sequence[str] = (),
) -> Verdict:
    return judge(
        parse_figure(claim) if claim else None,
        measured,
        Rule(margin, together=together, highest=1.0),
        earlier=earlier,
        row_variance=row_variance,
        deviations=deviations,
    )


@pytest.mark.parametrize(
    ("claim", "word"),
    [
        ("0.9101", "reproduced"),
        ("0.9106", "reproduced"),  # stands for anything from 0.91055 on
        ("0.911", "reproduced"),
        ("91%", "undecided"),  # stands for anything from 0.905 on
        ("0.9115", "equivalent"),
        ("0.9080", "equivalent"),
        ("0.9148", "equivalent"),
        ("0.9150", "lower"),
        ("0.9256", "lower"),  # ours is lower than the claim
        ("0.8900", "higher"),
    ],
)
def test_word_of_five_runs(claim: str, word: Word) -> None:
    found = verdict(claim)
    assert found.word == word, found.reason
    assert found.n == 5
    assert found.mean == pytest.approx(0.9101)
    assert found.spread == pytest.approx((0.000158, 4), abs=1e-6)
    assert found.interval
    assert found.mean_interval
    assert found.interval.high == pytest.approx(0.9101 + 2.7764 * 0.000158 * 1.2**0.5, abs=1e-6)
    assert found.mean_interval.high == pytest.approx(0.9101 + 2.1318 * 0.000158 / 5**0.5, abs=1e-6)


def test_a_wide_interval_is_no_reproduction() -> None:
    """Two seeds far apart: whatever the claim, they cannot say."""
    found = verdict("0.9020", [0.89, 0.92])
    assert found.word == "undecided"
    assert found.smallest_difference
    assert found.smallest_difference > 0.3
    assert "`cardproof plan` says what more seeds would show" in found.reason


def test_of_several_groups_of_earlier_runs_the_widest_interval_counts() -> None:
    wide, narrow = Spread(0.002, 1), Spread(0.001, 20)
    for earlier in ([wide, narrow], [narrow, wide]):
        found = verdict("0.9200", [0.91], earlier=earlier)
        assert (found.word, found.spread, found.mean_spread) == ("undecided", wide, wide)
    assert verdict("0.9200", [0.91], earlier=[narrow]).word == "lower"
    # five figures together push t(1) far out for one more run; our mean's interval has no such term
    few, more = Spread(0.001, 1), Spread(0.004, 2)
    found = verdict("0.9200", [0.91], earlier=[few, more], together=5)
    assert (found.spread, found.mean_spread) == (few, more)
    assert ", 90 %, by a standard deviation of 0.004 (df 2))." in found.reason


def test_a_coarse_claim_cannot_be_shown_to_within_its_own_rounding() -> None:
    found = verdict("91%")
    assert "No number of seeds shows it reproduced: the card rounds to ±0.005" in found.reason
    assert verdict("91%", margin=0.01).word == "reproduced"


FIVE = "0.9101 is the mean of our 5 runs; runs vary with a standard deviation of 0.00016 (df 4). "


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("0.91", "which holds the claimed 0.91; our mean over seeds is shown"),
        ("0.96", "which does not hold the claimed 0.96; our mean over seeds is not shown"),
        ("0.930", "which does not hold the claimed 0.930; yet our mean over seeds is shown"),
    ],
)
def test_the_reason_gives_the_numbers(claim: str, said: str) -> None:
    assert verdict(claim, margin=0.05).reason == (
        f"{FIVE}One more run would lie in 0.9096 to 0.9106 (95 %), {said} to be within ±0.05 of it "
        "(0.9099 to 0.9103, 90 %)."
    )


def test_deviations_come_first_and_are_named() -> None:
    for claim in ("0.9101", None):
        found = verdict(claim, deviations=["model.base", "split", "train.epochs"])
        assert found.word == "not comparable"
        assert found.reason == (
            "Our runs differ from the card's in model.base, split and train.epochs."
        )
        assert (found.n, found.interval) == (5, None)
    assert verdict("0.91", [], deviations=["split"]).reason.endswith("in split.")


def test_blanks_and_figures_that_nothing_measured() -> None:
    blank = verdict(None)
    assert (blank.word, blank.n) == ("left blank", 5)
    assert blank.mean == pytest.approx(0.9101)
    unmeasured = verdict("0.93", [])
    assert (unmeasured.word, unmeasured.n, unmeasured.mean) == ("not measured", 0, None)
    assert unmeasured.reason == "No run of ours measured the claimed 0.93."


def test_one_run_takes_its_spread_from_earlier_repeats() -> None:
    found = verdict("0.9200", [0.91], earlier=[Spread(0.005, 4)])
    assert (found.word, found.spread) == ("undecided", Spread(0.005, 4))
    assert found.interval
    # t(4) = 2.7764
    assert found.interval.high == pytest.approx(0.91 + 2.7764 * 0.005 * 2**0.5, abs=1e-6)
    assert found.interval.source == "seeds"
    assert "0.9100 is our one run; runs vary" in found.reason
    assert "0.9101 is the mean of our 5 runs; runs vary" in verdict("0.9200").reason
    other_rows = verdict("0.9200", [0.91], earlier=[Spread(0.005, 4)], row_variance=1e-6).interval
    assert other_rows
    assert other_rows.source == "seeds and rows"
    assert verdict("0.9400", [0.91], earlier=[Spread(0.005, 4)]).word == "lower"
    assert verdict("0.9105", [0.91], earlier=[Spread(0.0005, 4)]).word == "reproduced"


def test_one_run_alone_says_nothing() -> None:
    for claim in ("0.9100", "0.5"):
        found = verdict(claim, [0.91])
        assert (found.word, found.interval, found.mean) == ("undecided", None, 0.91)
        assert "run two seeds or more" in found.reason


def test_our_runs_are_pooled_with_earlier_ones() -> None:
    found = verdict("0.9100", [0.909, 0.911], earlier=[Spread(0.001, 2)])
    assert found.spread == pytest.approx((((0.002**2 / 2 + 2 * 0.001**2) / 3) ** 0.5, 3))


def test_a_claim_on_other_rows_is_further_from_ours_than_seeds_make_it() -> None:
    assert verdict("0.9300").word == "lower"
    other = verdict("0.9300", row_variance=0.03**2)  # as of 100 rows
    assert other.word == "undecided"
    assert "cannot tell a difference of up to 0.059" in other.reason
    unknown = verdict("0.9300", row_variance=None)
    assert unknown.word == "undecided"
    assert "is not on record" in unknown.reason


def test_more_figures_together_need_more_to_deny_one() -> None:
    assert verdict("0.9107").word == "equivalent"
    assert verdict("0.9107", together=5).word == "reproduced"
    assert "for 5 figures together" in verdict("0.9107", together=5).reason


def test_equal_runs_do_not_show_that_runs_never_vary() -> None:
    """Scores of few rows are often equal by chance."""
    for claim in ("0.94", "0.98"):
        found = verdict(claim, [0.94] * 3, margin=0.01)
        assert (found.word, found.interval) == ("undecided", None)
        assert "run more seeds" in found.reason
    earlier = [Spread(0.001, 4)]
    assert verdict("0.94", [0.94] * 3, margin=0.01, earlier=earlier).word == "reproduced"
    assert verdict("0.98", [0.94] * 3, earlier=earlier).word == "lower"


def test_two_runs_on_a_hundred_rows_seldom_deny_a_true_claim() -> None:
    random, denied, studies = np.random.default_rng(4), 0, 2_000
    for _ in range(studies):
        claim, *runs = np.round(0.9 + 0.01 * random.standard_normal(3), 2).tolist()
        denied += verdict(f"{claim:.2f}", runs).word in ("higher", "lower", "equivalent")
    assert denied / studies <= 0.05


def test_no_interval_leaves_what_a_share_can_be() -> None:
    found = verdict("0.99", [0.90, 0.98])
    assert found.interval
    assert found.interval.low == pytest.approx(0.0597, abs=1e-4)
    assert found.interval.high == 1.0


def test_every_word_is_reached() -> None:
    reached = {
        verdict("0.9101").word, verdict("0.9115").word, verdict("0.89").word,
        verdict("0.9256").word, verdict("0.91", deviations=["base"]).word, verdict(None).word,
        verdict("0.91", [0.9]).word, verdict("0.91", []).word,
    }  # fmt: skip
    assert reached == set(get_args(Word))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_figures_that_are_no_numbers_are_refused(bad: float) -> None:
    for measured in ([bad], [0.91, bad]):
        for claim in ("0.91", None):
            with pytest.raises(CardproofError, match="no finite number"):
                verdict(claim, measured)


def test_a_verdict_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        verdict("0.91").word = "lower"  # type: ignore[misc]

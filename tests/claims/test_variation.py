"""The model of what varies: against scipy and by hand, and the data that it rests on."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cardproof.claims.variation import (
    Spread,
    candidate_spreads,
    earlier_spreads,
    not_modelled,
    own_spread,
    pooled,
    widest,
    widths,
)
from tests.conftest import ROOT

RUNS = (0.911, 0.914, 0.909, 0.9125)


def test_spreads_are_pooled_by_their_degrees_of_freedom() -> None:
    found = pooled([Spread(0.001, 2), None, Spread(0.002, 3)])
    assert found
    assert found == pytest.approx((((2 * 1 + 3 * 4) / 5) ** 0.5 / 1000, 5))
    assert pooled([None]) is None
    assert own_spread([0.9]) is None


def test_without_earlier_runs_widths_are_those_of_students_t() -> None:
    spread = own_spread(RUNS)
    assert spread
    found = widths(spread, len(RUNS), 0.0, 0.95)
    # a new run: the t interval of the mean, wider by the root of 1 + n
    low, high = stats.ttest_1samp(RUNS, 0).confidence_interval(0.95)
    assert found.run == pytest.approx((high - low) / 2 * 5**0.5)
    low, high = stats.ttest_1samp(RUNS, 0).confidence_interval(0.90)
    assert found.mean == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("shift", [-0.004, 0.0, 0.004, 0.02])
def test_an_interval_within_the_margin_is_two_one_sided_t_tests(shift: float) -> None:
    runs, margin = np.array(RUNS) + shift, 0.0095
    p = max(
        stats.ttest_1samp(runs, 0.91 - margin, alternative="greater").pvalue,
        stats.ttest_1samp(runs, 0.91 + margin, alternative="less").pvalue,
    )
    spread = own_spread(runs.tolist())
    assert spread
    within = abs(runs.mean() - 0.91) + widths(spread, 4, 0.0, 0.95).mean < margin
    assert within == (p < 0.05)


def test_the_widths_of_seeds_and_rows_are_added_as_squares() -> None:
    spread, rows, tail = Spread(0.01, 3), 0.0004, 0.025 / 4
    seeds = stats.t.ppf(1 - tail, 3) * 0.01 * (1 + 1 / 2) ** 0.5
    expected = np.hypot(seeds, stats.norm.ppf(1 - tail) * 0.02)
    assert widths(spread, 2, rows, 0.95, together=4).run == pytest.approx(expected)
    only_rows = widths(Spread(0.0, 3), 2, rows, 0.95).run
    assert only_rows == pytest.approx(1.959964 * 0.02, rel=1e-5)
    assert widths(Spread(0.0, 3), 2, 0.0, 0.95).run == 0


def test_the_widest_of_the_candidates_counts() -> None:
    """Of few runs a small spread may have the wider interval."""
    own, small, large = Spread(0.002, 1), Spread(0.001, 1), Spread(0.003, 8)
    candidates = candidate_spreads([small, large], own)
    assert candidates == [pooled([small, own]), pooled([large, own])]
    assert candidate_spreads([], own) == [own]
    assert candidate_spreads([], None) == []
    each = [widths(of, 2, 0.0, 0.95) for of in (small, large)]
    assert each[0].run > each[1].run
    assert each[0].mean > each[1].mean
    assert widest([small, large], 2, 0.0, 0.95) == each[0]


def test_earlier_repeats_count_for_runs_of_about_their_size() -> None:
    published, ours = earlier_spreads("accuracy", "imdb", 22_500, 25_000, claimed_by="")
    assert published == pytest.approx((np.std([0.93208, 0.93092], ddof=1), 1))
    assert ours == pytest.approx((np.std([0.9118, 0.91212, 0.90636], ddof=1), 2))
    assert earlier_spreads("accuracy", "imdb", 3_000, 25_000, claimed_by="") == ()
    assert earlier_spreads("accuracy", "imdb", 25_000, 100, claimed_by="") == ()
    assert earlier_spreads("recall", "imdb", 25_000, 25_000, claimed_by="") == ()
    assert earlier_spreads("accuracy", "somebody", 25_000, 25_000, claimed_by="") == ()


def test_neither_the_claim_nor_our_own_runs_count_as_earlier_ones() -> None:
    claimed_by = "Panos/finetuning-sentiment-model-imdb"  # one of two
    (left,) = earlier_spreads("loss", "imdb", 25_000, 25_000, claimed_by=claimed_by)
    assert left == pytest.approx((np.std([0.23659, 0.23716, 0.23644], ddof=1), 2))
    ours = [{"evaluate.accuracy": 0.928, "evaluate.loss": 0.2587712}]  # seed 101 of the sample
    (all_twelve,) = earlier_spreads("accuracy", "sample", 1_080, 1_000, claimed_by="")
    (others,) = earlier_spreads("accuracy", "sample", 1_080, 1_000, claimed_by="", ours=ours)
    assert (all_twelve.df, others.df) == (11, 10)


def test_the_repeats_are_what_their_sources_say() -> None:
    with (ROOT / "cardproof/claims/repeats.csv").open() as file:
        repeats = list(csv.DictReader(file))
    with (ROOT / "cardproof/claims/published.csv").open() as file:
        published = {run["card"]: run for run in csv.DictReader(file)}
    theirs = [run["source"] for run in repeats if run["source"] in published]
    assert {published[source]["seed"] for source in theirs} == {"42"}  # as `not_modelled` says
    assert len(theirs) == 2
    assert "42" in not_modelled("imdb", earlier_used=True)
    assert "42" not in not_modelled("imdb", earlier_used=False)
    assert "42" not in not_modelled("sample", earlier_used=True)
    for run in (run for run in repeats if run["source"] in published):
        source = published[run["source"]]
        for key in ("accuracy", "loss", "train_rows"):
            assert float(run[key]) == float(source[key])
    ours = [run for run in repeats if run["reviews"] == "sample"]
    with Path(ROOT / "results/sample-spread/runs.csv").open() as file:
        made = list(csv.DictReader(file))
    assert len(ours) == len(made) == 12
    for run, source in zip(ours, made, strict=True):
        for key in ("accuracy", "loss", "f1", "precision", "recall"):
            assert float(run[key]) == float(source[key])
    made_here = [run for run in repeats if run["source"].startswith("results/re")]
    for run in made_here:
        found = json.loads((ROOT / run["source"] / "metrics/evaluate.json").read_text())
        for key in ("accuracy", "loss", "f1_binary"):
            assert float(run[key.removesuffix("_binary")]) == round(found[key], 5)
    assert len(made_here) == 3  # as `not_modelled` says, and the page of the verdict
    assert len(theirs) + len(made_here) + len(ours) == len(repeats)

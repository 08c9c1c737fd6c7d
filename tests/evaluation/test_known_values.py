"""Scores and intervals beside closed forms and scipy's results, and at the edges of their rules."""

import numpy as np
import pytest
from scipy import special, stats

from cardproof.evaluation import error_analysis as analysis
from cardproof.evaluation import metrics as scores
from cardproof.evaluation import statistics
from cardproof.evaluation.intervals import confusion_errors, score_intervals
from cardproof.evaluation.statistics import (
    Interval,
    bca_interval,
    bootstrap_interval,
    design_effect,
    wilson_interval,
)


def said(labels: scores.Labels, right: scores.Mask) -> statistics.Floats:
    """Logits that are right on these rows and wrong on the others."""
    return np.asarray(np.eye(2)[np.where(right, labels, 1 - labels)] * 2.0)


# -- scores ----------------------------------------------------------------------------------------


def test_the_error_of_a_loss_is_scipys_standard_error() -> None:
    random = np.random.default_rng(1)
    labels, logits = random.integers(0, 2, 50), random.normal(size=(50, 2))
    expected = stats.sem(scores.row_losses(labels, logits))
    assert scores.loss_error(labels, logits) == pytest.approx(expected)
    assert scores.loss_error(labels[:2], logits[:2]) > 0
    assert scores.loss_error(labels[:1], logits[:1]) == 0


def test_no_prediction_of_a_class_makes_its_scores_zero() -> None:
    labels = np.array([0, 1, 1, 0])
    found = scores.score(labels, np.tile([1.0, 0.0], (4, 1)))
    assert (found["precision_binary"], found["recall_binary"], found["f1_binary"]) == (0, 0, 0)
    assert (found["rows"], found["true_negatives"], found["false_negatives"]) == (4, 2, 2)
    # with a tie, the first class is predicted
    assert scores.right_rows(labels, np.zeros((4, 2))).tolist() == [True, False, False, True]


def test_curves_pass_through_the_points_of_every_threshold() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.stack([np.zeros(4), np.array([0.0, 1.0, 2.0, 3.0])], axis=1)
    ends = {(p["fpr"], p["tpr"]) for p in scores.roc_points(labels, logits)}
    assert ends == {(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)}
    recall = scores.precision_recall_points(labels, logits)
    assert [(p["recall"], p["precision"]) for p in recall] == [
        (0, 1), (0.5, 1), (0.5, 0.5), (1, pytest.approx(2 / 3)), (1, 0.5),
    ]  # fmt: skip
    many = np.random.default_rng(0).normal(size=(3_000, 2))
    points = scores.precision_recall_points((many[:, 0] > 0).astype(int), many)
    assert len(points) == 200
    assert (points[0]["recall"], points[-1]["recall"]) == (0, 1)
    steps = np.diff([p["recall"] for p in points])
    assert steps.min() >= 0  # in the order of the curve, none left out for long
    assert steps.max() < 0.05


def test_rows_are_binned_by_tenths_of_the_way_from_half_to_sure() -> None:
    confidence = np.array([0.5, 0.549, 0.551, 0.949, 0.951, 0.9999, 1.0])
    logits = np.stack([np.zeros(7), special.logit(np.minimum(confidence, 1 - 1e-16))], axis=1)
    logits[-1, 1] = 800.0  # rounds to 1
    found = scores.reliability_bins(np.array([0, 1, 0, 1, 1, 1, 0]), logits)
    assert [b["rows"] for b in found] == [2, 1, 1, 3]
    assert [b["accuracy"] for b in found] == [1, 0, 1, pytest.approx(2 / 3)]
    assert found[0]["confidence"] == pytest.approx(0.5245)
    error = (2 * 0.4755 + 0.551 + 0.051 + 3 * abs(found[3]["confidence"] - 2 / 3)) / 7
    assert scores.expected_calibration_error(found) == pytest.approx(error)


# -- intervals -------------------------------------------------------------------------------------


def test_rows_that_stand_in_blocks_of_equals_say_as_much_as_one_of_each() -> None:
    """A hundred reviews, each thirty times in a row: the intervals are those of a hundred."""
    random = np.random.default_rng(3)
    labels, right = random.integers(0, 2, 100), random.random(100) < 0.8
    logits = said(labels, right) * random.uniform(0.5, 1.5, (100, 1))
    few = score_intervals(labels, logits, np.arange(100) * 30)
    many = score_intervals(np.repeat(labels, 30), np.repeat(logits, 30, 0), np.arange(3_000))
    assert few.keys() == many.keys()
    for key, expected in few.items():
        width = expected.high - expected.low
        assert many[key].low == pytest.approx(expected.low, abs=0.12 * width), key
        assert many[key].high == pytest.approx(expected.high, abs=0.12 * width), key
        assert (many[key].level, many[key].source) == (0.95, "rows")


def test_the_interval_of_f1_is_that_of_the_share_it_is_a_function_of() -> None:
    labels, right = np.array([0] * 10 + [1] * 10), np.array([True] * 8 + [False] * 5 + [True] * 7)
    found = score_intervals(labels, said(labels, right), np.arange(20), level=0.9)["f1_binary"]
    # 7 true positives of 7 + 2 + 3; F1 = 2 q / (1 + q) (Lam et al. 2024)
    q = stats.binomtest(7, 12).proportion_ci(0.9, method="wilson")
    assert found.low == pytest.approx(2 * q.low / (1 + q.low))
    assert found.high == pytest.approx(2 * q.high / (1 + q.high))
    assert found.level == 0.9


def test_two_rows_have_every_interval_and_no_positive_row_none_of_its_class() -> None:
    labels = np.array([0, 1])
    found = score_intervals(labels, said(labels, np.array([True, False])), np.arange(2))
    assert {"accuracy", "loss", "f1_macro", "recall_weighted"} <= found.keys()
    negative = np.zeros(3, dtype=np.int64)
    kinds = score_intervals(negative, said(negative, np.full(3, True)), np.arange(3))
    assert "accuracy" in kinds
    assert not {"precision_binary", "recall_binary", "f1_binary"} & kinds.keys()


def test_the_error_of_one_row_is_none() -> None:
    assert confusion_errors([0, 0, 0, 1])["accuracy"] == 0


def test_a_wider_interval_is_as_many_times_as_far_from_its_middle() -> None:
    found = Interval(0.2, 0.5, 0.9, "rows").widened(0.3, 2)
    assert (found.low, found.high) == pytest.approx((0.1, 0.7))
    assert (found.level, found.source) == (0.9, "rows")


def test_without_bias_and_skewness_bca_takes_the_quantiles_of_the_draws() -> None:
    draws = np.linspace(-1, 1, 2_001)
    found = bca_interval(draws, 0.0, np.array([-1.0, 1.0]), np.array([3.0, 3.0]), 0.9)
    assert (found.low, found.high) == pytest.approx((-0.9, 0.9))
    assert found.level == 0.9


def test_bca_moves_to_where_the_estimate_and_the_skewness_lie() -> None:
    """Efron & Tibshirani (1993), equation 14.10, by hand: 60 % below, acceleration 0.1."""
    draws = np.linspace(0, 1, 100_001)
    influence = np.array([-1.0, 2.0])
    counts = np.array([8.0, 4.0])  # sum of cubes 24, of squares 24: 24 / (6 * 24**1.5)
    a, z0 = 24 / (6 * 24**1.5), stats.norm.ppf(0.6)
    expected = []
    for tail in (0.025, 0.975):
        z = z0 + stats.norm.ppf(tail)
        expected.append(stats.norm.cdf(z0 + z / (1 - a * z)))
    found = bca_interval(draws, 0.6, influence, counts)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=2e-5)
    assert found.level == 0.95


def test_draws_all_on_one_side_give_their_own_range() -> None:
    draws, influence, counts = np.array([0.2, 0.4]), np.array([1.0, -1.0]), np.ones(2)
    for estimate in (0.1, 0.5):
        found = bca_interval(draws, estimate, influence, counts)
        assert (found.low, found.high, found.level) == (0.2, 0.4, 0.95)


def test_levels_are_95_percent_unless_said() -> None:
    assert wilson_interval(5, 9) == wilson_interval(5, 9, 0.95)
    values = np.arange(9.0)
    assert bootstrap_interval(values, 1) == bootstrap_interval(values, 1, 10_000, 0.95)
    assert bootstrap_interval(values[:2], 1).low < bootstrap_interval(values[:2], 1).high


def test_shares_of_clustered_rows_may_be_fractions() -> None:
    half, whole = wilson_interval(2.5, 5), wilson_interval(2, 4)
    assert half.low > whole.low
    for n in range(1, 100):  # of 32 and others, the formula's end is above 1 in float64
        assert wilson_interval(0, n).low == 0
        assert 1 - 1e-9 < wilson_interval(n, n).high <= 1


def test_the_longer_way_of_the_bootstrap_takes_as_many_draws_in_small_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(2).normal(size=100)
    whole = bootstrap_interval(values, 5, 999)
    monkeypatch.setattr(statistics, "_CHUNK", 1_000)  # ten draws at once
    pieces = bootstrap_interval(values, 5, 999)
    error = values.std() / 10
    assert (pieces.low, pieces.high) == pytest.approx((whole.low, whole.high), abs=0.4 * error)


# -- neighbouring rows -----------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 30])
def test_the_effect_of_blocks_that_are_alike_by_hand(start: int) -> None:
    """A hundred blocks of thirty equal rows, as many of 1 as of -1, in turn."""
    values, places = np.repeat([1.0, -1.0] * 50, 30), np.arange(start, start + 3_000)
    # sums of ±30: 100 * 900 / 3000² * 100/99, over the rows' variance 3000 / 2999 / 3000
    labels = np.zeros_like(places)
    effect = design_effect(values, places, labels)
    assert effect == pytest.approx(100 * 900 / 3_000**2 * 100 / 99 * 2_999)
    assert design_effect(values + 3, places, labels) == pytest.approx(effect)
    assert design_effect(values[:2_970], places[:2_970], labels[:2_970]) == 1  # 99 are too few
    assert design_effect([3.0], [0], [0]) == 1


# -- analyses --------------------------------------------------------------------------------------


def test_the_ten_most_confident_errors_are_shown() -> None:
    labels = np.zeros(14, dtype=np.int64)
    logits = np.stack([np.zeros(14), np.arange(14.0)], axis=1)
    found = analysis.most_confident_errors(labels, logits, np.full(14, False))
    assert [m.index for m in found] == [*range(13, 3, -1)]
    assert [m.predicted for m in found] == [1] * 10


def test_one_row_on_either_side_is_enough_for_fishers_test() -> None:
    right = np.array([True, False, False])
    for subset in (np.array([True, False, False]), np.array([False, True, True])):
        assert analysis.fisher_p(right, subset) == pytest.approx(1 / 3)


def test_a_row_that_is_as_likely_to_be_either_keeps_its_label() -> None:
    labels, gaps = np.array([0, 1, 0, 1]), np.array([0.0, 0.0, -1.0, -1.0])
    found = analysis.find_label_issues(labels, np.stack([np.zeros(4), gaps], axis=1))
    # thresholds: of 0 the mean of 0.5 and 0.731, of 1 that of 0.5 and 0.269
    assert found.thresholds == pytest.approx((0.6155, 0.3845), abs=1e-4)
    assert found.rows.tolist() == [True, False, False, True]


def test_one_point_of_a_curve_has_the_least_confidence_of_its_rows() -> None:
    logits = np.array([[0.0, 1.0], [0.0, 3.0], [2.0, 0.0], [0.0, 0.5]])
    curve = analysis.selective_curve(np.array([1, 1, 1, 1]), logits)
    assert curve.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    points = analysis.coverage_points(curve, logits)
    assert [(p.rows, p.coverage) for p in points] == [(4, 1.0), (3, 0.75), (2, 0.5)]
    assert [p.least_confidence for p in points] == pytest.approx(special.expit([0.5, 1, 2]))
    assert [p.accuracy for p in points] == pytest.approx([3 / 4, 2 / 3, 1 / 2])

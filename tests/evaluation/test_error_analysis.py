"""Analyses against brute force, simulations with known answers, and the edges of each."""

from math import comb

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from cardproof.data.duplicates import occurs_in, repeats_earlier
from cardproof.evaluation import error_analysis as analysis
from cardproof.evaluation.metrics import Floats, Labels, Mask, cross_entropy, right_rows
from cardproof.evaluation.statistics import wilson_interval

HUGE = 1e30


def simulated(rows: int, temperature: float = 1, seed: int = 0) -> tuple[Labels, Floats]:
    """Rows whose labels are drawn from softmax(logits / temperature)."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, 2)) * 2 * temperature
    positive = expit((logits[:, 1] - logits[:, 0]) / temperature)
    return (random.random(rows) < positive).astype(np.int64), logits


def rows_of(*margins: float) -> tuple[Labels, Floats]:
    """Rows labelled 1, 0, 1, ... with own logit - other logit as given."""
    labels = (np.arange(len(margins)) + 1) % 2
    logits = np.zeros((len(margins), 2))
    logits[np.arange(len(margins)), labels] = margins
    return labels, logits


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_simulated_temperature_is_found_and_undoes_the_miscalibration(temperature: float) -> None:
    labels, logits = simulated(60_000, temperature)
    found = analysis.fit_temperature(labels, logits)
    assert found.outcome == "fitted"
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert analysis.calibration(labels, logits / temperature).error < 0.01
    if temperature != 1:
        assert analysis.calibration(labels, logits).error > 0.05


@pytest.mark.parametrize("scale", [1e-30, 1, HUGE])
def test_the_temperature_is_the_best_of_a_fine_grid_and_sklearns(scale: float) -> None:
    labels, logits = simulated(400, 1.7, seed=3)
    fitted = analysis.fit_temperature(labels, logits * scale).temperature
    assert fitted is not None
    grid = np.geomspace(fitted / 1.5, fitted * 1.5, 2001)
    losses = [cross_entropy(labels, logits * scale / t) for t in grid]
    assert grid[int(np.argmin(losses))] == pytest.approx(fitted, rel=5e-4)
    # A logistic regression on the margin without intercept and penalty: its weight is 1/T.
    gap = logits[:, 1:] - logits[:, :1]
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(gap, labels)
    assert fitted == pytest.approx(scale / float(model.coef_[0, 0]), rel=1e-5)


def test_by_hand_two_right_and_one_wrong_row_want_log_2() -> None:
    # equal gaps g: the best probability of being right is 2/3, so g/T = log 2
    found = analysis.fit_temperature(*rows_of(3, 3, -3)).temperature
    assert found == pytest.approx(3 / np.log(2), rel=1e-9)


@pytest.mark.parametrize(
    ("margins", "outcome"),
    [
        ((1, 2, 3), "all right"), ((5,), "all right"), ((0, 2), "all right"),
        ((-1, -2), "no signal"), ((-5,), "no signal"), ((0, 0, 0), "no signal"),
        ((1, -1), "no signal"), ((HUGE, -HUGE), "no signal"), ((0.1, 0.2, -0.3), "no signal"),
    ],
)  # fmt: skip
def test_no_temperature_where_the_loss_has_no_minimum(
    margins: tuple[float, ...], outcome: str
) -> None:
    found = analysis.fit_temperature(*rows_of(*margins))
    assert (found.temperature, found.outcome) == (None, outcome)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "margins", [(5.0,), (-5.0,), (0.0, 0.0), (HUGE, HUGE), (-HUGE, HUGE, HUGE), (1.0, 2.0, -3.0)]
)
def test_every_analysis_stands_the_edges(margins: tuple[float, ...]) -> None:
    labels, logits = rows_of(*margins)
    for ours in (labels, np.ones_like(labels)):
        right = right_rows(ours, logits)
        c = analysis.calibration(ours, logits)
        assert np.isfinite([c.confidence, c.accuracy, c.error, c.loss]).all()
        curve = analysis.selective_curve(ours, logits)
        assert curve[-1] == pytest.approx(right.mean())
        assert all(0.5 <= p.least_confidence <= 1 for p in analysis.coverage_points(curve, logits))
        issues = analysis.find_label_issues(ours, logits)
        errors = analysis.most_confident_errors(ours, logits, issues.rows)
        assert len(errors) == (~right).sum()
        analysis.fit_temperature(ours, logits)


def test_calibration_is_said_as_scores_says_it() -> None:
    labels, logits = simulated(1000, 3)
    found = analysis.calibration(labels, logits)
    positive = expit(logits[:, 1] - logits[:, 0])
    assert found.confidence == pytest.approx(np.maximum(positive, 1 - positive).mean())
    assert found.accuracy == ((positive > 0.5) == labels).mean()
    assert found.loss == cross_entropy(labels, logits)
    assert sum(b["rows"] for b in found.bins) == 1000


def test_buckets_part_the_rows_and_their_weighted_mean_is_the_accuracy() -> None:
    random = np.random.default_rng(1)
    full = random.integers(2, 900, 3000)
    kept = np.minimum(full, 384)
    right = random.random(3000) < 0.9
    buckets = analysis.length_buckets(right, full, kept)
    assert [(b.first, b.last) for b in buckets] == [
        (1, 64), (65, 128), (129, 192), (193, 256), (257, 384), (385, 512), (513, None),
    ]  # fmt: skip
    assert sum(b.rows for b in buckets) == 3000
    assert sum(b.rows * b.accuracy for b in buckets) / 3000 == pytest.approx(right.mean())
    for b in buckets:
        inside = (full >= b.first) & (full <= (b.last or 10_000))
        assert b.rows == inside.sum()
        assert b.accuracy == right[inside].mean()
        assert b.interval == wilson_interval(int(right[inside].sum()), int(inside.sum()))
        assert b.truncated_tokens == pytest.approx((full - kept)[inside].sum() / full[inside].sum())


@pytest.mark.parametrize(
    ("length", "last"), [(2, 64), (64, 64), (65, 128), (512, 512), (513, None)]
)
def test_a_length_at_an_edge_is_in_the_lower_bucket(length: int, last: int | None) -> None:
    lengths = np.array([length])
    (bucket,) = analysis.length_buckets(np.array([True]), lengths, lengths)
    assert (bucket.last, bucket.rows, bucket.accuracy, bucket.truncated_tokens) == (last, 1, 1, 0)


def test_truncated_rows_against_whole_ones() -> None:
    right = np.array([True] * 8 + [False] * 2 + [True] * 1 + [False] * 5)
    cut = np.array([False] * 10 + [True] * 6)
    found = analysis.subset_accuracy(right, cut)
    assert (found.rows, found.others) == (6, 10)
    assert (found.accuracy, found.accuracy_of_others) == (1 / 6, 0.8)
    # Fisher by hand: 9 right of 16, 6 drawn; k right among the truncated, as likely as 1 or less
    chance = {k: comb(9, k) * comb(7, 6 - k) / comb(16, 6) for k in range(7)}
    expected = sum(c for c in chance.values() if c <= chance[1] + 1e-12)
    assert analysis.fisher_p(right, cut) == pytest.approx(expected)
    none, every = np.full(16, False), np.full(16, True)
    assert analysis.subset_accuracy(right, none).accuracy is None
    assert analysis.subset_accuracy(right, every).accuracy_of_others is None
    assert analysis.fisher_p(right, none) is analysis.fisher_p(right, every) is None


def test_the_selective_curve_by_brute_force() -> None:
    labels, logits = simulated(300, seed=5)
    curve = analysis.selective_curve(labels, logits)
    right = right_rows(labels, logits)
    order = sorted(range(300), key=lambda i: -abs(logits[i, 1] - logits[i, 0]))
    for k in (1, 2, 17, 150, 299, 300):
        assert curve[k - 1] == pytest.approx(right[order[:k]].mean())
    assert curve[-1] == pytest.approx(right.mean())


def test_tied_rows_count_with_their_mean_over_all_orders() -> None:
    labels, logits = rows_of(2, -1, 1, 1, -1, 3)
    curve = analysis.selective_curve(labels, logits)
    # by drawing the order of the four tied rows at random
    random, gap = np.random.default_rng(0), np.array([2, 1, 1, 1, 1, 3])
    right = right_rows(labels, logits)
    total = np.zeros(6)
    for _ in range(20_000):
        order = np.lexsort((random.random(6), -gap))
        total += right[order].cumsum() / np.arange(1, 7)
    np.testing.assert_allclose(curve, total / 20_000, atol=0.01)
    reverse = analysis.selective_curve(labels[::-1], logits[::-1])
    np.testing.assert_allclose(curve, reverse)  # no word on the rows' order


def test_probabilities_that_round_to_one_still_have_an_order() -> None:
    labels, logits = rows_of(-1000, 900, 800, 700)
    np.testing.assert_allclose(analysis.selective_curve(labels, logits), [0, 1 / 2, 2 / 3, 3 / 4])


def test_points_are_whole_rows_and_none_comes_twice() -> None:
    labels, logits = simulated(1000)
    points = analysis.coverage_points(analysis.selective_curve(labels, logits), logits)
    assert [p.rows for p in points] == [1000, 950, 900, 800, 500]
    confidence = expit(np.abs(logits[:, 1] - logits[:, 0]))
    for p in points:
        assert (confidence >= p.least_confidence).sum() == p.rows
    for margins, rows in (((1, 2, 3), [3, 2]), ((1,), [1])):
        labels, logits = rows_of(*margins)
        curve = analysis.selective_curve(labels, logits)
        assert [p.rows for p in analysis.coverage_points(curve, logits)] == rows


def test_errors_come_by_confidence_and_ties_in_the_rows_order() -> None:
    labels, logits = rows_of(-1, 4, -3, -1, -2, 5)
    issues = np.array([False, False, True, False, False, False])
    found = analysis.most_confident_errors(labels, logits, issues, count=3)
    assert [m.index for m in found] == [2, 4, 0]
    assert [m.label_issue for m in found] == [True, False, False]
    assert found[0].confidence == pytest.approx(expit(3))
    assert all(m.label == labels[m.index] != m.predicted for m in found)
    assert analysis.most_confident_errors(*rows_of(1, 2), issues[:2]) == []


def test_planted_label_errors_are_found() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 2, 5000)
    logits = random.normal(size=(5000, 2)) + 4 * np.eye(2)[truth]
    planted = np.zeros(5000, dtype=bool)
    planted[random.choice(5000, 200, replace=False)] = True
    labels = np.where(planted, 1 - truth, truth)
    issues = analysis.find_label_issues(labels, logits).rows
    assert issues[planted].mean() > 0.8
    assert planted[issues].mean() > 0.9


def test_a_row_that_is_as_likely_to_be_either_keeps_its_label() -> None:
    labels, positive = np.array([0, 1, 0]), np.array([0.5, 0.4, 0.6])  # 0.45 and 0.4 on average
    logits = np.stack([np.zeros(3), np.log(positive / (1 - positive))], axis=1)
    assert analysis.find_label_issues(labels, logits).rows.tolist() == [False, True, True]


def test_label_issues_are_the_off_diagonal_of_the_confident_joint() -> None:
    labels, logits = simulated(500, seed=8)
    logits += [0.7, 0]  # a model with a leaning: the thresholds differ
    found = analysis.find_label_issues(labels, logits)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    means = [probability[labels == j, j].mean() for j in (0, 1)]
    assert found.thresholds == pytest.approx(means)
    for i, label in enumerate(labels):  # the paper's definition, row by row
        able = [j for j in (0, 1) if probability[i, j] >= means[j]]
        best = max(able, key=lambda j: probability[i, j]) if able else label
        assert found.rows[i] == (best != label)


def test_nothing_speaks_against_labels_of_one_class_or_of_a_constant_model() -> None:
    labels, logits = simulated(50)
    alone = analysis.find_label_issues(np.ones_like(labels), logits)
    assert not alone.rows.any()
    assert alone.thresholds[0] is None
    assert not analysis.find_label_issues(labels, np.tile([0.3, 0.9], (50, 1))).rows.any()


def test_what_duplicates_do_by_brute_force() -> None:
    random = np.random.default_rng(4)
    right = random.random(200) < 0.7
    train, repeats = random.random(200) < 0.2, random.random(200) < 0.1
    found = analysis.duplicate_effects(right, {"train": train, "repeats": repeats})
    for name, rows in {"train": train, "repeats": repeats, "any": train | repeats}.items():
        kept = [r for r, out in zip(right, rows, strict=True) if not out]
        assert found[name].rows == sum(rows)
        assert found[name].accuracy_of_others == pytest.approx(sum(kept) / len(kept))
        assert found[name].accuracy == pytest.approx(right[rows].mean())


def test_no_duplicates_and_nothing_but_duplicates() -> None:
    right = np.array([True, False])

    def effect(rows: Mask) -> tuple[int, float | None, float | None]:
        found = analysis.duplicate_effects(right, {"train": rows})["any"]
        return found.rows, found.accuracy, found.accuracy_of_others

    assert effect(np.array([False, False])) == (0, None, 0.5)
    assert effect(np.array([True, True])) == (2, 0.5, None)


def test_texts_are_the_same_to_the_character() -> None:
    texts = ["a", "b", "a", "A", "a ", "b", ""]
    assert repeats_earlier(texts).tolist() == [False, False, True, False, False, True, False]
    assert occurs_in(texts, ["a", "c"]).tolist() == [True, False, True] + [False] * 4
    assert occurs_in([], ["a"]).tolist() == repeats_earlier([]).tolist() == []

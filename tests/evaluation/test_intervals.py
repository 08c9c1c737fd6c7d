"""Intervals over test rows: against brute force and scipy, and their coverage of few rows."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from cardproof.evaluation.intervals import confusion_errors, confusion_scores, score_intervals
from cardproof.evaluation.metrics import score
from cardproof.evaluation.statistics import bca_interval

ROWS = 100
CELLS = np.array([0.44, 0.06, 0.08, 0.42])  # of the population: TN, FP, FN, TP


def logits_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits with that confusion matrix."""
    labels, said = np.repeat([0, 0, 1, 1], cells), np.repeat([0, 1, 0, 1], cells)
    return labels, np.eye(2)[said] * 2.0


def test_scores_of_a_confusion_matrix_are_those_of_scikit_learn() -> None:
    for cells in ([40, 5, 7, 48], [0, 3, 0, 9], [5, 0, 0, 0], [5, 0, 0, 1]):
        labels, logits = logits_of(np.array(cells))
        expected, found = score(labels, logits), confusion_scores(np.array([cells]))
        for key, values in found.items():
            assert values[0] == pytest.approx(expected[key]), (cells, key)


@pytest.mark.parametrize("cells", [[20, 4, 3, 13], [22, 1, 0, 17]])
def test_standard_errors_are_those_of_the_plain_jackknife(cells: list[int]) -> None:
    labels, logits = logits_of(np.array(cells))
    found = confusion_errors(cells)
    for key in ("accuracy", "f1_binary", "precision_macro", "recall_weighted"):
        left = np.array(
            [score(np.delete(labels, i), np.delete(logits, i, 0))[key] for i in range(40)]
        )
        expected = np.sqrt(39 / 40 * np.square(left - left.mean()).sum())
        assert found[key] == pytest.approx(expected), key
    share = (cells[0] + cells[3]) / 40
    assert found["accuracy"] == pytest.approx(np.sqrt(share * (1 - share) / 39))


def test_averages_over_classes_have_the_bca_interval_of_scipy() -> None:
    labels, logits = logits_of(np.array([30, 10, 5, 35]))
    said = logits.argmax(axis=1)
    theirs = stats.bootstrap(
        (labels, said), lambda a, b: f1_score(a, b, average="macro"), paired=True, vectorized=False,
        n_resamples=1_500, method="BCa", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    found = score_intervals(labels, logits, np.arange(len(labels)))["f1_macro"]
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_intervals_of_100_rows_cover_the_true_score() -> None:
    """Percentile intervals of so few rows cover 91.6 to 93.4 % instead of 95."""
    keys = ("accuracy", "precision_binary", "recall_binary", "f1_binary", "f1_macro",
            "recall_macro")  # fmt: skip
    truth = confusion_scores((10_000 * CELLS).astype(int)[None])
    random, studies = np.random.default_rng(5), 250
    covered = dict.fromkeys(keys, 0)
    for cells in random.multinomial(ROWS, CELLS, size=studies):
        labels, logits = logits_of(cells)
        found = score_intervals(labels, logits, np.arange(ROWS))
        for key in keys:
            covered[key] += found[key].low <= truth[key][0] <= found[key].high
    assert all(0.915 < count / studies <= 0.99 for count in covered.values()), covered


def test_a_statistic_without_spread_has_an_interval_of_no_width() -> None:
    found = bca_interval(np.ones(9), 1.0, np.zeros(4), np.ones(4))
    assert (found.low, found.high) == (1.0, 1.0)
    labels, logits = logits_of(np.array([5, 0, 0, 5]))
    perfect = score_intervals(labels, logits, np.arange(10))
    assert perfect["accuracy"].high == 1.0
    assert perfect["accuracy"].low < 0.8
    alone = score_intervals(labels[:1], logits[:1], np.arange(1))
    assert list(alone) == ["accuracy"]

"""Scores and curves against values worked out by hand and by torch."""

import numpy as np
import pytest
import torch

from cardproof.evaluation import metrics as scores


def random_rows(rows: int = 500, seed: int = 0) -> tuple[scores.Labels, scores.Floats]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    logits = random.normal(size=(rows, 2)) * 3
    logits[np.arange(rows), labels] += 1
    return labels, logits


def test_a_small_case_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    logits = np.array([[2.0, 0], [1, 0], [0, 1], [0, 3], [1, 0]])
    found = scores.score(labels, logits)
    counts = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert [found[c] for c in counts] == [2, 1, 1, 1]
    assert found["accuracy"] == 0.6
    assert (found["precision_binary"], found["recall_binary"]) == (0.5, 0.5)
    assert found["f1_macro"] == pytest.approx((0.5 + 2 / 3) / 2)
    assert found["f1_weighted"] == pytest.approx(0.4 * 0.5 + 0.6 * 2 / 3)
    assert found["roc_auc"] == pytest.approx(4.5 / 6)  # of 6 pairs 4 are in order, 1 is a tie


def test_loss_is_torchs_cross_entropy_and_finite_where_a_probability_is_one() -> None:
    labels, logits = random_rows()
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels)).item()
    assert scores.cross_entropy(labels, logits) == pytest.approx(expected, rel=1e-12)
    sure = np.array([[0.0, 900.0]])
    assert scores.cross_entropy(np.array([0]), sure) == 900
    assert scores.cross_entropy(np.array([1]), sure) == 0


def test_one_class_alone_has_no_auc_and_no_curves() -> None:
    labels, logits = np.ones(4, dtype=np.int64), np.zeros((4, 2))
    assert "roc_auc" not in scores.score(labels, logits)
    assert scores.roc_points(labels, logits) == []
    assert scores.precision_recall_points(labels, logits) == []


def test_curves_are_short_and_keep_their_ends_and_their_area() -> None:
    labels, logits = random_rows(20_000)
    points = scores.roc_points(labels, logits)
    assert len(points) <= scores.CURVE_POINTS
    assert (points[0]["fpr"], points[-1]["tpr"]) == (0, 1)
    area = np.trapezoid([p["tpr"] for p in points], [p["fpr"] for p in points])
    assert area == pytest.approx(scores.score(labels, logits)["roc_auc"], abs=1e-3)


def test_calibration_error_is_what_a_known_over_confidence_makes_it() -> None:
    # 80 % sure of each row, right on 60 % of them
    logit = np.log(0.8 / 0.2)
    logits = np.tile([0.0, logit], (100, 1))
    labels = np.array([1] * 60 + [0] * 40)
    bins = scores.reliability_bins(labels, logits)
    assert [b["rows"] for b in bins] == [100]
    assert scores.expected_calibration_error(bins) == pytest.approx(0.2)

"""The mathematics of confusion matrices against enumeration of all of them."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from sklearn import metrics

from cardproof.audit.confusion import (
    Average,
    Metric,
    Region,
    feasible_matrices,
    harmonic_mean_range,
    score,
)
from cardproof.recipe.reported import PrintedFigure, parse_figure

AVERAGES: tuple[Average, ...] = ("binary", "macro", "weighted")
METRICS: tuple[Metric, ...] = ("accuracy", "precision", "recall", "f1")


def matrices_of(region: Region) -> set[tuple[int, int]]:
    """All pairs of false negatives and false positives in a region."""
    rows = zip(region.false_negatives, region.first, region.last, strict=True)
    return {(int(fn), fp) for fn, first, last in rows for fp in range(first, last + 1)}


def all_scores(
    average: Average, classes: tuple[int, int]
) -> Iterator[tuple[int, int, list[float]]]:
    """Every matrix of the classes with its four scores, one at a time."""
    for misses, alarms in product(range(classes[0] + 1), range(classes[1] + 1)):
        one = np.array([misses]), np.array([alarms])
        yield misses, alarms, [float(score(m, average, *one, classes)[0]) for m in METRICS]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("classes", [(20, 20), (7, 12), (1, 9), (0, 5), (5, 0)])
def test_scores_are_those_of_scikit_learn(average: Average, classes: tuple[int, int]) -> None:
    positives, negatives = classes
    labels = np.array([1] * positives + [0] * negatives)
    for misses, alarms, ours in all_scores(average, classes):
        if (misses + alarms) % 5:
            continue  # a fifth of them are enough for so slow a judge
        hits, rejections = positives - misses, negatives - alarms
        predicted = np.array([1] * hits + [0] * misses + [1] * alarms + [0] * rejections)
        theirs = metrics.precision_recall_fscore_support(
            labels, predicted, labels=[0, 1], average=average, zero_division=0
        )[:3]
        accuracy = metrics.accuracy_score(labels, predicted)
        assert ours == pytest.approx([accuracy, *theirs]), (misses, alarms)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("classes", [(20, 20), (13, 27)])
@pytest.mark.parametrize("places", [1, 2, 4])
def test_solver_finds_exactly_the_matrices_that_print_so(
    average: Average, classes: tuple[int, int], places: int
) -> None:
    table = list(all_scores(average, classes))
    for truth in table[:: len(table) // 12]:
        printed = {
            m: parse_figure(f"{s:.{places}f}") for m, s in zip(METRICS, truth[2], strict=True)
        }
        for chosen in (METRICS, ("accuracy", "f1"), ("precision", "recall"), ("f1",)):
            figures = {metric: printed[metric] for metric in METRICS if metric in chosen}
            expected = {
                (misses, alarms)
                for misses, alarms, scores in table
                if all(
                    printed[metric].covers(value)
                    for metric, value in zip(METRICS, scores, strict=True)
                    if metric in figures
                )
            }
            assert matrices_of(feasible_matrices(figures, average, classes)) == expected
            assert truth[:2] in expected


def test_region_says_how_many_and_how_accurate() -> None:
    region = feasible_matrices({"accuracy": parse_figure("0.9")}, "binary", (10, 10))
    assert region.count == sum(1 for m, a in product(range(11), repeat=2) if 1 <= m + a <= 3)
    assert region.accuracy_range == pytest.approx((0.85, 0.95))
    assert region.false_negative_range == (0, 3)
    assert region.false_positive_range == (0, 3)


def test_deepaxions_four_figures_by_plain_enumeration() -> None:
    """All matrices of 12,500 + 12,500 with at most 1,799 errors of each kind: more, 94 % bars."""
    rows = 12_500
    misses, alarms = np.meshgrid(np.arange(1_800), np.arange(1_800), indexing="ij")
    hits, rejections = rows - misses, rows - alarms
    accuracy = (hits + rejections) / (2 * rows)
    of_one = [hits / (hits + alarms), hits / rows, 2 * hits / (2 * hits + misses + alarms)]
    of_other = [
        rejections / (rejections + misses),
        rejections / rows,
        2 * rejections / (2 * rejections + misses + alarms),
    ]
    macro = [(one + other) / 2 for one, other in zip(of_one, of_other, strict=True)]
    printed = [parse_figure(text) for text in ("94%", "94%", "94%", "93%")]

    def fitting(scores: list[np.ndarray]) -> np.ndarray:
        columns = zip([accuracy, *scores], printed, strict=True)
        inside = [(s >= p.low - 1e-9) & (s <= p.high + 1e-9) for s, p in columns]
        return np.asarray(np.all(inside, axis=0))

    figures = dict(zip(METRICS, printed, strict=True))
    assert not fitting(of_one).any()
    assert feasible_matrices(figures, "binary", (rows, rows)).count == 0
    fits = fitting(macro)
    for average in AVERAGES[1:]:
        region = feasible_matrices(figures, average, (rows, rows))
        assert region.count == fits.sum() == 4_640
        assert region.accuracy_range == pytest.approx((0.9350, 0.93524), abs=1e-9)
        assert region.accuracy_range == (accuracy[fits].min(), accuracy[fits].max())


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        ("0.9804", 5_000, [4_902]),
        ("94%", 25_000, list(range(23_375, 23_626))),
        ("0.9333", 100, []),
        ("0.9256", 25_000, [23_139, 23_140, 23_141]),
        ("1.0", 3, [3]),
        ("0", 3, [0, 1]),
    ],
)
def test_whole_counts(text: str, rows: int, expected: list[int]) -> None:
    assert list(parse_figure(text).whole_counts(rows)) == expected


def test_harmonic_mean_range_holds_its_corners() -> None:
    precision, recall = parse_figure("0.9"), parse_figure("0.5")
    low, high = harmonic_mean_range(precision, recall)
    assert low == pytest.approx(2 * 0.85 * 0.45 / 1.3)
    assert high == pytest.approx(2 * 0.95 * 0.55 / 1.5)
    assert harmonic_mean_range(PrintedFigure(0, 0), PrintedFigure(0, 0)) == (0, 0)

"""Intervals and tests: against tables, scipy and hand computation; their promises, simulated.

All simulations have fixed seeds; limits are three binomial standard errors.
"""

import math
import statistics
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from cardproof.evaluation.statistics import (
    StatisticsError,
    _resampled_means,
    bootstrap_interval,
    design_effect,
    holm,
    summarise,
    wilson_interval,
)

STUDIES = 10_000


def three_errors(chance: float, studies: int = STUDIES) -> float:
    return 3 * math.sqrt(chance * (1 - chance) / studies)


def test_a_spread_is_that_of_a_sample_and_none_of_equal_figures() -> None:
    assert summarise([4]) == (1, 4.0, None)
    assert summarise([1, 2, 6]) == (3, 3.0, statistics.stdev([1, 2, 6]))
    assert summarise([0.1, 0.1, 0.1]) == (3, 0.1, 0.0)  # their sum over 3 is not 0.1 in floats


def test_resampled_means_of_many_values_are_means_of_these() -> None:
    values = 1e6 + np.arange(1_000.0)  # in chunks, the last of which is shorter
    means = _resampled_means(values, np.random.default_rng(0), 9_999)
    assert means.shape == (9_999,)
    assert values.min() < means.min() < means.mean() < means.max() < values.max()
    assert means.std() == pytest.approx(values.std() / 1_000**0.5, rel=0.05)


# -- proportions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "n", "table"),
    [  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0000, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_intervals_of_proportions_from_a_published_table(
    successes: int, n: int, table: tuple[float, float]
) -> None:
    found = wilson_interval(successes, n)
    assert (found.low, found.high) == pytest.approx(table, abs=5.1e-5)
    assert found.source == "rows"


@pytest.mark.parametrize(("successes", "n"), [(5, 5), (23_140, 25_000), (7 * 10**8, 10**9)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_intervals_of_proportions_by_formula(successes: int, n: int, level: float) -> None:
    share, z = successes / n, float(stats.norm.ppf((1 + level) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    found = wilson_interval(successes, n, level)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), rel=1e-9)


# -- bootstrap -----------------------------------------------------------------------------------


def test_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).exponential(size=200)
    ours = bootstrap_interval(values, seed=1, resamples=20_000)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        method="BCa",
        n_resamples=20_000,
        batch=2_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    error = values.std() / math.sqrt(len(values))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.08 * error)


def test_bootstrap_repeats_itself_by_seed() -> None:
    values = np.random.default_rng(4).normal(size=100)
    assert bootstrap_interval(values, 1, 500) == bootstrap_interval(values, 1, 500)
    assert bootstrap_interval(values, 1, 500) != bootstrap_interval(values, 2, 500)


def test_bootstrap_of_a_test_set_stays_within_its_memory() -> None:
    values = np.random.default_rng(5).random(25_000)
    tracemalloc.start()
    found = bootstrap_interval(values, 0, 400)  # in chunks of 160: more take no more memory
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    half = 1.96 * values.std() / math.sqrt(25_000)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.25)


def test_bootstrap_of_equal_rows_has_no_width() -> None:
    found = bootstrap_interval([0.1] * 7, 0, 100)
    assert (found.low, found.high) == (0.1, 0.1)


def test_bootstrap_of_differences_covers_them_at_its_level() -> None:
    studies, rows = 1_000, 400
    kinds = np.random.default_rng(6).choice(4, (studies, rows), p=[0.80, 0.10, 0.05, 0.05])
    right_a, right_b = np.isin(kinds, (0, 1)), np.isin(kinds, (0, 2))
    intervals = [
        bootstrap_interval(a.astype(float) - b, seed, 1_000)
        for seed, (a, b) in enumerate(zip(right_a, right_b, strict=True))
    ]
    covered = np.mean([i.low <= 0.05 <= i.high for i in intervals])
    assert abs(covered - 0.95) <= three_errors(0.95, studies), covered


# -- neighbouring rows ---------------------------------------------------------------------------


def test_rows_of_one_film_widen_an_interval_by_as_much_as_they_are_alike() -> None:
    """Blocks that share an effect: the variance of a mean over blocks is known."""
    random, places = np.random.default_rng(8), np.arange(30 * 400)
    effects = []
    for _ in range(40):
        shared = np.repeat(random.normal(0, 0.3, 400), 30)
        values = shared + random.normal(0, 1, len(places))
        effects.append(design_effect(values, places, np.zeros_like(places)))
    # of the mean of blocks: 0.09 + 1 / 30, against (0.09 + 1) / 30 of independent rows
    assert np.mean(effects) == pytest.approx((0.09 + 1 / 30) / (1.09 / 30), rel=0.03)


def test_rows_in_no_order_and_few_rows_have_no_such_effect() -> None:
    random = np.random.default_rng(9)
    values = np.repeat(random.normal(size=400), 30)
    shuffled = random.permutation(len(values))
    labels, places = np.zeros(len(values), int), np.arange(len(values))
    assert design_effect(values[shuffled], places, labels) < 1.25
    assert design_effect(values[:2_000], places[:2_000], labels[:2_000]) == 1.0  # 67 blocks
    assert design_effect([1.0] * 9_000, places[:9_000], labels[:9_000]) == 1.0


def test_a_model_that_errs_more_on_one_label_of_a_sorted_file_has_no_such_effect() -> None:
    random, labels = np.random.default_rng(10), np.repeat([0, 1], 6_000)
    values = (random.random(len(labels)) < np.where(labels, 0.95, 0.85)).astype(float)
    places = np.arange(len(labels))
    assert design_effect(values, places, np.zeros_like(labels)) > 1.5
    assert design_effect(values, places, labels) < 1.1


# -- several tests --------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; the last may not fall below the third
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stays_within_one_and_keeps_single_values() -> None:
    assert holm([0.6, 0.9, 0.7]).tolist() == [1.0, 1.0, 1.0]
    assert holm([0.03]).tolist() == [0.03]
    assert holm([]).tolist() == []


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    p_values = np.random.default_rng(9).random((STUDIES, 5))
    alarms = np.mean([holm(row).min() < 0.05 for row in p_values])
    assert alarms <= 0.05 + three_errors(0.05), alarms


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "shape"),
        ([0.9, math.nan], "value 2 of 2 is nan"),
        ([math.inf, 0.9], "value 1 of 2 is inf"),
        ([[0.9, 0.8], [0.7, 0.6]], "shape"),
        (0.9, "shape"),
    ],
)
def test_values_that_are_no_numbers_are_refused(values: ArrayLike, message: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: summarise(values),
        lambda: bootstrap_interval(values, 0),
        lambda: design_effect(values, [0], [0]),
    ]
    for refused in calls:
        with pytest.raises(StatisticsError, match=message):
            refused()


def test_a_bootstrap_needs_two_rows() -> None:
    with pytest.raises(StatisticsError, match="at least two rows"):
        bootstrap_interval([1.0], 0)

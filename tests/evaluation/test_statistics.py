"""Intervals and tests: against tables, scipy and hand computation; their promises, simulated.

All simulations have fixed seeds; limits are three binomial standard errors.
"""

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from cardproof.errors import CardproofError
from cardproof.evaluation.statistics import (
    McNemar,
    StatisticsError,
    bootstrap_interval,
    equivalence_test,
    holm,
    mcnemar_exact,
    prediction_interval,
    summarise,
    wilson_interval,
)
from cardproof.recipe.reported import PrintedFigure, parse_figure

STUDIES = 10_000
MEAN, SD = 0.91, 0.002  # of simulated runs


def three_errors(chance: float, studies: int = STUDIES) -> float:
    return 3 * math.sqrt(chance * (1 - chance) / studies)


# -- prediction interval -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "quantile"),
    [(0.90, 2.132), (0.95, 2.776), (0.99, 4.604)],  # t table, 4 degrees of freedom
)
def test_prediction_interval_with_the_quantiles_of_the_t_table(
    level: float, quantile: float
) -> None:
    found = prediction_interval([1, 2, 3, 4, 5], level)
    half = quantile * math.sqrt(2.5) * math.sqrt(1 + 1 / 5)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), abs=1e-3)
    assert (found.level, found.source) == (level, "seeds")


def test_one_run_takes_the_spread_of_published_runs() -> None:
    found = prediction_interval([0.91], fallback_sd=0.01)
    half = 1.96 * 0.01 * math.sqrt(2)
    assert (found.low, found.high) == pytest.approx((0.91 - half, 0.91 + half), abs=1e-6)
    assert found.source == "published"


def test_more_runs_leave_the_published_spread_unread() -> None:
    runs = [0.91, 0.92]
    assert prediction_interval(runs, fallback_sd=9.0) == prediction_interval(runs)


def test_equal_runs_give_a_width_of_zero() -> None:
    runs = [0.1, 0.1, 0.1]  # their sum over 3 is not 0.1 in floats
    assert summarise(runs) == (3, 0.1, 0.0)
    found = prediction_interval(runs)
    assert (found.low, found.high) == (0.1, 0.1)


def test_a_million_runs_come_to_the_normal_interval() -> None:
    runs = np.tile([-1.0, 1.0], 500_000)
    found = prediction_interval(runs)
    assert (found.low, found.high) == pytest.approx((-1.95996, 1.95996), abs=1e-4)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_prediction_interval_covers_one_more_run_at_its_level(n: int) -> None:
    draws = np.random.default_rng(n).normal(MEAN, SD, (STUDIES, n + 1))
    intervals = [prediction_interval(row) for row in draws[:, :n]]
    covered = [i.low <= one <= i.high for i, one in zip(intervals, draws[:, n], strict=True)]
    assert abs(np.mean(covered) - 0.95) <= three_errors(0.95), np.mean(covered)


def test_interval_of_one_run_covers_one_more_run_at_its_level() -> None:
    draws = np.random.default_rng(1).normal(MEAN, SD, (STUDIES, 2))
    intervals = [prediction_interval(row, fallback_sd=SD) for row in draws[:, :1]]
    covered = [i.low <= one <= i.high for i, one in zip(intervals, draws[:, 1], strict=True)]
    assert abs(np.mean(covered) - 0.95) <= three_errors(0.95), np.mean(covered)


# -- equivalence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-0.004, 0.0, 0.004, 0.02])
def test_equivalence_is_the_larger_of_two_one_sided_t_tests(shift: float) -> None:
    runs = np.array([0.911, 0.914, 0.909, 0.9125]) + shift
    claim = PrintedFigure(0.91, 0.0005)
    room = 0.01 - 0.0005
    expected = max(
        stats.ttest_1samp(runs, 0.91 - room, alternative="greater").pvalue,
        stats.ttest_1samp(runs, 0.91 + room, alternative="less").pvalue,
    )
    assert equivalence_test(runs, claim, 0.01) == pytest.approx(expected, rel=1e-9)


def test_equivalence_of_one_run_uses_the_published_spread() -> None:
    claim = PrintedFigure(0.9, 0.0)
    # 1.645 standard deviations to the edge: 5 % of the normal distribution
    found = equivalence_test([0.9], claim, 0.01645, fallback_sd=0.01)
    assert found == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(("n", "half_unit"), [(2, 0.0), (5, 0.0), (3, 0.005)])
@pytest.mark.parametrize("side", [-1, 1])
def test_equivalence_keeps_its_level_at_the_edge(n: int, half_unit: float, side: int) -> None:
    """The number that was rounded is half a unit towards our mean: the worst case."""
    claim, margin = PrintedFigure(0.9, half_unit), 0.03
    edge = claim.value + side * (margin - half_unit)
    draws = np.random.default_rng([n, side + 1]).normal(edge, SD, (STUDIES, n))
    shown = np.mean([equivalence_test(row, claim, margin) < 0.05 for row in draws])
    assert shown <= 0.05 + three_errors(0.05), shown


def test_equivalence_of_one_run_keeps_its_level_at_the_edge() -> None:
    claim = PrintedFigure(0.9, 0.0)
    draws = np.random.default_rng(7).normal(0.91, SD, (STUDIES, 1))
    shown = np.mean([equivalence_test(row, claim, 0.01, SD) < 0.05 for row in draws])
    assert shown <= 0.05 + three_errors(0.05), shown


def test_equivalence_is_found_where_it_holds() -> None:
    draws = np.random.default_rng(8).normal(0.9, SD, (1_000, 5))
    shown = np.mean([equivalence_test(row, PrintedFigure(0.9, 0.0005), 0.01) for row in draws])
    assert shown < 0.01


def test_equal_runs_are_equivalent_inside_the_margin_only() -> None:
    claim = PrintedFigure(8.0, 0.5)
    inside, edge, outside = ([value] * 3 for value in (9.25, 9.5, 10.0))
    assert equivalence_test(inside, claim, 2.0) == 0.0
    assert equivalence_test(edge, claim, 2.0) == 1.0
    assert equivalence_test(outside, claim, 2.0) == 1.0


@pytest.mark.parametrize("margin", [0.0, 0.004, 0.005])
def test_a_margin_within_the_printed_digits_shows_nothing(margin: float) -> None:
    assert equivalence_test([0.9, 0.9001], PrintedFigure(0.9, 0.005), margin) == 1.0


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


@pytest.mark.parametrize("distinct", [True, False])
def test_bootstrap_agrees_with_scipy(distinct: bool) -> None:
    """Rows that all differ, and right-or-wrong rows, which take a shorter way."""
    values = np.random.default_rng(3).exponential(size=200)
    if not distinct:
        values = (values < 1.5).astype(float)
    ours = bootstrap_interval(values, seed=1, resamples=20_000)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
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


@pytest.mark.parametrize("distinct", [True, False])
def test_bootstrap_of_a_test_set_stays_within_its_memory(distinct: bool) -> None:
    values = np.random.default_rng(5).random(25_000)
    if not distinct:
        values = (values < 0.93).astype(float)
    # the longer way works in chunks of 160 resamples: more of them take no more memory
    resamples = 400 if distinct else 10_000
    tracemalloc.start()
    found = bootstrap_interval(values, 0, resamples)
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


# -- paired tests --------------------------------------------------------------------------------


@pytest.mark.parametrize(("a_only", "b_only"), [(6, 16), (16, 6), (0, 5), (8, 8), (300, 360)])
def test_mcnemar_against_scipy_and_by_hand(a_only: int, b_only: int) -> None:
    right_a = [1] * a_only + [0] * b_only + [1] * 50 + [0] * 9
    right_b = [0] * a_only + [1] * b_only + [1] * 50 + [0] * 9
    found = mcnemar_exact(right_a, right_b)
    n = a_only + b_only
    tail = sum(math.comb(n, k) for k in range(min(a_only, b_only) + 1))
    assert (found.a_only, found.b_only) == (a_only, b_only)
    assert found.p == pytest.approx(min(1.0, 2 * tail / 2**n))
    assert found.p == pytest.approx(stats.binomtest(b_only, n).pvalue)


def test_models_right_on_the_same_rows_do_not_differ() -> None:
    right = np.array([True, False, True])
    assert mcnemar_exact(right, right) == McNemar(1.0, 0, 0)


# -- several tests at once -----------------------------------------------------------------------


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
    claim = parse_figure("0.9")
    calls: list[Callable[[], object]] = [
        lambda: prediction_interval(values, fallback_sd=0.1),
        lambda: equivalence_test(values, claim, 0.1, 0.1),
        lambda: bootstrap_interval(values, 0),
        lambda: mcnemar_exact(values, values),
    ]
    for refused in calls:
        with pytest.raises(StatisticsError, match=message):
            refused()


def test_one_run_without_a_spread_is_refused() -> None:
    with pytest.raises(CardproofError, match="run more seeds, or name"):
        prediction_interval([0.9])
    with pytest.raises(CardproofError, match="run more seeds, or name"):
        equivalence_test([0.9], parse_figure("0.9"), 0.1)


def test_a_bootstrap_needs_two_rows() -> None:
    with pytest.raises(StatisticsError, match="at least two rows"):
        bootstrap_interval([1.0], 0)

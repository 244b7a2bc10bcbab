"""Moderated variances over runs, against the same formulas worked cell by cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.moderated import RunCells, unsteady_arms
from evenhand.judge.stats.paired import ScorePaired, usual_size
from evenhand.judge.stats.quantiles import two_sided, z_of


def cells(runs=(5, 5, 5), groups=4, seed=0, *, paired=True):
    """Two metrics in some groups: values of single runs around .8, and flips of a few per cent."""
    rng = np.random.default_rng(seed)
    columns = 2 * groups
    rows = rng.integers(50, 400, columns).astype(float)
    flips = rng.uniform(0.01, 0.08, (len(runs), columns)) / rows
    values = [0.8 + 0.022 * rng.standard_normal((columns, s)) for s in runs]
    shares = np.full(len(runs), paired)
    unknown = np.full(flips.shape, np.nan)
    return RunCells(values, flips, rows, np.repeat(np.arange(groups), 2), 0, shares, unknown)


def kappa(variance, floor, rate):
    """The least kappa at which variance / expected is 1 on average, by a root finder."""

    def excess(k):
        return np.mean(np.asarray(variance) / (np.asarray(floor) + k * np.asarray(rate) ** 2)) - 1

    if excess(0.0) <= 0:
        return 0.0
    return 4.0 if excess(4.0) > 0 else optimize.brentq(excess, 0, 4, xtol=1e-13)


@pytest.mark.parametrize("runs", [(5, 5, 5), (3, 3), (5, 8, 6)])
def test_a_variance_by_hand(runs):
    c = cells(runs)
    rate = [
        [c.flips[a, k] * c.rows[k] + 1 / (c.rows[k] * runs[a]) for k in range(8)] for a in range(len(runs))
    ]
    floor = [[rate[a][k] / c.rows[k] for k in range(8)] for a in range(len(runs))]
    seen = [[np.var(c.values[a][k], ddof=1) for k in range(8)] for a in range(len(runs))]
    for a in range(len(runs)):
        others = sum(s - 1 for s in runs) - (runs[a] - 1)
        prior = 1 / (1 / 4 + 1 / others)
        of_arm = kappa(seen[a], floor[a], rate[a])
        for k in range(8):
            at = [(i, j) for i in range(len(runs)) for j in range(8) if j // 2 == k // 2]
            of_group = kappa(*([m[i][j] for i, j in at] for m in (seen, floor, rate)))
            expected = floor[a][k] + max(of_arm, of_group) * rate[a][k] ** 2
            by_hand = (prior * expected + (runs[a] - 1) * seen[a][k]) / (prior + runs[a] - 1)
            assert c.variance[a, k] == pytest.approx(by_hand, rel=1e-8)


def test_a_difference_takes_the_larger_of_two_estimates():
    c = cells((5, 5), seed=3)
    a, b = c.variance / 5
    correlation = 0.5 * c.correlation
    two_arms = a + b - 2 * correlation * np.sqrt(a * b)
    prior, differences = c.prior_dof[0], c.values[1] - c.values[0]
    expected = c.expected[0] + c.expected[1]
    paired = (prior * expected + 4 * differences.var(axis=1, ddof=1)) / (prior + 4) / 5
    part = c.differences(np.full(8, 1), np.arange(8))
    assert part.variance == pytest.approx(np.maximum(two_arms, paired), rel=1e-12)
    assert 0 < np.sum(paired > two_arms) < 8
    dof = prior + 4
    assert part.dof == pytest.approx((a + b) ** 2 / (a**2 / dof + b**2 / dof), rel=1e-12)


def test_opposite_runs_are_not_narrower_than_independent_ones():
    c = cells((5, 5), seed=1)
    opposite = replace(c, values=[c.values[0], 1.6 - c.values[0]])
    part = opposite.differences(np.full(8, 1), np.arange(8))
    assert np.all(part.variance > 1.2 * opposite.variance.sum(axis=0) / 5)


def test_unlike_numbers_of_runs_and_undefined_columns():
    c = cells((5, 8), paired=False)
    c.values[1][3] = np.nan
    part = c.differences(np.full(8, 1), np.arange(8))
    assert np.isnan(part.variance[3])
    assert np.isfinite(np.delete(part.variance, 3)).all()
    # kappa is shared: without the column that of the arm is another.
    whole = cells((5, 8), paired=False).differences(np.full(8, 1), np.arange(8))
    assert np.any(part.variance[:3] != whole.variance[:3]) or np.any(part.variance[4:] != whole.variance[4:])


def test_the_order_of_columns_and_candidates_changes_nothing():
    c = cells((5, 5, 5))
    order = np.random.default_rng(2).permutation(8)
    turned = RunCells(
        [c.values[i][order] for i in (0, 2, 1)],
        c.flips[[0, 2, 1]][:, order],
        c.rows[order],
        c.group[order],
        0,
        c.paired,
        c.flips_of_difference[[0, 2, 1]][:, order],
    )
    for arm, moved in ((1, 2), (2, 1)):
        one = c.differences(np.full(8, arm), np.arange(8))
        other = turned.differences(np.full(8, moved), np.arange(8))
        assert other.variance == pytest.approx(one.variance[order], rel=1e-12)


def test_one_quantile_for_rows_and_runs():
    c = cells((5, 5))
    part = c.differences(np.full(8, 1), np.arange(8))
    rows = np.full(8, 2e-4)
    joined = part.join(rows, np.full(8, np.inf))
    shift = np.maximum(part.variance - part.floor, 0)
    share = np.minimum(np.maximum(part.variance, part.floor) / (rows + shift), 1)
    assert joined.run_variance == pytest.approx(shift)
    assert joined.run_dof == pytest.approx(part.dof / share**1.5)
    z = float(z_of(0.01))
    half = joined.distance(joined.row_quantile(z) * np.sqrt(rows), z)
    assert half == pytest.approx(stats.t.isf(0.005, part.dof / share**1.5) * np.sqrt(rows + shift), rel=1e-9)
    assert np.all(part.join(rows, np.full(8, 3.0)).row_dof == 3.0)


def test_a_p_value_agrees_with_its_interval():
    c, rng = cells((5, 5)), np.random.default_rng(0)
    n = c.rows
    absolute = rng.uniform(0.02, 0.06, 8)
    difference, square = absolute * rng.uniform(-0.6, 0.6, 8), absolute * 0.7
    unknown = np.full(8, np.nan)
    plain = ScorePaired(
        difference, absolute, square, n, Variation(np.inf, np.zeros(8), np.inf), unknown, unknown
    )
    pair = replace(plain, pseudo_size=usual_size(plain))
    part = c.differences(np.full(8, 1), np.arange(8))
    pair = replace(pair, variation=part.join(pair.row_variance(5), np.full(8, np.inf)))
    for i, p in enumerate(pair.p_values()):
        low, high = pair.interval(float(p))
        assert min(abs(low[i]), abs(high[i])) == pytest.approx(0, abs=1e-7)
        assert 0 < p < 1
    assert two_sided(0.0) == 1.0


def test_the_usual_size_of_a_difference():
    square, absolute, n = np.array([0.02, 0.05]), np.array([0.04, 0.08]), np.array([100.0, 50.0])
    none = np.zeros(2)
    pair = ScorePaired(none, absolute, square, n, Variation(np.inf, none, np.inf), none, none)
    assert usual_size(pair) == pytest.approx(0.5 + 0.5 * (2 + 2.5 + 2) / (4 + 4 + 2))
    assert replace(pair, pseudo_size=0.5).scale == pytest.approx([(2 + 1) / (4 + 2), (2.5 + 1) / (4 + 2)])


def copies(runs=5, *, flips=0.1, noise=0.002, seed=4):
    """A third arm whose runs are nearly those of the reference; the second has runs of its own."""
    c = cells((runs,) * 3, seed=seed)
    rng = np.random.default_rng(seed)
    values = [*c.values[:2], c.values[0] + noise * rng.standard_normal(c.values[0].shape)]
    differences = np.stack([np.full(8, np.nan), 1.9 * c.flips[0], flips * c.flips[0]])
    return replace(c, values=values, flips_of_difference=differences)


def test_flips_of_copies_say_that_runs_are_closely_paired():
    c = copies(3)
    assert [c.closely_paired(arm) for arm in range(3)] == [False, False, True]
    # Flips of the difference that are as large as those of both arms together say nothing.
    assert not copies(3, flips=1.9).closely_paired(2)
    assert not replace(c, paired=np.array([True, True, False])).closely_paired(2)
    c = copies(3, noise=0.03)
    assert c.closely_paired(2)
    few = replace(c, flips=c.flips * 1e-4, flips_of_difference=c.flips_of_difference * 1e-4)
    assert not few.closely_paired(2)


def test_values_that_correlate_for_certain_are_closely_paired():
    # Flips are unlike, values alike: three runs are too few to tell, ten are not.
    assert copies(10, flips=1.9).closely_paired(2)
    assert not copies(10, flips=1.9, noise=0.022).closely_paired(2)
    c = copies(5, flips=1.9)
    rng = np.random.default_rng(8)
    assert replace(c, values=correlated(rng, 0.93, columns=8)).closely_paired(2)
    # All columns shift by the same amounts: however many they are, they count as one.
    alike = [np.tile(v, (8, 1)) for v in correlated(rng, 0.93, columns=1)]
    assert not replace(c, values=alike).closely_paired(2)
    alike = [np.tile(v, (8, 1)) for v in correlated(rng, 0.99, columns=1)]
    assert replace(c, values=alike).closely_paired(2)


def correlated(rng, correlation, columns):
    """Three arms of five runs: the last correlates with the first, by exactly so much in every column."""
    first, second, third = 0.02 * rng.standard_normal((3, columns, 5))
    first, third = (x - x.mean(axis=1, keepdims=True) for x in (first, third))
    third -= first * (first * third).sum(axis=1, keepdims=True) / (first**2).sum(axis=1, keepdims=True)
    third *= np.sqrt((first**2).sum(axis=1, keepdims=True) / (third**2).sum(axis=1, keepdims=True))
    return [first, second, correlation * first + np.sqrt(1 - correlation**2) * third]


@pytest.mark.parametrize("runs", [3, 5])
def test_differences_of_closely_paired_arms_are_cells_themselves(runs):
    c = copies(runs)
    part = c.differences(np.repeat([1, 2], 8), np.tile(np.arange(8), 2))
    differences, n = c.values[2] - c.values[0], c.rows
    rate = c.flips_of_difference[2] * n + 1 / (n * runs)
    floor, seen = rate / n, differences.var(axis=1, ddof=1)
    of_arm = kappa(seen, floor, rate)
    of_group = [kappa(*(x[2 * (k // 2) : 2 * (k // 2) + 2] for x in (seen, floor, rate))) for k in range(8)]
    expected = floor + np.maximum(of_arm, of_group) * rate**2
    prior = 1 / (1 / 4 + 1 / 1)
    by_hand = (prior * expected + (runs - 1) * seen) / (prior + runs - 1) / runs
    assert part.variance[8:] == pytest.approx(by_hand, rel=1e-8)
    assert part.floor[8:] == pytest.approx(floor / runs, rel=1e-12)
    assert part.dof[8:] == pytest.approx(prior + runs - 1)
    # The other candidate is judged as before.
    without = replace(c, flips_of_difference=np.full((3, 8), np.nan))
    assert np.array_equal(part.variance[:8], without.differences(np.full(8, 1), np.arange(8)).variance)


def test_an_arm_with_a_failed_run_says_nothing_about_the_others():
    c = cells((5, 5, 5, 5), seed=2)
    failed = c.values[3].copy()
    failed[:, 1] -= 0.3
    whole = replace(c, values=[*c.values[:3], failed])
    alone = replace(
        c,
        values=c.values[:3],
        flips=c.flips[:3],
        paired=c.paired[:3],
        flips_of_difference=c.flips_of_difference[:3],
    )
    assert whole.expected[:3] == pytest.approx(alone.expected, rel=1e-9)
    assert np.all(whole.expected[3] > 2 * c.expected[3])
    # A group in which all arms are unstable is still known from all of them.
    shifted = [v + np.where(np.arange(8)[:, None] < 2, 0.2 * np.arange(5), 0.0) for v in c.values]
    assert np.all(replace(c, values=shifted).expected[:, :2] > 2 * c.expected[:, :2])


def test_unsteady_arms():
    five = np.full(4, 5)
    assert unsteady_arms(np.array([0.3, 0.2, 0.4, 4.0]), five).tolist() == [False, False, False, True]
    assert unsteady_arms(np.array([0.3, 0.2, 0.4, 2.9]), five).tolist() == [False] * 4
    assert unsteady_arms(np.array([0.0, 0.0, 0.0, 0.6]), five).tolist() == [False, False, False, True]
    assert unsteady_arms(np.array([0.0, 0.0, 0.0, 0.4]), five).tolist() == [False] * 4
    # Three runs have two degrees of freedom: their kappa has to be four times as large. Two arms: which one?
    assert not unsteady_arms(np.array([0.3, 0.2, 0.4, 4.0]), np.full(4, 3)).any()
    assert not unsteady_arms(np.array([0.0, 4.0]), np.full(2, 5)).any()

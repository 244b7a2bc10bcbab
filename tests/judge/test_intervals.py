"""Intervals and tests against published figures, exact enumeration and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evenhand.judge.stats.combine import (
    MIN_RUNS,
    Variation,
    run_half_width,
    share_limits,
    variance_over_runs,
)
from evenhand.judge.stats.family import correlated, holm, independent
from evenhand.judge.stats.intervals import clopper_pearson, tango, tango_statistic, wilson
from evenhand.judge.stats.paired import ScorePaired, WaldPaired
from evenhand.judge.stats.quantiles import sign_test, t_of, t_to_z, two_sided, z_of, z_to_t


def score(better, worse, n, *, runs=0.0, dof=np.inf, exact=True):
    better, worse, n = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (better, worse, n))
    spread = np.broadcast_to(runs, n.shape)
    counted = (better, worse) if exact else (np.full_like(n, np.nan),) * 2
    return ScorePaired(
        (better - worse) / n,
        (better + worse) / n,
        (better + worse) / n,
        n,
        Variation(np.inf, spread, dof),
        *counted,
    )


def test_wilson_and_clopper_pearson_published_figures():
    assert np.allclose(wilson(0.8, 10, z_of(0.05)), (0.490162, 0.943318), atol=1e-6)
    assert np.allclose(clopper_pearson(8, 10, 0.05), (0.443905, 0.974789), atol=1e-6)
    assert wilson(0.0, 12, 1.96)[0] == 0
    assert wilson(1.0, 12, 1.96)[1] == 1
    assert clopper_pearson(0, 10, 0.05)[0] == 0


@pytest.mark.parametrize(
    ("b", "c", "p"), [(5, 15, 0.041389), (15, 5, 0.041389), (0, 6, 0.031250), (0, 0, 1.0), (3, 3, 1.0)]
)
def test_exact_mcnemar(b, c, p):
    assert sign_test(b, c) == pytest.approx(p, abs=1e-6)
    assert score(c, b, 100).p_values()[0] >= p - 1e-9


def test_sign_test_equals_scipy():
    for b, c in [(1, 9), (40, 61), (7, 7), (0, 30)]:
        assert sign_test(b, c) == pytest.approx(stats.binomtest(b, b + c).pvalue, rel=1e-10)


def test_tango_statistic_is_the_constrained_likelihood_score():
    """The constrained maximum found by brute force gives the same variance."""
    b, c, n, at = 9, 4, 60, 0.02
    lesser = np.linspace(1e-6, (1 - at) / 2 - 1e-6, 400_001)
    likelihood = c * np.log(lesser) + b * np.log(lesser + at) + (n - b - c) * np.log(1 - 2 * lesser - at)
    q = lesser[np.argmax(likelihood)]
    expected = ((b - c) / n - at) / np.sqrt((2 * q + at * (1 - at)) / n)
    assert tango_statistic(at, (b - c) / n, (b + c) / n, n) == pytest.approx(expected, abs=1e-4)


def test_no_discordant_row_never_means_no_width():
    low, high = score(0, 0, 30).interval(0.05)
    assert high[0] == pytest.approx(1.959964**2 / (30 + 1.959964**2), abs=1e-6)
    assert low[0] == pytest.approx(-high[0])


def test_tango_limits_are_roots_over_a_wide_range():
    rng = np.random.default_rng(0)
    n = rng.integers(5, 4000, 3000).astype(float)
    b, c = np.floor(rng.random(3000) ** 3 * n / 2), np.floor(rng.random(3000) ** 3 * n / 2)
    z = rng.random(3000) * 5 + 0.1
    for side, limit in zip((-1, 1), tango((b - c) / n, (b + c) / n, n, z), strict=True):
        inner = np.abs(limit) < 1 - 1e-6
        value = np.abs(tango_statistic(limit, (b - c) / n, (b + c) / n, n))
        assert np.allclose(value[inner], z[inner], atol=1e-4)
        assert (side * (limit - (b - c) / n) >= 0).all()


def test_the_p_value_is_the_level_at_which_the_interval_reaches_zero():
    rng = np.random.default_rng(1)
    n = rng.integers(20, 900, 300).astype(float)
    both = rng.binomial(n.astype(int), 0.2)
    better = rng.binomial(both, 0.6).astype(float)
    for runs, dof, exact in ((0.0, np.inf, True), (0.0, np.inf, False), (1e-4, 4.0, False)):
        estimates = score(better, both - better, n, runs=runs, dof=dof, exact=exact)
        p = estimates.p_values()
        for alpha in (0.001, 0.05, 0.3):
            low, high = estimates.interval(alpha)
            assert np.array_equal((low > 0) | (high < 0), p < alpha)


def test_wald_p_value_agrees_with_its_interval_and_with_t():
    rows_only = WaldPaired(np.array([0.1]), np.array([0.002]), Variation(12.0, np.zeros(1), np.inf))
    assert rows_only.p_values()[0] == pytest.approx(2 * stats.t.sf(0.1 / np.sqrt(0.002), 12), rel=1e-9)
    both = WaldPaired(np.array([0.1]), np.array([0.001]), Variation(np.inf, np.array([0.0005]), 4.0))
    p = both.p_values()[0]
    assert both.interval(p)[0][0] == pytest.approx(0, abs=1e-9)
    assert p > 2 * stats.norm.sf(0.1 / np.sqrt(0.0015))


def test_more_variation_between_runs_widens():
    widths = [
        np.diff(score(20, 10, 200, runs=v, dof=4.0, exact=False).interval(0.05), axis=0).item()
        for v in (0, 1e-5, 1e-3)
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[1]


def test_rows_and_runs_are_joined_by_the_root_of_the_sum_of_squares():
    """Each part has its own quantile, runs count from five on, and either part follows from the whole."""
    values = np.array([0.1, 0.2, 0.4, 0.3, 0.5])
    variance, dof = variance_over_runs(values)
    assert (float(variance), dof) == (pytest.approx(np.var(values, ddof=1) / 5), 4)
    both, shorter = variance_over_runs(values, np.append(values, 0.3))
    assert (float(both), shorter) == (pytest.approx(variance + np.var([*values, 0.3], ddof=1) / 6), 4)
    few, normal = variance_over_runs(values, values[: MIN_RUNS - 1])
    assert (float(few), normal) == (0, np.inf)
    variation = Variation.of_runs(7.0, values)
    runs = stats.t.isf(0.025, 4) * np.sqrt(variance)
    assert run_half_width(values, 0.05) == pytest.approx(runs, rel=1e-9)
    assert run_half_width(values[1:], 0.05) == 0
    z = float(z_of(0.05))
    assert variation.row_quantile(z) == pytest.approx(stats.t.isf(0.025, 7), rel=1e-9)
    assert variation.row_level(variation.row_quantile(z)) == pytest.approx(z, rel=1e-9)
    joined = variation.distance(np.array([0.3]), z)
    assert joined == pytest.approx(np.hypot(0.3, runs), rel=1e-9)
    assert variation.reaches(joined - 1e-9, np.array([0.3]), z).all()
    assert not variation.reaches(joined + 1e-9, np.array([0.3]), z).any()
    assert share_limits(0.9, (0.6, 0.95), runs) == (pytest.approx(0.9 - np.hypot(0.3, runs)), 1)


def test_quantiles_equal_scipy():
    alpha = np.array([0.5, 0.05, 1e-3, 1e-9])
    assert np.allclose(z_of(alpha), stats.norm.isf(alpha / 2), rtol=1e-12)
    assert float(z_of(1e-9)) == pytest.approx(stats.norm.isf(5e-10), rel=1e-12)
    assert np.allclose(t_of(alpha, 4), stats.t.isf(alpha / 2, 4), rtol=1e-9)
    assert np.allclose(t_to_z(z_to_t(3.0, np.array([4.0, np.inf])), np.array([4.0, np.inf])), 3.0)
    assert two_sided(1.959963984540054) == pytest.approx(0.05)


def test_holm():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert np.allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(rng.integers(1, 30)) ** 3
        ranked = [min(1.0, max(np.sort(p)[: i + 1] * (len(p) - np.arange(i + 1)))) for i in range(len(p))]
        assert np.allclose(np.sort(holm(p)), ranked)
    assert np.isnan(holm(np.array([0.01, np.nan]))[1])
    assert holm(np.array([0.01, np.nan]))[0] == 0.01


def test_critical_value_of_independent_and_of_equal_statistics():
    assert independent(24).critical(0.05) == pytest.approx(stats.norm.isf((1 - 0.95 ** (1 / 24)) / 2))
    rng = np.random.default_rng(0)
    assert correlated(np.ones((24, 24)), rng).critical(0.05) == pytest.approx(1.96, abs=0.03)
    assert correlated(np.eye(24), rng).critical(0.05) == pytest.approx(
        independent(24).critical(0.05), abs=0.04
    )
    pair = np.array([[1, 0.8], [0.8, 1]])
    draws = np.abs(np.random.default_rng(1).multivariate_normal([0, 0], pair, 400_000)).max(axis=1)
    assert correlated(pair, rng).critical(0.05) == pytest.approx(np.quantile(draws, 0.95), abs=0.03)


def test_never_wider_than_sidak_and_p_adjusted_agrees_with_the_critical_value():
    rng = np.random.default_rng(3)
    family = correlated(0.6 * np.ones((10, 10)) + 0.4 * np.eye(10), rng)
    p = 10 ** -rng.uniform(0, 6, 5000)
    for alpha in (0.05, 0.01, 0.2):
        assert family.critical(alpha) <= independent(10).critical(alpha) + 1e-12
        assert np.array_equal(family.adjust(p) < alpha, z_of(p) > family.critical(alpha))
    assert (family.adjust(p) >= p - 1e-15).all()

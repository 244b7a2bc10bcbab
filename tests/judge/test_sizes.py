"""Differences along the size of groups: no false alarms with few noisy groups, and true slopes are found."""

from __future__ import annotations

import numpy as np
import pytest

from evenhand.judge.across_arms.group_size import size_trends
from evenhand.judge.stats.verdict import POWER

CRITICAL = 2.8


def rows(n, difference, spread, *, candidate="lora", metric="accuracy", known=True):
    """Comparisons of one candidate, as an audit gives them."""
    return [
        {
            "family": "primary", "reference": "full", "candidate": candidate, "attribute": "g",
            "group": f"g{i}", "class": None, "metric": metric, "difference": float(d),
            "low": float(d - CRITICAL * s), "high": float(d + CRITICAL * s), "level": 0.95,
            "minimum_detectable": float((CRITICAL + POWER) * s) if known or i else None,
            "n": int(size), "status": "ok",
        }
        for i, (size, d, s) in enumerate(zip(n, difference, spread, strict=True))
    ]  # fmt: skip


def draw(k, rng, *, slope=0.0, between=0.0, tiny=0):
    """Groups of unlike size: noise falls with the root of their rows."""
    n = np.exp(rng.uniform(np.log(20), np.log(5000), k)).astype(int) + np.arange(k)
    n[:tiny] = 15 + np.arange(tiny)
    spread = 0.4 / np.sqrt(n)
    return n, slope * np.log2(n) + spread * rng.standard_normal(k) + between * rng.standard_normal(k), spread


@pytest.mark.no_cover
@pytest.mark.parametrize(("k", "between", "tiny"), [(5, 0.0, 0), (6, 0.0, 2), (8, 0.05, 1), (10, 0.0, 4)])
def test_noise_of_small_groups_is_not_a_trend(k, between, tiny):
    rng = np.random.default_rng(k + tiny)
    results = []
    for _ in range(300):
        n, y, spread = draw(k, rng, between=between, tiny=tiny)
        if k == 10:  # many of one size: ranks of plain differences would raise twice the alarms allowed
            n[tiny:] = 5000 + rng.permutation(k - tiny)
            spread = 0.4 / np.sqrt(n)
            y = spread * rng.standard_normal(k)
        results += size_trends(rows(n, y, spread))
    assert np.mean([r["p_value"] <= 0.05 for r in results]) <= 0.075  # 5 % and two standard errors
    for r in results:
        assert r["p_value"] <= 0.05 or r["low"] <= 0 <= r["high"]


def test_a_plain_permutation_would_raise_false_alarms():
    """What the standardisation is for: without it the largest differences of small groups are a trend."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        n = np.array([15, 20, *rng.integers(800, 1200, 6)])
        y = 0.4 / np.sqrt(n) * rng.standard_normal(8)
        x = np.log2(n) - np.log2(n).mean()
        drawn = np.abs([x @ rng.permutation(y) for _ in range(400)])
        alarms += np.mean(drawn >= abs(x @ y)) <= 0.05
    assert alarms / 200 > 0.2


@pytest.mark.no_cover
def test_many_candidates_and_metrics_share_the_alarm():
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(150):
        n, _, spread = draw(6, rng)
        every = [
            r for c in range(4) for r in rows(n, spread * rng.standard_normal(6), spread, candidate=f"c{c}")
        ]
        alarms += any(r["p_adjusted"] <= 0.05 for r in size_trends(every))
    assert alarms / 150 <= 0.10


def test_a_true_slope_is_detected_and_covered():
    rng = np.random.default_rng(6)
    results = [size_trends(rows(*draw(7, rng, slope=0.05)))[0] for _ in range(60)]
    assert np.mean([r["p_adjusted"] <= 0.05 for r in results]) > 0.8
    assert np.mean([r["low"] <= 0.05 <= r["high"] for r in results]) > 0.9
    assert np.median([r["slope"] for r in results]) == pytest.approx(0.05, abs=0.005)


def test_five_groups_suffice_and_four_do_not():
    n = 40 * 2 ** np.arange(5)
    y = 0.1 * np.arange(5) + [0, 0.02, -0.02, 0.01, -0.01]
    clear = size_trends(rows(n, y, np.full(5, 0.01)))[0]
    assert clear["p_value"] == pytest.approx(2 / 120)
    assert 0 < clear["low"] < 0.1 < clear["high"]
    (four,) = size_trends(rows(n[:4], y[:4], np.full(4, 0.01)))
    assert (four["status"], four["slope"], four["p_value"]) == ("undefined", None, None)
    assert four["reason"] == "4 of 4 groups can be used; at least 5 are needed"


def test_groups_of_one_size_have_no_slope():
    (row,) = size_trends(rows([100] * 6, np.linspace(-0.1, 0.1, 6), np.full(6, 0.01)))
    assert (row["status"], row["reason"]) == ("undefined", "the groups' sizes are too similar")


def test_unusable_rows_are_left_out_and_others_are_not_mixed():
    comparisons = rows(40 * 2 ** np.arange(6), np.zeros(6), np.full(6, 0.01))
    comparisons[2] |= {"status": "too_small", "low": None, "high": None}
    comparisons += [
        comparisons[0] | {"family": "exploratory", "metric": "f1"},
        comparisons[0] | {"group": None},
    ]
    (row,) = size_trends(comparisons)
    assert row["groups"] == 5


def test_an_unknown_spread_follows_from_the_familys_critical_value():
    n, y, s = draw(6, np.random.default_rng(9))
    assert size_trends(rows(n, y, s, known=False))[0]["slope"] == pytest.approx(
        size_trends(rows(n, y, s))[0]["slope"]
    )


def test_equal_arms_have_no_slope():
    (row,) = size_trends(rows(40 * 2 ** np.arange(6), np.zeros(6), np.full(6, 0.01)))
    assert (row["slope"], row["p_value"]) == (pytest.approx(0), 1.0)


def test_many_groups_draw_orders_the_same_way_every_time():
    comparisons = rows(*draw(12, np.random.default_rng(1)))
    assert size_trends(comparisons) == size_trends(comparisons)

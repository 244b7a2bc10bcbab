"""Shrunken differences: against integrals by brute force, their properties, whole audits, known worlds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from benchmarks.simulate.shrunken import World, coverage
from benchmarks.simulate.worlds import resplit
from scipy.stats import multivariate_normal, norm

from evenhand.judge import run
from evenhand.judge.across_arms.shrunken import crossing_codes
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.groups.shrinkage import (
    MAX_TAU,
    OUTLIER_SD,
    OUTLIER_SHARE,
    RHOS,
    predict,
    shrink,
    shrink_shares,
)
from evenhand.judge.stats.paired import ScorePaired
from evenhand.tables.schema import Attribute, Columns
from tests.judge.arms import draw

ACCURACY = Settings(metrics=("accuracy",), primary=("accuracy",))
SIZES = (600, 300, 100, 60, 30, 20)
DIFFERENCE = np.array([-0.03, 0.01, -0.12, 0.04, -0.2])
VARIANCE = np.array([0.0002, 0.0006, 0.001, 0.002, 0.004])


def by_integration(difference, variance, group):
    """Mean of a group's posterior and its distribution, by sums over a grid of tau and mu."""
    tau = np.linspace(0, MAX_TAU, 801)[:, None]
    mu = np.linspace(-1.2, 1.2, 1201)[None, :]
    weight = np.ones((801, 1201))
    weight[[0, -1]] /= 2
    for other in np.delete(np.arange(len(difference)), group):
        weight = weight * norm.pdf(difference[other], mu, np.sqrt(variance[other] + tau**2))
    of_means, parts = 0.0, []
    for share, more in ((1 - OUTLIER_SHARE, 0.0), (OUTLIER_SHARE, OUTLIER_SD**2)):
        around = tau**2 + more
        agrees = share * weight * norm.pdf(difference[group], mu, np.sqrt(variance[group] + around))
        own = around / (around + variance[group])
        mean, spread = mu + own * (difference[group] - mu), np.sqrt(np.maximum(own * variance[group], 1e-20))
        parts.append((agrees, mean, spread))
        of_means += (agrees * mean).sum()
    total = sum(a.sum() for a, *_ in parts)

    def below(limit):
        return sum((a * norm.cdf(limit, m, s)).sum() for a, m, s in parts) / total

    return of_means / total, below


@pytest.mark.parametrize("groups", [4, 5])
def test_estimates_and_limits_are_those_of_the_integral(groups):
    s = shrink(DIFFERENCE[-groups:], VARIANCE[-groups:], 0.1)
    for g in range(groups):
        mean, below = by_integration(DIFFERENCE[-groups:], VARIANCE[-groups:], g)
        assert s.estimate[g] == pytest.approx(mean, abs=4e-4)
        assert below(s.low[g]) == pytest.approx(0.05, abs=2e-3)
        assert below(s.high[g]) == pytest.approx(0.95, abs=2e-3)


def test_predictions_of_crossings_are_conditional_normal_distributions():
    """Each group given the others, from the joint distribution with a nearly flat prior of the mean."""
    codes = np.array([[0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1]])
    same = (codes[:, :, None] == codes[:, None, :]).mean(axis=0)
    difference, variance = np.append(DIFFERENCE, 0.06), np.append(VARIANCE, 0.003)
    taus = np.array([0.0, 0.03, 0.2])
    given = predict(difference, variance, same, taus)
    steps = np.array([0.015, 0.1, 0.085])
    likelihood = []
    for k, (rho, tau) in enumerate((r, t) for r in RHOS for t in taus):
        structure = (1 - rho) * np.eye(6) + rho * same
        true = 1e4 + tau**2 * structure
        of_data = true + np.diag(variance)
        likelihood.append(multivariate_normal.logpdf(difference, np.zeros(6), of_data))
        for g in range(6):
            rest = np.delete(np.arange(6), g)
            solved = np.linalg.solve(of_data[np.ix_(rest, rest)], true[rest, g])
            assert given.mean[k, g] == pytest.approx(solved @ difference[rest], abs=1e-5)
            assert given.variance[k, g] == pytest.approx(true[g, g] - solved @ true[rest, g], abs=1e-5)
    weight = np.exp(np.array(likelihood) - max(likelihood)) * np.tile(steps, len(RHOS))
    assert given.weight == pytest.approx(weight / weight.sum(), abs=1e-5)


def test_without_variation_between_groups_all_are_drawn_to_the_weighted_mean():
    given = predict(DIFFERENCE, VARIANCE, taus=np.zeros(1))
    together = (DIFFERENCE / VARIANCE).sum() / (1 / VARIANCE).sum()
    own = given.variance[0] / (given.variance[0] + VARIANCE)
    assert own * DIFFERENCE + (1 - own) * given.mean[0] == pytest.approx(np.full(5, together))


def test_estimates_lie_between_the_direct_difference_and_the_target():
    rng = np.random.default_rng(0)
    for _ in range(60):
        groups = int(rng.integers(4, 21))
        variance = 0.15 / rng.integers(20, 1000, groups)
        difference = rng.normal(-0.02, np.sqrt(variance + rng.choice([0, 0.03, 0.1]) ** 2))
        s = shrink(difference, variance, 0.05)
        low, high = np.sort([difference, s.target], axis=0)
        assert (low <= s.estimate).all()
        assert (s.estimate <= high).all()
        assert ((s.low < s.estimate) & (s.estimate < s.high)).all()
        assert s.direct_weight * difference + (1 - s.direct_weight) * s.target == pytest.approx(s.estimate)
        mirrored = shrink(-difference[::-1], variance[::-1], 0.05)
        assert mirrored.estimate[::-1] == pytest.approx(-s.estimate)
        assert mirrored.high[::-1] == pytest.approx(-s.low, abs=1e-7)


def test_a_group_far_from_the_others_keeps_more_of_its_own_difference_as_it_grows():
    difference = np.array([0.0, 0.01, -0.01, 0.0, 0.0, -0.2])
    own, width = [], []
    for rows in (20, 60, 200, 1000):
        s = shrink(difference, np.array([0.0003] * 5 + [0.12 / rows]), 0.05)
        own.append(s.direct_weight[-1])
        width.append(s.high[-1] - s.low[-1])
    assert (np.diff(own) > 0).all()
    assert own[-1] > 0.95
    near = shrink(np.append(difference[:5], -0.02), np.array([0.0003] * 5 + [0.12 / 60]), 0.05)
    assert near.direct_weight[-1] < own[1] / 2
    assert near.high[-1] - near.low[-1] < width[1] / 2  # torn between the others and its own, it says so


@pytest.mark.parametrize("precise", [2e-4, 2e-5, 2e-7])
def test_a_precise_group_however_far_from_the_others_keeps_its_own_difference(precise):
    """The likelihood of an ordinary group is then too small for a floating-point number."""
    difference = np.array([0.0, 0.001, -0.001, 0.0005, 0.0, -0.9])
    s = shrink(difference, np.full(6, precise), 0.05)
    half, drawn = norm.ppf(0.975) * np.sqrt(precise), precise / OUTLIER_SD**2
    assert s.estimate[-1] == pytest.approx(-0.9, abs=drawn)
    assert s.low[-1] == pytest.approx(-0.9 - half, abs=drawn + 0.01 * half)
    assert s.high[-1] == pytest.approx(-0.9 + half, abs=drawn + 0.01 * half)
    assert np.isfinite([s.estimate, s.low, s.high, s.target, s.direct_weight]).all()
    assert np.abs(s.estimate[:5] - difference[:5]).max() < half


def test_groups_that_agree_lend_each_other_more_than_those_that_differ():
    agree = shrink(np.zeros(8), np.full(8, 0.004), 0.05)
    differ = shrink(np.linspace(-0.5, 0.5, 8), np.full(8, 0.004), 0.05)
    direct = 2 * 1.96 * np.sqrt(0.004)
    assert (agree.high - agree.low < 0.75 * direct).all()
    assert (differ.high - differ.low > 0.95 * direct).all()
    assert (differ.direct_weight > 0.9).all()


def shares(difference, n, *, run_variance=0.0, run_dof=np.inf, absolute=0.1):
    n = np.array(n, dtype=float)
    each = np.broadcast_to(absolute, n.shape).astype(float)
    variation = Variation(np.inf, np.broadcast_to(run_variance, n.shape).astype(float), run_dof)
    unknown = np.full(len(n), np.nan)
    return ScorePaired(np.array(difference, dtype=float), each, each, n, variation, unknown, unknown)


def test_what_is_borrowed_brings_the_shifts_of_the_runs_that_it_comes_from():
    """Only the runs of the large groups shift; the tiny group is drawn to them."""
    n = (2000, 2000, 2000, 20)
    calm = shrink_shares(shares([0.0] * 4, n), 1, 0.05)
    shift = np.array([0.02**2] * 3 + [0.0])
    shifted = shrink_shares(shares([0.0] * 4, n, run_variance=shift, run_dof=9.0), 5, 0.05)
    assert shifted.estimate == pytest.approx(calm.estimate)
    half, before = shifted.high - shifted.estimate, calm.high - calm.estimate
    assert half[:3] == pytest.approx(np.hypot(before[:3], 2.262 * 0.02), abs=1e-3)
    borrowed = (1 - calm.direct_weight[3]) * 0.02**2
    assert half[3] == pytest.approx(np.hypot(before[3], 2.262 * np.sqrt(borrowed)), abs=1e-3)


def test_few_degrees_of_freedom_of_runs_count_the_more_the_more_is_shrunk():
    ratios = []
    for far in (0.0, 0.5):
        difference = np.linspace(-far, far, 6)
        several = shares(
            difference, [30] * 6, run_variance=0.02**2, run_dof=40.0, absolute=0.1 + np.abs(difference)
        )
        plain, moderated = (shrink_shares(several, 3, 0.05, moderated=m) for m in (False, True))
        ratios.append((moderated.high - moderated.low) / (plain.high - plain.low))
    assert (ratios[0] > 1.04).all()
    assert (ratios[1] < ratios[0]).all()


def test_no_differing_row_is_no_certainty():
    s = shrink_shares(shares([0.0] * 5, [30] * 5, absolute=0.0), 1, 0.05)
    assert (s.high - s.low > 0.03).all()


def worlds(candidate, sizes=SIZES, *, runs=1, seed=0, sigma=0.0, reference=0.85):
    accuracy = {"full": [reference] * len(sizes), "lora": list(np.broadcast_to(candidate, len(sizes)))}
    return draw(accuracy, sizes, np.random.default_rng(seed), runs=runs, sigma=sigma)


def audit(predictions, settings=ACCURACY):
    return judge_predictions(predictions, Columns(), settings).to_dict()


@pytest.mark.parametrize(("runs", "unit"), [(1, "rows"), (3, "rows and runs"), (5, "rows and runs")])
def test_an_audit_has_a_row_for_each_group_beside_its_direct_difference(runs, unit):
    document = audit(worlds(0.8, runs=runs, sigma=0.1))
    direct = {c["group"]: c for c in document["comparisons"] if c["family"] == "primary"}
    rows = document["shrunken"]
    assert [r["group"] for r in rows] == list(direct)
    for r in rows:
        c = direct[r["group"]]
        assert (r["difference"], r["n"], r["unit"]) == (c["difference"], c["n"], unit)
        assert c["low"] <= r["direct_low"] <= r["difference"] <= r["direct_high"] <= c["high"]
        low, high = sorted((r["difference"], r["target"]))
        assert low <= r["shrunken_difference"] <= high
        assert r["shrunken_low"] < r["shrunken_difference"] < r["shrunken_high"]
    smallest = rows[-1]
    assert smallest["n"] == 20
    of_direct = smallest["direct_high"] - smallest["direct_low"]
    assert smallest["shrunken_high"] - smallest["shrunken_low"] < 0.8 * of_direct


def test_nothing_else_depends_on_shrunken_differences(monkeypatch):
    p = worlds([0.8, 0.7, 0.85, 0.9, 0.6, 0.8], runs=3, sigma=0.1)
    settings = Settings()
    document = audit(p, settings)
    assert len(document["shrunken"]) == 18
    assert all(r["status"] == "ok" for r in document["shrunken"])
    monkeypatch.setattr(run, "shrunken_differences", lambda *_: [])
    without = audit(p, settings)
    assert without == {**document, "shrunken": [], "created": without["created"]}


def test_a_rate_and_its_complement_mirror_each_other():
    names = ("false_positive_rate", "true_negative_rate")
    rows = audit(worlds(0.8, runs=3, sigma=0.1), Settings(metrics=names, primary=names))["shrunken"]
    for a, b in zip(*(rows[k::1][:6] for k in (0, 6)), strict=True):
        assert (a["metric"], b["metric"], a["group"]) == (*names, b["group"])
        assert a["shrunken_difference"] == pytest.approx(-b["shrunken_difference"], abs=1e-12)
        assert a["shrunken_low"] == pytest.approx(-b["shrunken_high"], abs=1e-9)


def test_few_groups_lend_nothing_and_small_ones_are_left_out():
    rows = audit(worlds(0.8, sizes=(400, 300, 200, 5)))["shrunken"]
    assert {r["reason"] for r in rows} == {
        "3 groups of this attribute can be compared, fewer than 4: too few to show how they vary",
        "5 rows, fewer than 10",
    }
    assert [r["status"] for r in rows] == ["undefined"] * 3 + ["too_small"]
    assert all(r["shrunken_low"] is None and r["target"] is None for r in rows)
    more = audit(worlds(0.8, sizes=(400, 300, 200, 100, 5)))["shrunken"]
    assert [r["status"] for r in more] == ["ok"] * 4 + ["too_small"]
    assert more[0]["shrunken_low"] is not None


def test_memberships_have_none_and_empty_groups_do_not_matter():
    p = worlds(0.8)
    flags = np.stack([np.arange(len(p.label)) % k < k - 1 for k in (2, 3, 4, 5)])
    overlap = Attribute("m_", "memberships", tuple("abcd"), flags=flags)
    a = p.attributes[0]
    padded = dataclasses.replace(a, groups=(*a.groups, "nobody"))
    rows = audit(dataclasses.replace(p, attributes=(padded, overlap)))["shrunken"]
    assert {r["reason"] for r in rows if r["attribute"] == "m_"} == {
        "groups that may overlap share rows, so their differences cannot be drawn towards each other"
    }
    ok = [r for r in rows if r["status"] == "ok"]
    assert [r["group"] for r in ok] == list(a.groups)
    assert [r["shrunken_low"] for r in ok] == [r["shrunken_low"] for r in audit(p)["shrunken"]]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: dataclasses.replace(p, cluster=np.arange(len(p.label)) // 4),
        lambda p: dataclasses.replace(p, cluster=p.attributes[0].codes),  # one cluster in a group
        lambda p: dataclasses.replace(p, weight=p.weight * 2, weight_squared=p.weight * 4, weighted=True),
        lambda p: resplit(p, np.random.default_rng(0), 0.5),
    ],
)
def test_rows_of_any_kind_have_finite_limits(change):
    rows = audit(change(worlds(0.8, runs=5, sigma=0.1, sizes=(600, 300, 200, 100, 60))))["shrunken"]
    assert all(r["status"] == "ok" for r in rows)
    assert all(-1 <= r["shrunken_low"] < r["shrunken_high"] <= 1 for r in rows)


def test_shares_of_alpha_leave_the_level_as_it_is():
    p = worlds(0.8)
    weighted = dataclasses.replace(ACCURACY, attribute_weights={"overall": 1.0, "grp": 1.0})
    both = [audit(p, s)["shrunken"] for s in (ACCURACY, weighted)]
    assert [r["shrunken_low"] for r in both[0]] == pytest.approx([r["shrunken_low"] for r in both[1]])
    assert {r["level"] for r in both[1]} == {0.95}


def test_crossings_are_drawn_towards_those_with_the_same_attributes():
    """Every crossing with b loses; a tiny one of them is drawn to the others of b, not to the mean."""
    names = tuple(f"{k} x {s}" for k in "vwxyz" for s in "ab")
    sizes = [300] * 9 + [20]
    accuracy = [0.88, 0.6] * 5
    p = worlds(accuracy, sizes)
    plain = p.attributes[0]
    crossed = dataclasses.replace(plain, name="k x s", kind="intersection", groups=names)
    of_crossing, of_group = (
        audit(dataclasses.replace(p, attributes=(a,)))["shrunken"][-1] for a in (crossed, plain)
    )
    assert of_crossing["difference"] == of_group["difference"]
    assert of_crossing["target"] < -0.18
    assert of_group["target"] > -0.15
    widths = [r["shrunken_high"] - r["shrunken_low"] for r in (of_crossing, of_group)]
    assert widths[0] < widths[1]


def test_names_of_crossings_are_taken_apart():
    assert crossing_codes(["a", "b"]) is None
    assert crossing_codes(["a x b", "c"]) is None
    assert crossing_codes(["a x m", "a x f", "b x m"]).tolist() == [[0, 0, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    "world",
    [
        World((1000, 200, 60, 20), 0.05, runs=1),
        World((1000, 500, 200, 100, 60, 40, 30, 20), 0.0, outlier=0.2, runs=1),
        World((400, 200, 100, 60, 40, 30), 0.0, runs=5, shifts="large", common=1.0),
        World((300, 200, 100, 60, 40, 30), 0.1, effects="crossed", crossed=(3, 2), runs=1),
    ],
    ids=["four groups", "an outlier", "shifts in common", "crossings"],
)
def test_intervals_hold_on_average(world):
    figures = coverage(world, 200)
    assert figures["coverage"] >= 0.925
    assert figures["width / direct"] < 0.95

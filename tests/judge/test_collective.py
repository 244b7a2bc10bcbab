"""Collective claims: closed testing against its definition, whole audits, and worlds of known truth."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from evenhand.judge.across_arms.collective import SETS, SINGLE
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.groups import closed
from evenhand.judge.stats.intervals import tango
from evenhand.judge.stats.paired import ScorePaired
from evenhand.judge.stats.quantiles import z_of
from evenhand.tables.schema import Attribute, Columns
from tests.judge.arms import draw

ACCURACY = Settings(metrics=("accuracy",), primary=("accuracy",))


def claims(predictions, settings=ACCURACY, **where):
    document = judge_predictions(predictions, Columns(), settings).to_dict()
    return [r for r in document["collective"] if all(r[k] == v for k, v in where.items())]


def worlds(candidate, *, reference=0.85, sizes=None, runs=1, seed=0, sigma=0.0):
    sizes = sizes or (400,) * len(candidate)
    accuracy = {"full": [reference] * len(candidate), "lora": candidate}
    return draw(accuracy, sizes, np.random.default_rng(seed), runs=runs, sigma=sigma)


def by_definition(singles, rejected, sets, selected, level):
    """Subsets of the selected groups: how many differ in each that closed testing does not exclude."""
    groups = len(singles)
    local = {}
    for of_set, joint in zip(sets, rejected, strict=True):
        members = frozenset(np.flatnonzero(of_set).tolist())
        local[members] = joint or min(singles[list(members)]) < level / 2 / len(members)
    closure = {i: all(local[j] for j in local if i <= j) for i in local}
    chosen = frozenset(np.flatnonzero(selected).tolist())
    null = [frozenset(n) for r in range(groups + 1) for n in itertools.combinations(range(groups), r)]
    possible = [n for n in null if not n or not closure[n]]
    return min(len(chosen - n) for n in possible)


def test_the_count_is_that_of_closed_testing():
    rng = np.random.default_rng(0)
    sets = closed.sets_of(5)
    counts = set()
    for _ in range(300):
        singles = rng.uniform(0, 1, 5) ** 4
        rejected = rng.random(len(sets)) < rng.uniform(0.3, 1)
        selected = rng.random(5) < 0.7
        count = closed.count_selected(singles, rejected, sets, selected, 0.1)
        assert count == by_definition(singles, rejected, sets, selected, 0.1)
        counts.add(count)
    assert len(counts) > 3


def test_single_groups_alone_are_counted_by_holm():
    singles = np.array([0.001, 0.02, 0.3, 0.011])
    every = np.ones(4, bool)
    assert closed.holm_selected(singles, every, 0.05) == 3  # .004, .033, .04, .3
    assert closed.holm_selected(singles, every, 0.035) == 2
    assert closed.holm_selected(singles, np.array([False, True, True, True]), 0.05) == 2


def test_the_set_of_all_groups_is_compared_as_one_group():
    p = worlds([0.8] * 6, sizes=(400, 300, 200, 90, 60, 40))
    claim = claims(p, claim="harm")[0]
    right = [arm.prediction[0] == p.label for arm in p.arms]
    d = right[1].astype(float) - right[0]
    low, high = tango(d.mean(), np.abs(d).mean(), len(d), z_of(0.05 / 2))
    assert claim["difference"] == pytest.approx(d.mean(), abs=1e-12)
    assert (claim["low"], claim["high"]) == pytest.approx((float(low), float(high)), abs=1e-9)
    assert (claim["test"], claim["unit"]) == (SETS, "rows")


def test_few_answers_of_single_runs_are_tested_exactly():
    """Five losses and no gain: the exact test of the two groups together has p = 2 / 2^5."""
    n, lost = np.array([300.0, 200.0]), np.array([3.0, 2.0])
    variation = Variation(np.inf, np.zeros(2), np.inf)
    groups = ScorePaired(-lost / n, lost / n, lost / n, n, variation, np.zeros(2), lost)
    every = closed.all_groups(closed.compare_sets(groups, None, 1, closed.sets_of(2)))
    assert every.p_values() == pytest.approx([0.0625])
    assert every.interval(0.06)[1] == 0
    assert every.interval(0.07)[1] < 0


def test_runs_of_a_set_are_those_of_its_rows():
    p = worlds([0.8, 0.7, 0.75], sizes=(300, 200, 100), runs=5, sigma=0.3)
    claim = claims(p, claim="harm")[0]
    together = dataclasses.replace(p.attributes[0], groups=("all",), codes=np.zeros(600, int))
    settings = dataclasses.replace(ACCURACY, alpha=0.05 / 2)
    document = judge_predictions(dataclasses.replace(p, attributes=(together,)), Columns(), settings)
    [row] = [r for r in document.comparisons if r["group"] == "all"]
    # The flips of the merged group contain differences of groups between runs, so only nearly the same.
    assert claim["difference"] == pytest.approx(row["difference"], abs=1e-12)
    assert claim["high"] - claim["low"] == pytest.approx(row["high"] - row["low"], rel=0.15)
    assert claim["unit"] == "rows and runs"


def test_losses_of_many_groups_count_where_none_counts_alone():
    p = worlds([0.81] * 8, seed=2)
    document = judge_predictions(p, Columns(), ACCURACY).to_dict()
    harm, help_ = document["collective"]
    assert document["verdict"]["counts"]["harm"] == 0
    assert harm["claim"] == "harm"
    assert harm["at_least"] >= 3
    assert harm["p_adjusted"] < 0.05 < help_["p_adjusted"]
    assert help_["at_least"] == 0
    assert harm["groups_used"] == [f"g{k}" for k in range(8)]


def test_a_lower_rate_of_false_positives_helps():
    p = worlds([0.95] * 6, seed=1)
    settings = Settings(metrics=("false_positive_rate",), primary=("false_positive_rate",))
    harm, help_ = claims(p, settings)
    assert (harm["at_least"], help_["claim"]) == (0, "help")
    assert help_["at_least"] > 3
    assert help_["difference"] < 0


def test_losses_below_the_margin_are_not_harm():
    p = worlds([0.88] * 3, reference=0.9, sizes=(40_000,) * 3)
    assert claims(p, claim="harm")[0]["at_least"] == 3
    wide = dataclasses.replace(ACCURACY, margin=0.1)
    assert claims(p, wide, claim="harm")[0]["at_least"] == 0


def test_all_claims_of_an_audit_share_the_level():
    p = worlds([0.8] * 4)
    names = ("accuracy", "true_positive_rate", "false_negative_rate")
    rows = claims(p, Settings(metrics=names, primary=names))
    assert len(rows) == 6
    for row in rows:  # a rate and its complement are one claim
        assert row["p_adjusted"] == pytest.approx(min(4 * row["p_value"], 1.0))
    assert claims(p, Settings(metrics=("selection_rate",), primary=("selection_rate",))) == []


def overlapping(p):
    flags = np.stack([np.arange(len(p.label)) % k < k - 1 for k in (2, 3, 4)])
    return dataclasses.replace(p, attributes=(Attribute("m_", "memberships", ("a", "b", "c"), flags=flags),))


@pytest.mark.parametrize(
    "change",
    [
        overlapping,
        lambda p: dataclasses.replace(p, cluster=np.arange(len(p.label)) // 2),
        lambda p: dataclasses.replace(p, weight=p.weight * 2, weight_squared=p.weight * 4, weighted=True),
        lambda p: dataclasses.replace(
            p,
            attributes=(
                Attribute("k", "partition", tuple("abcdefghijklm"), codes=np.arange(len(p.label)) % 13),
            ),
        ),
    ],
)
def test_sets_that_cannot_be_united_are_counted_by_single_groups(change):
    rows = claims(change(worlds([0.6] * 3, sizes=(900,) * 3)))
    assert {r["test"] for r in rows} == {SINGLE}
    assert rows[0]["at_least"] > 0
    assert rows[0]["difference"] is None


def test_fewer_than_two_groups_make_no_claim():
    [harm, _] = claims(worlds([0.6, 0.6], sizes=(400, 5)))
    assert (harm["status"], harm["at_least"]) == ("undefined", 0)
    assert harm["reason"] == "fewer than two groups can be compared"
    assert harm["groups_left_out"] == [{"group": "g1", "reason": "5 rows, fewer than 10"}]


def test_the_order_of_groups_does_not_matter():
    p = worlds([0.8, 0.75, 0.84, 0.7], sizes=(400, 100, 300, 60), runs=3, sigma=0.1)
    a = p.attributes[0]
    turned = dataclasses.replace(a, groups=a.groups[::-1], codes=3 - a.codes)
    other = claims(dataclasses.replace(p, attributes=(turned,)))
    for row, again in zip(claims(p), other, strict=True):
        assert again["at_least"] == row["at_least"]
        assert again["groups_used"] == row["groups_used"][::-1]
        assert again["p_value"] == pytest.approx(row["p_value"], rel=1e-9)


@pytest.mark.parametrize(("runs", "sigma"), [(1, 0.0), (3, 0.25), (5, 0.25)])
def test_no_more_groups_than_are_worse(runs, sigma):
    """Half of the groups lose so much that only the others can make a claim false."""
    wrong = 0
    for seed in range(120):
        p = worlds([0.85] * 3 + [0.5] * 3, sizes=(200,) * 6, runs=runs, seed=seed, sigma=sigma)
        harm, help_ = claims(p)
        wrong += harm["at_least"] > 3 or help_["at_least"] > 0
    assert wrong <= 0.05 * 120 + 2 * np.sqrt(0.05 * 0.95 * 120)

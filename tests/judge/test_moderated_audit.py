"""Audits with moderated variances over runs: their limits from the rows, and the scope of their verdicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from evenhand import registry
from evenhand.judge.core.estimates import classes_of, groups_of, observe
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.core.pairs import _flips_of_difference
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.intervals import tango
from evenhand.tables.schema import Arm, Attribute, Columns, Predictions

ALPHA = 0.05


def predictions(runs=5, seed=0, arms=("full", "lora", "head"), *, shift=1.0, common=0.9):
    """Three groups; runs flip single answers, and shift by a few points."""
    rng = np.random.default_rng(seed)
    sizes, names = (300, 160, 90), tuple(str(s) for s in range(runs))
    group, n = np.repeat(np.arange(3), sizes), sum(sizes)
    label, shared = (rng.random(n) < 0.4).astype(np.int64), rng.standard_normal(n)
    built = []
    for name in arms:
        limit = 0.12 * rng.standard_normal((runs, 1)) + 0.05 * rng.standard_normal((runs, 3))[:, group]
        right = (
            common * shared + np.sqrt(1 - common**2) * rng.standard_normal((runs, n)) < 0.8 + shift * limit
        )
        built.append(Arm(name, names, np.where(right, label, 1 - label)))
    by = Attribute("race", "partition", ("a", "b", "c"), codes=group)
    one = np.ones(n)
    return Predictions(("no", "yes"), 1, label, tuple(built), (by,), one, one, one)


def comparisons(table, metrics=("accuracy",), **settings):
    document = judge_predictions(table, Columns(), Settings(metrics=metrics, primary=metrics, **settings))
    return document.to_dict()["comparisons"], document.verdict


def by_hand(table, among):
    """Limits of the share of right answers in every group, at Sidak's level, from the rows alone."""
    group, label = np.where(among, table.attributes[0].codes, 3), table.label
    right = np.stack([a.prediction == label for a in table.arms]).astype(float)
    arms, runs, _ = right.shape
    n = np.bincount(group, minlength=3)[:3]
    values = np.stack([right[:, :, group == g].mean(axis=2) for g in range(3)], axis=2)  # arm, run, group
    observed = values.var(axis=1, ddof=1)
    phi = np.empty((arms, 3))
    for a in range(arms):
        for g in range(3):
            x = right[a][:, group == g]
            residual = x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean()
            phi[a, g] = (residual**2).sum() / ((n[g] - 1) * (runs - 1)) + 1 / (n[g] * runs)
    e = phi / n

    def kappa(cells):
        grid = np.linspace(0, 4, 400_001)
        share = np.mean([observed[c] / (e[c] + grid * phi[c] ** 2) for c in cells], axis=0)
        return grid[np.argmax(share <= 1)] if (share <= 1).any() else 4.0

    of_arm = [kappa([(a, g) for g in range(3)]) for a in range(arms)]
    of_group = [kappa([(a, g) for a in range(arms)]) for g in range(3)]
    w = e + np.maximum(np.array(of_arm)[:, None], np.array(of_group)[None]) * phi**2
    d = 1 / (1 / 4 + 1 / ((arms - 1) * (runs - 1)))
    v, dof = (d * w + (runs - 1) * observed) / (d + runs - 1), d + runs - 1
    z = (values - values.mean(axis=1, keepdims=True)) / np.sqrt(v)[:, None]
    products = [(z[0] * z[b]).sum() for b in range(1, arms)]
    sizes = [np.sqrt((z[0] ** 2).sum() * (z[b] ** 2).sum()) for b in range(1, arms)]
    r = 0.5 * sum(products) / sum(sizes) if runs >= 5 else 0.0
    rows = {
        (b, g): (right[b] - right[0])[:, group == g].mean(axis=0) for b in range(1, arms) for g in range(3)
    }
    squares, absolutes = (sum(f(x).sum() for x in rows.values()) for f in (np.square, np.abs))
    size = 0.5 + 0.5 * (squares + 2) / (absolutes + 2)
    limits = {}
    for (b, g), x in rows.items():
        two_arms = v[0, g] + v[b, g] - 2 * r * np.sqrt(v[0, g] * v[b, g])
        paired = (d * (w[0, g] + w[b, g]) + (runs - 1) * (values[b] - values[0])[:, g].var(ddof=1)) / dof
        variance, floor = max(two_arms, paired) / runs, (e[0, g] + e[b, g]) / runs
        s = ((x**2).sum() + 2 * size) / (np.abs(x).sum() + 2)
        of_rows = max(s * np.abs(x).mean(), (x**2).mean()) - x.mean() ** 2
        of_rows = max(of_rows, 1 / (n[g] * runs)) / n[g]
        shift = max(variance - floor, 0)
        share = min(max(variance, floor) / (of_rows + shift), 1)
        q = 1 / dof if runs < 5 else (v[0, g] ** 2 + v[b, g] ** 2) / dof / (v[0, g] + v[b, g]) ** 2
        level = -np.expm1(np.log1p(-ALPHA) / (3 * (arms - 1)))
        c = stats.t.isf(level / 2, 1 / (share**1.5 * q))
        low, high = (float(s * t) for t in tango(x.mean() / s, np.abs(x).mean() / s, float(n[g]), c))
        limits[table.arms[b].name, "abc"[g]] = [
            x.mean() - np.hypot(x.mean() - low, c * np.sqrt(shift)),
            x.mean() + np.hypot(high - x.mean(), c * np.sqrt(shift)),
        ]
    return limits


@pytest.mark.parametrize("metric", ["accuracy", "true_positive_rate"])
@pytest.mark.parametrize("runs", [3, 5])
def test_limits_from_the_rows(runs, metric, monkeypatch):
    monkeypatch.setattr("evenhand.judge.core.families.MAX_MATRIX_ELEMENTS", 0)  # Sidak's critical value
    table = predictions(runs)
    expected = by_hand(table, table.label >= (metric != "accuracy"))
    rows, _ = comparisons(table, (metric,))
    judged = [r for r in rows if r["group"]]
    assert len(judged) == 6
    for row in judged:
        low, high = expected[row["candidate"], row["group"]]
        assert [row["low"], row["high"]] == pytest.approx([low, high], abs=2e-6)
        assert row["unit"] == "rows and runs"


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_from_three_runs_on_verdicts_are_about_the_method(runs):
    rows, verdict = comparisons(predictions(runs))
    assert {r["unit"] for r in rows} == {"rows" if runs < 3 else "rows and runs"}
    assert verdict["about"] == ("these runs" if runs < 3 else "the method")
    assert ("need at least 3 runs of each arm" in verdict["sentence"]) == (runs < 3)


def test_other_metrics_take_five_runs():
    rows, verdict = comparisons(predictions(4), ("accuracy", "f1"))
    assert {(r["metric"], r["unit"]) for r in rows} == {("accuracy", "rows and runs"), ("f1", "rows")}
    assert "need at least 5 runs of each arm" in verdict["sentence"]


def test_a_rate_and_its_complement_mirror_each_other():
    rows, _ = comparisons(predictions(), ("true_positive_rate", "false_negative_rate"))
    limits = {(r["candidate"], r["group"], r["metric"]): (r["low"], r["high"]) for r in rows}
    alone, _ = comparisons(predictions(), ("true_positive_rate",))
    assert limits
    for (candidate, group, metric), (low, high) in limits.items():
        if metric == "true_positive_rate":
            mirrored = limits[candidate, group, "false_negative_rate"]
            assert mirrored == pytest.approx((-high, -low), abs=1e-12)
    for row in alone:
        both = limits[row["candidate"], row["group"], "true_positive_rate"]
        assert both == pytest.approx((row["low"], row["high"]), abs=1e-12)


def test_weights_of_one_size_change_nothing():
    table = predictions()
    heavy = np.full(len(table.label), 3.0)
    weighted = dataclasses.replace(table, weight=heavy, weight_squared=heavy**2, weighted=True)
    for a, b in zip(comparisons(table)[0], comparisons(weighted)[0], strict=True):
        assert [a["low"], a["high"]] == pytest.approx([b["low"], b["high"]], abs=3e-3)


def test_clusters_of_equal_rows_count_once():
    table = predictions()
    twice = np.repeat(np.arange(len(table.label)), 2)
    doubled = dataclasses.replace(
        table,
        label=table.label[twice],
        arms=tuple(dataclasses.replace(a, prediction=a.prediction[:, twice]) for a in table.arms),
        attributes=tuple(a.at(twice) for a in table.attributes),
        count=np.ones(len(twice)),
        weight=np.ones(len(twice)),
        weight_squared=np.ones(len(twice)),
        cluster=twice,
    )
    for a, b in zip(comparisons(table)[0], comparisons(doubled)[0], strict=True):
        assert [a["low"], a["high"]] == pytest.approx([b["low"], b["high"]], rel=0.05, abs=3e-3)


def test_more_runs_settle_what_flips_leave_open():
    """Without any shifts, variation between runs is flips, which the variance over rows contains."""
    rows, _ = comparisons(predictions(shift=0.0, common=0.3, seed=1), margin=0.03)
    needed = [r["runs_to_settle"] for r in rows if r["verdict"] == "undecided"]
    assert len(needed) > 3
    assert sum(n is not None and n > 5 for n in needed) > len(needed) / 2
    assert all(n is None or n > 0 for n in needed)


def test_a_row_has_the_parts_of_its_variance():
    """The limits follow from them where rows are many; without runs there are no parts of runs."""
    rows, _ = comparisons(predictions(common=0.6))
    assert len(rows) == 8
    for r in rows:
        v, x = r["row_variance"], r["run_variance"]
        assert 0 < r["flip_variance"] <= v
        assert 0 < r["reference_share"] < 1
        level = 2 * stats.norm.sf(r["critical"])
        half = stats.t.isf(level / 2, r["run_dof"]) * np.sqrt(v + x)
        assert half == pytest.approx((r["high"] - r["low"]) / 2, rel=0.06)
        if r["harm_critical"] is None:
            continue
        level = 2 * stats.norm.sf(r["harm_critical"])
        half = stats.t.isf(level / 2, r["run_dof"]) * np.sqrt(v + x)
        assert half == pytest.approx(r["difference"] - r["harm_limit"], rel=0.1)
    [alone, *_] = comparisons(predictions(runs=2))[0]
    assert alone["row_variance"] > 0
    assert alone["flip_variance"] is alone["run_variance"] is alone["run_dof"] is None


def test_the_order_of_arms_and_groups_moves_nothing():
    table = predictions()
    turned = dataclasses.replace(table, arms=(table.arms[0], table.arms[2], table.arms[1]))
    one = {(r["candidate"], r["group"]): (r["low"], r["high"]) for r in comparisons(table)[0]}
    other = {(r["candidate"], r["group"]): (r["low"], r["high"]) for r in comparisons(turned)[0]}
    for key, limits in one.items():
        assert other[key] == pytest.approx(limits, abs=2e-3)  # draws of the joint distribution differ


@pytest.mark.parametrize("candidate", ["equal", "opposite", "constant"])
def test_runs_that_never_vary_have_intervals(candidate):
    """Equal runs show neither flips nor shifts; one more flip than observed keeps every width above 0."""
    table = predictions(arms=("full", "other"))
    answers = {"equal": table.label, "opposite": 1 - table.label, "constant": np.ones_like(table.label)}
    arms = (
        Arm("full", table.arms[0].runs, np.tile(table.label, (5, 1))),
        Arm("other", table.arms[0].runs, np.tile(answers[candidate], (5, 1))),
    )
    rows, _ = comparisons(
        dataclasses.replace(table, arms=arms), ("accuracy", "demographic_parity_difference")
    )
    judged = [r for r in rows if r["metric"] == "accuracy" and r["group"]]
    assert len(judged) == 3
    for row in judged:
        assert row["low"] < row["high"]
        assert row["low"] - 1e-12 <= row["difference"] <= row["high"] + 1e-12
        assert (row["p_adjusted"] < ALPHA) == (candidate != "equal")


def with_copy(table, share=0.02, seed=3):
    """The table with an arm that copies the runs of the first, but for a share of its answers."""
    rng = np.random.default_rng(seed)
    answers = table.arms[0].prediction
    moved = np.where(rng.random(answers.shape) < share, (answers + 1) % len(table.classes), answers)
    return dataclasses.replace(table, arms=(*table.arms, Arm("copy", table.arms[0].runs, moved)))


def test_a_copy_of_the_reference_is_compared_run_by_run():
    table = with_copy(predictions(runs=3))
    copy, original = table.arms[-1], table.arms[0]
    rows, _ = comparisons(table)
    widths = {r["group"]: r["high"] - r["low"] for r in rows if r["candidate"] == "copy" and r["group"]}
    others = dataclasses.replace(copy, runs=tuple(f"other {r}" for r in copy.runs))
    unpaired, _ = comparisons(dataclasses.replace(table, arms=(*table.arms[:-1], others)))
    for row in unpaired:
        if row["candidate"] == "copy" and row["group"]:
            assert widths[row["group"]] < 0.75 * (row["high"] - row["low"])
    assert original.runs == copy.runs


@pytest.mark.parametrize(
    ("metric", "classes"),
    [("accuracy", 2), ("selection_rate", 2), ("selection_rate", 3), ("true_positive_rate", 3)],
)
def test_flips_of_a_difference_by_hand(metric, classes):
    table = predictions(runs=4)
    if classes == 3:
        rng = np.random.default_rng(1)
        third = rng.random(len(table.label)) < 0.3
        arms = tuple(
            dataclasses.replace(
                a, prediction=np.where(third & (rng.random(a.prediction.shape) < 0.7), 2, a.prediction)
            )
            for a in table.arms
        )
        label = np.where(third, 2, table.label)
        table = dataclasses.replace(
            table, arms=arms, label=label, classes=("no", "yes", "may be"), positive=None
        )
    module = registry.load(METRICS, metric)
    [everything] = groups_of(None, table)
    for class_name, positive in classes_of(module.INFO, table):
        observed = [observe(module, arm, everything, table, positive) for arm in table.arms[:2]]
        arms = PairedArms(metric, module.INFO, class_name, everything, *observed, *table.arms[:2], table)
        below = np.ones(len(table.label)) if observed[0].denominator is None else observed[0].denominator
        answers = [
            arm.prediction == (table.label if metric == "accuracy" else positive) for arm in table.arms[:2]
        ]
        d = (answers[1].astype(float) - answers[0])[:, below > 0]
        residual = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
        n = d.shape[1]
        assert _flips_of_difference(arms, below) == pytest.approx(
            (residual**2).sum() / (n - 1) / 3 / n, rel=1e-12
        )

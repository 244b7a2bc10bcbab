"""Moderated variances over runs of metrics that are compared by influence values: log loss, AUC, F1 ..."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.simulate.shifts import World
from benchmarks.simulate.values import Case, coverage
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score

from evenhand import registry
from evenhand.judge.core.estimates import groups_of, observe
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.moderated import OF_VALUES, RunCells
from evenhand.tables.schema import Arm, Attribute, Columns, Predictions

ALPHA = 0.05
SIZES = (300, 160, 90)


def scored(runs=5, arms=("full", "lora", "head"), seed=0, *, copies=0.0):
    """Three groups; runs move the logits of single rows, and of whole groups. Copies share most of both."""
    rng = np.random.default_rng(seed)
    n, group = sum(SIZES), np.repeat(np.arange(3), SIZES)
    label = (rng.random(n) < 0.4).astype(np.int64)
    shared, first = rng.standard_normal(n), rng.standard_normal((runs, n))
    moved = 0.2 * rng.standard_normal((runs, 1))
    built = []
    for _ in arms:
        own = np.sqrt(copies) * first + np.sqrt(1 - copies) * rng.standard_normal((runs, n))
        shift = 0.2 * rng.standard_normal((runs, 1)) + 0.1 * rng.standard_normal((runs, 3))[:, group]
        shift = moved if copies else shift
        logit = (1.2 + shift) * (2 * label - 1) + 1.2 * shared + 0.7 * own
        p = 1 / (1 + np.exp(-logit))
        built.append((np.stack([1 - p, p], axis=2), (p > 0.5).astype(np.int64)))
    names = tuple(str(s) for s in range(runs))
    made = tuple(Arm(a, names, answer, score) for a, (score, answer) in zip(arms, built, strict=True))
    by = Attribute("race", "partition", ("a", "b", "c"), codes=group)
    one = np.ones(n)
    return Predictions(("no", "yes"), 1, label, made, (by,), one, one, one)


def comparisons(table, metric):
    settings = Settings(metrics=(metric,), primary=(metric,))
    rows = judge_predictions(table, Columns(), settings).to_dict()["comparisons"]
    return [r for r in rows if r["group"]]


def losses(score, label):
    return -np.log(np.take_along_axis(score, label[None, :, None].repeat(len(score), 0), 2)[..., 0])


def by_hand(cells, arms=3, runs=5):
    """Limits at Sidak's level, from [run, row] values of every arm and group: cells[arm][group]."""
    n = [cells[0][g].shape[1] for g in range(3)]
    values = np.array([[x.mean(axis=1) for x in of_arm] for of_arm in cells])  # arm, group, run
    observed = values.var(axis=2, ddof=1)
    phi = np.empty((arms, 3))
    for a in range(arms):
        for g, x in enumerate(cells[a]):
            residual = x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean()
            of_rows = x.mean(axis=0).var()
            phi[a, g] = (residual**2).sum() / (n[g] - 1) / (runs - 1) + of_rows / n[g] / runs
    e = phi / n

    def kappa(at):
        def excess(k):
            return np.mean([observed[c] / (e[c] + k * phi[c]) for c in at]) - 1

        return 0.0 if excess(0) <= 0 else optimize.brentq(excess, 0, 4, xtol=1e-13)

    of_arm = [kappa([(a, g) for g in range(3)]) for a in range(arms)]
    of_group = [kappa([(a, g) for a in range(arms)]) for g in range(3)]
    w = e + np.maximum(np.array(of_arm)[:, None], np.array(of_group)[None]) * phi
    d = 1 / (1 / 4 + 1 / ((arms - 1) * (runs - 1)))
    v, dof = (d * w + (runs - 1) * observed) / (d + runs - 1), d + runs - 1
    z = (values - values.mean(axis=2, keepdims=True)) / np.sqrt(v)[..., None]
    sizes = [np.sqrt((z[0] ** 2).sum() * (z[b] ** 2).sum()) for b in range(1, arms)]
    r = 0.5 * sum((z[0] * z[b]).sum() for b in range(1, arms)) / sum(sizes)
    limits = {}
    for b in range(1, arms):
        for g in range(3):
            x = (cells[b][g] - cells[0][g]).mean(axis=0)
            two_arms = v[0, g] + v[b, g] - 2 * r * np.sqrt(v[0, g] * v[b, g])
            spread = (values[b, g] - values[0, g]).var(ddof=1)
            paired = (d * (w[0, g] + w[b, g]) + (runs - 1) * spread) / dof
            variance, floor = max(two_arms, paired) / runs, (e[0, g] + e[b, g]) / runs
            of_rows, shift = x.var() / n[g], max(variance - floor, 0)
            share = min(max(variance, floor) / (of_rows + shift), 1)
            q = (v[0, g] ** 2 + v[b, g] ** 2) / dof / (v[0, g] + v[b, g]) ** 2
            free = 1 / (share**1.5 * q)
            level = -np.expm1(np.log1p(-ALPHA) / (3 * (arms - 1))) / 2
            of_row = stats.t.isf(level, min(free, n[g] - 1)) ** 2 * of_rows
            half = np.sqrt(of_row + stats.t.isf(level, free) ** 2 * shift)
            limits[("full", "lora", "head")[b], "abc"[g]] = x.mean() - half, x.mean() + half
    return limits


@pytest.mark.parametrize("metric", ["log_loss", "brier_score"])
def test_limits_from_the_rows(metric, monkeypatch):
    monkeypatch.setattr("evenhand.judge.core.families.MAX_MATRIX_ELEMENTS", 0)  # Sidak's critical value
    table = scored()
    group = table.attributes[0].codes
    each = [losses(arm.score, table.label) for arm in table.arms]
    if metric == "brier_score":
        each = [(1 - np.exp(-x)) ** 2 for x in each]
    expected = by_hand([[x[:, group == g] for g in range(3)] for x in each])
    rows = comparisons(table, metric)
    assert len(rows) == 6
    for row in rows:
        limits = expected[row["candidate"], row["group"]]
        assert [row["low"], row["high"]] == pytest.approx(limits, abs=2e-6)
        assert 0 < row["flip_variance"] <= row["row_variance"]
        assert 0 < row["reference_share"] < 1


def test_the_unit_of_a_value_does_not_matter():
    """A loss in another unit is one in nats times a factor, and so is its interval."""
    rng = np.random.default_rng(2)
    values = [0.4 + 0.03 * rng.standard_normal((4, 5)) for _ in range(3)]
    flips, rows = rng.uniform(1e-5, 1e-4, (3, 4)), rng.integers(100, 900, 4).astype(float)
    unknown, paired = np.full((3, 4), np.nan), np.ones(3, dtype=bool)
    cells = RunCells(values, flips, rows, np.arange(4), 0, paired, unknown, flips * 40, OF_VALUES)
    unit = 1e-3
    other = replace(
        cells, values=[unit * v for v in values], flips=unit**2 * flips, size=unit**2 * flips * 40
    )
    arm, column = np.repeat([1, 2], 4), np.tile(np.arange(4), 2)
    one, other = (c.differences(arm, column) for c in (cells, other))
    assert other.variance == pytest.approx(unit**2 * one.variance, rel=1e-9)
    assert other.dof == pytest.approx(one.dof, rel=1e-9)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "f1", "balanced_accuracy"])
def test_five_runs_are_moderated_and_four_are_not(metric):
    for runs in (4, 5):
        for row in comparisons(scored(runs), metric):
            assert row["unit"] == ("rows" if runs < 5 else "rows and runs")
            assert (row["flip_variance"] is not None) == (runs == 5)
            if runs == 4:
                t = stats.t.isf(stats.norm.sf(row["critical"]), row["row_dof"])
                assert row["high"] - row["low"] == pytest.approx(2 * t * np.sqrt(row["row_variance"]))


def test_precision_is_not_moderated():
    rows = comparisons(scored(), "precision")
    assert {(r["unit"], r["flip_variance"], r["run_dof"]) for r in rows} == {("rows and runs", None, 4.0)}


def test_flips_of_an_area_are_those_of_its_jackknife():
    """Without a row, the area moves by its influence, times n / (n - 1) of the rows with its label."""
    table = scored()
    group = groups_of(table.attributes[0], table)[2]
    label = table.label[group.rows]
    n, keep = len(label), ~np.eye(len(label), dtype=bool)
    of_label = np.bincount(label)[label]
    [arm, *_] = table.arms
    score = arm.score[:, group.rows, 1]
    moved = np.array([[roc_auc_score(label, x) - roc_auc_score(label[k], x[k]) for k in keep] for x in score])
    rest = (moved - moved.mean(axis=0)) * (of_label - 1) / of_label
    found = observe(registry.load(METRICS, "roc_auc"), arm, group, table, 1)
    assert found.flips == pytest.approx((rest**2).sum() / 4 * n / (n - 1), rel=1e-9)


def test_a_copy_of_the_reference_is_compared_run_by_run():
    """Other names of the runs do not show pairs, and the interval is several times as wide."""
    table = scored(arms=("full", "copy"), copies=0.98)
    copy = table.arms[1]
    others = dataclasses.replace(copy, runs=tuple(f"other {r}" for r in copy.runs))
    unpaired = comparisons(dataclasses.replace(table, arms=(table.arms[0], others)), "log_loss")
    for row, other in zip(comparisons(table, "log_loss"), unpaired, strict=True):
        assert row["high"] - row["low"] < 0.3 * (other["high"] - other["low"])


def test_an_arm_that_ranks_every_row_right_has_an_interval():
    """Its area is 1 in every run, and its rows have no influence."""
    table = scored(arms=("full", "lora"))
    score = np.stack([1.0 - table.label, 1.0 * table.label], axis=1)
    full = dataclasses.replace(table.arms[0], score=np.tile(score, (5, 1, 1)))
    rows = comparisons(dataclasses.replace(table, arms=(full, table.arms[1])), "roc_auc")
    assert len(rows) == 3
    for row in rows:
        assert row["low"] < row["difference"] < row["high"]
        assert row["low"] < 0


@pytest.mark.parametrize(
    ("case", "narrower"),
    [
        (Case("log_loss", World((200,) * 4, candidates=2)), 0.75),
        (Case("log_loss", World((300,) * 4, shifts="one group")), 1.0),
        (Case("balanced_accuracy", World((200,) * 4)), 0.85),
    ],
)
def test_limits_hold_and_are_narrower(case, narrower):
    """With even shifts, and where only one group has any."""
    found = coverage(case, 250)
    assert found["coverage"] >= 0.94 - 1.64 * np.sqrt(0.94 * 0.06 / 250)
    assert found["width / unmoderated"] < narrower

"""The shipped simulation, short: intervals must hold in worlds whose truth is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from benchmarks.simulate import coverage, shifts, translations
from benchmarks.simulate.worlds import World, draw

from evenhand.judge.core import estimates as counts
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.core.pairs import compare_arms, module_name
from evenhand.judge.metrics import accuracy, false_positive_rate, true_positive_rate

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CELL = {
    "groups": 8, "rows": 200, "between groups": 0, "between arms": 0, "rho": 0.5, "accuracy": 0.8,
    "base rate": 0.3, "runs": 1, "sigma": 0,
}  # fmt: skip


def cell(**axes):
    return {**CELL, **{k.replace("_", " "): v for k, v in axes.items()}}


pytestmark = pytest.mark.no_cover  # tracing makes simulations a third slower, and shows nothing new


@pytest.mark.parametrize(
    "axes",
    [
        {"groups": 2, "rows": 2000, "rho": 0.9},
        {"groups": 2, "rows": 30, "rho": 0.9, "between_arms": 0.1},
        {"groups": 8, "rows": 200, "rho": 0, "between_arms": 0.02},
        {"groups": 8, "rows": "unequal", "accuracy": 0.95, "base_rate": 0.05},
    ],
)
def test_primary_family_covers(axes):
    found = coverage.paired(cell(**axes), 2000, np.random.default_rng(5))
    assert found["coverage"] >= 0.93
    assert found["against Bonferroni"] <= 1
    if found["false alarms"] is not None:
        assert found["false alarms"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(
    "world",
    [
        shifts.World((200,) * 8, candidates=4),
        shifts.World((1500,) * 2, runs=3, common=0.9, metrics=1),
        shifts.World((400,) * 8, candidates=4, runs=3, shifts="one cell"),
        shifts.World((400,) * 8, pairing=-0.3),
    ],
)
def test_families_of_runs_that_shift_cover(world):
    found = shifts.coverage(world, 300)
    assert found["coverage"] >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 300)
    assert found["width / unmoderated"] < 0.8


def test_rows_only_intervals_do_not_cover_the_method():
    """What the unit is for: with variation between runs, one run's interval says little about the method."""
    world = coverage.world_of(cell(groups=2, rows=2000, sigma=0.3))
    m = draw(world, 400, np.random.default_rng(0))
    method = world.truth()[1] - world.truth()[0]
    half = 2.6 * np.sqrt(m.square[:, :, 0] / m.n[:, :, 0])
    assert (np.abs(m.difference[:, :, 0] - method) < half).all(axis=1).mean() < 0.8


@pytest.mark.parametrize("axes", [{"groups": 2, "rows": 200}, {"groups": 5, "rows": 60, "between_arms": 0.1}])
def test_disparities_cover(axes):
    found = coverage.disparity(cell(**axes), 300, np.random.default_rng(5))
    assert found["one arm"] >= 0.91
    assert found["two arms"] >= 0.91


def test_whole_audits_cover_and_seldom_raise_false_alarms():
    found = coverage.whole_audit(cell(groups=5, rows=80), 150, np.random.default_rng(5))
    assert found["coverage"] >= 0.9
    assert found["false alarms"] <= 0.1
    assert found["p agrees with interval"]


def test_a_planted_difference_is_called_harm():
    found = coverage.paired(cell(groups=2, rows=2000, between_arms=0.1), 200, np.random.default_rng(0))
    assert found["power"] > 0.95


@pytest.mark.parametrize("runs", [1, 5])
def test_moments_of_the_simulation_are_those_of_the_audit(runs):
    """The simulation's shortcut and the audit take the same moments from the same rows."""
    world = World((70, 40), (0.8, 0.7), (0.75, 0.8), runs=runs, sigma=0.2 * (runs > 1))
    p = world.rows(np.random.default_rng(0))
    group = counts.groups_of(p.attributes[0], p)[1]
    for metric in (accuracy, true_positive_rate, false_positive_rate):
        seen = [counts.observe(metric, arm, group, p, 1) for arm in p.arms]
        m = PairedArms(module_name(metric), metric.INFO, None, group, *seen, *p.arms, p)
        pair = compare_arms(m, 10, np.random.default_rng(0))
        rows = group.rows
        among = {
            "accuracy": slice(None),
            "true_positive_rate": p.label[rows] == 1,
            "false_positive_rate": p.label[rows] == 0,
        }[m.name]
        a, b = (arm.prediction[:, rows][:, among] for arm in p.arms)
        side = (
            (p.label[rows][among] == a, p.label[rows][among] == b)
            if m.name == "accuracy"
            else (a == 1, b == 1)
        )
        d = side[1].mean(axis=0) - side[0].mean(axis=0)
        assert pair.difference == pytest.approx(d.mean())
        estimate = pair.evidence.estimate
        assert estimate.absolute == pytest.approx(np.abs(d).mean())
        assert estimate.square == pytest.approx((d**2).mean())
        assert estimate.n == pytest.approx(len(d))
        each = side[1].mean(axis=1) - side[0].mean(axis=1)
        assert pair.run_variance == pytest.approx(each.var(ddof=1) / runs if runs > 1 else 0.0)


@pytest.mark.shared
def test_our_worlds_are_the_shared_ones():
    """Our vectorised worlds and the reference description agree in distribution."""
    if not (SHARED / "simulation.py").exists():
        pytest.skip("the shared simulation lies only beside a developer's checkout")
    spec = importlib.util.spec_from_file_location("reference_simulation", SHARED / "simulation.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["reference_simulation"] = module
    spec.loader.exec_module(module)
    theirs = module.World([300, 80], [0.8, 0.7], [0.75, 0.6], runs=3, rho=0.5, sigma=0.3)
    ours = World((300, 80), (0.8, 0.7), (0.75, 0.6), runs=3, rho=0.5, sigma=0.3)
    assert np.allclose(ours.truth()[1] - ours.truth()[0], theirs.truth(), atol=1e-9)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        t = theirs.draw(rng)
        right = (t["label"] == t["prediction"]).reshape(2, 3, 380).mean(axis=1)
        d = right[1] - right[0]
        found.append([d[:300].mean(), np.abs(d[:300]).mean(), (d[:300] ** 2).mean(), d[300:].mean()])
    m = draw(ours, 3000, rng)
    mine = np.stack(
        [m.difference[:, 0, 0], m.absolute[:, 0, 0], m.square[:, 0, 0], m.difference[:, 1, 0]], axis=1
    )
    error = np.std(found, axis=0) / np.sqrt(300) + np.std(mine, axis=0) / np.sqrt(3000)
    assert (np.abs(np.mean(found, axis=0) - mine.mean(axis=0)) < 4 * error).all()
    assert np.allclose(np.std(found, axis=0), np.std(mine, axis=0), rtol=0.2)


def test_numbers_of_translations_cover_where_two_rows_of_a_template_go_together():
    # Without clusters, or with normal intervals where few rows are wrong, some would cover less.
    found = translations.coverage((100, 1, 3.0, 0.0), 150)
    assert min(found[m] for m in (*translations.METRICS, *translations.FAMILIES)) >= 0.9

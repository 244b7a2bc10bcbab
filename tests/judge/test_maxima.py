"""Bounds and p-values of disparities: many at once, and limits that stay at 0."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import evenhand
from evenhand import registry
from evenhand.judge.core.disparities import bounds
from evenhand.judge.core.disparities.bounds import bound_and_test_maxima, bound_maxima
from evenhand.judge.core.disparities.inputs import Maximum
from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.forms import Rates
from evenhand.judge.stats.paired import ScorePaired

ALPHA = 0.05
NAMES = (
    "accuracy_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference_mean",
    "worst_group_accuracy",
)


def info_of(name):
    return registry.load("evenhand.judge.disparities", name).INFO


def rates(reference, candidate, n=60.0, runs=0, seed=0):
    """Rates of two arms, on rows of which a fifth differ; `runs` scatter about them."""
    value = np.array([*reference, *candidate], dtype=float)
    difference = np.array(candidate, dtype=float) - np.array(reference, dtype=float)
    rng = np.random.default_rng(seed)
    return Rates(
        value=value,
        n=np.full(len(value), n),
        correlation=np.eye(len(value)) * 0.5 + 0.5,
        runs=np.clip(value[:, None] + rng.normal(0, 0.02, (len(value), runs)), 0, 1) if runs else None,
        paired=ScorePaired(
            difference=difference,
            absolute=np.maximum(np.abs(difference), 0.2),
            square=np.maximum(np.abs(difference), 0.2),
            n=np.full(len(difference), n),
            variation=Variation(np.inf, np.zeros(len(difference)), np.inf),
            better=np.full(len(difference), np.nan),
            worse=np.full(len(difference), np.nan),
        ),
    )


def some(name, count, groups, runs, rng):
    """Differences of one disparity between two arms; the metrics of a disparity have rates of their own."""
    info = info_of(name)
    maxima = []
    for i in range(count):
        parts = tuple(rates(*rng.uniform(0.2, 0.9, (2, groups)), runs=runs, seed=i) for _ in info.of)
        maxima.append(Maximum(info, float(rng.normal(0, 0.2)), parts, (i, 7)))
    return maxima


@pytest.mark.parametrize("runs", [0, 5])
def test_many_at_once_are_each_what_they_are_alone(runs, monkeypatch):
    rng = np.random.default_rng(0)
    every = [m for name in NAMES for groups in (2, 4) for m in some(name, 3, groups, runs, rng)]
    every = [every[i] for i in rng.permutation(len(every))]
    alone = np.hstack([bound_and_test_maxima([m], ALPHA) for m in every])
    np.testing.assert_allclose(bound_and_test_maxima(every, ALPHA), alone, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(bound_maxima(every, ALPHA), alone[:3], rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(bounds, "MAX_MATRIX_ELEMENTS", 1)
    np.testing.assert_allclose(bound_and_test_maxima(every, ALPHA), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("runs", [0, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_p_value_is_the_level_at_which_0_is_reached(name, runs):
    rng = np.random.default_rng(1)
    info = info_of(name)
    equal, apart = (0.8, 0.8, 0.8), (0.8, 0.8, 0.2)
    worse = info.direction > 0
    maxima = []
    for _ in range(3):
        parts = tuple(rates(equal, np.array(apart) + rng.uniform(-0.1, 0.1, 3), runs=runs) for _ in info.of)
        maxima.append(Maximum(info, -0.5 if worse else 0.5, parts, (3,)))
    low, high, _, p = bound_and_test_maxima(maxima, ALPHA)
    assert (p < ALPHA).all()
    assert ((low > 0) | (high < 0)).all()
    for maximum, level in zip(maxima, p, strict=True):
        at_more, at_less = (bound_maxima([maximum], level * factor) for factor in (1.01, 0.99))
        near = 1 if worse else 0
        assert (at_more[near] < 0) if worse else (at_more[near] > 0)
        assert (at_less[near] >= 0) if worse else (at_less[near] <= 0)


def test_a_limit_that_stays_at_0_has_a_p_value():
    # The reference's ratio is 0, and so is its lower limit: over some levels, so is that of the difference.
    pair = rates((0, 0.2), (0.4, 0.45), n=20.0)
    maximum = Maximum(info_of("demographic_parity_ratio"), 0.8, (pair,), (5,))
    _, _, _, [p] = bound_and_test_maxima([maximum], ALPHA)
    low = [bound_maxima([maximum], level)[0][0] for level in (p * 0.5, p * 0.9, p * 1.1)]
    assert low[:2] == [0, 0]
    assert low[2] > 0


def test_equal_rates_give_no_warning_of_rounding():
    """The variance of a contrast of equal rates is 0, or by rounding just below it."""
    label, tile = np.random.default_rng(0).integers(0, 2, 200), partial(np.tile, reps=10)
    answers = np.concatenate([np.tile(label, 5), np.tile(1 - label, 5)])
    columns = {"example_id": tile(np.arange(200)), "label": tile(label), "prediction": answers}
    columns |= {"sex": tile(np.array(["a", "b"])[np.arange(200) % 2]), "arm": np.repeat(["x", "y"], 1000)}
    columns |= {"run": np.tile(np.repeat(np.arange(5), 200), 2)}
    result = evenhand.audit(columns, arm="arm", run="run", by="sex", primary="accuracy", reference="x")
    assert all(d["low"] <= d["value"] <= d["high"] for d in result.disparities if d["status"] == "ok")

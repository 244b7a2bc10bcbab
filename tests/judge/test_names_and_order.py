"""What arms, attributes and groups are called, and their order, changes no limit of a disparity."""

from __future__ import annotations

import numpy as np
import pytest

import evenhand

GROUPS = ("oak", "elm", "ash", "fir")
LIMITS = ("value", "low", "high", "p_value")


def table(runs=1):
    rng = np.random.default_rng(11)
    n = 600
    label, group = rng.integers(0, 2, n), rng.integers(0, len(GROUPS), n)
    told = {"example_id": np.arange(n), "label": label}
    for k, name in enumerate(GROUPS):
        told[f"tree_{name}"] = ((group == k) | (rng.random(n) < 0.1)).astype(int)
    told["plant"] = np.array(GROUPS)[group]
    whole = {name: np.tile(values, 2 * runs) for name, values in told.items()}
    whole["arm"] = np.repeat(["full", "lora"], n * runs)
    whole["run"] = np.tile(np.repeat(np.arange(runs), n), 2)
    score = np.clip(
        0.5 + 0.25 * (2 * whole["label"] - 1) + 0.3 * rng.standard_normal(len(whole["run"])), 0, 1
    )
    return whole | {"prediction": (score >= 0.5).astype(int), "score": score}


def judged(given, **more):
    found = evenhand.audit(given, **{"arm": "arm", "run": "run", **more}).to_dict()
    rows = [{k: row[k] for k in LIMITS} for row in found["disparities"]]
    wide = [row["high"] - row["low"] for row in rows if row["low"] is not None]
    assert len(wide) > 10
    assert min(wide) > 0.01
    return rows


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for key in LIMITS:
            assert a[key] == (None if b[key] is None else pytest.approx(b[key], abs=1e-9)), (key, a, b)


@pytest.mark.parametrize("runs", [1, 5])
def test_names_of_arms_and_attributes(runs):
    given = table(runs)
    other = {("kind" if k == "plant" else k): v for k, v in given.items()}
    other["arm"] = np.where(given["arm"] == "full", "alpha", "beta")
    same(judged(given, by=("plant",)), judged(other, by=("kind",)))


@pytest.mark.parametrize("runs", [1, 5])
def test_the_order_of_membership_columns(runs):
    given = table(runs)
    flags = [name for name in given if name.startswith("tree_")]
    rest = {name: values for name, values in given.items() if name not in flags}
    other = rest | {name: given[name] for name in reversed(flags)}
    same(judged(given, memberships=("tree_*",)), judged(other, memberships=("tree_*",)))


def test_names_of_groups_that_change_their_order():
    given = table()
    other = {**given, "plant": np.array([{"oak": "z", "elm": "y"}.get(p, p) for p in given["plant"]])}
    same(judged(given, by=("plant",)), judged(other, by=("plant",)))

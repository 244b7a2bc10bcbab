"""Worlds of several arms with known accuracies, for contrasts: shared rows, runs, groups."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, ndtri

from evenhand.tables.schema import Arm, Attribute, Predictions


def draw(accuracy, sizes, rng, *, runs=1, rho=0.5, sigma=0.0, shared=0.0, base_rate=0.5):
    """Predictions of arms with these accuracies by group.

    Args:
        accuracy: arm name -> accuracy by group.
        sizes: rows by group.
        rng: source of the draws.
        runs: of every arm.
        rho: correlation of the answers to a row.
        sigma: standard deviation over runs, on the logit scale.
        shared: share of that variance which all arms of a seed have in common.
        base_rate: share of positives.
    """
    group = np.repeat(np.arange(len(sizes)), sizes)
    label = (rng.random(len(group)) < base_rate).astype(np.int64)
    ease = np.sqrt(rho) * rng.standard_normal(len(group))
    together = np.sqrt(shared) * rng.standard_normal((runs, 1))
    names = tuple(str(s) for s in range(runs))
    arms = []
    for name, by_group in accuracy.items():
        u = together + np.sqrt(1 - shared) * rng.standard_normal((runs, 1))
        chance = expit(logit(np.asarray(by_group, dtype=float)) + sigma * u)
        own = np.sqrt(1 - rho) * rng.standard_normal((runs, len(group)))
        right = ease + own < ndtri(chance)[:, group]
        arms.append(Arm(name, names, np.where(right, label, 1 - label)))
    one = np.ones(len(group))
    by = (Attribute("grp", "partition", tuple(f"g{k}" for k in range(len(sizes))), group),)
    return Predictions(("0", "1"), 1, label, tuple(arms), by, one, one, one)


def mean_accuracy(p, sigma):
    """Expected accuracy over runs of an arm with accuracy p at the middle."""
    x, w = np.polynomial.hermite_e.hermegauss(60)
    return float((expit(logit(p) + sigma * x) * w / w.sum()).sum())

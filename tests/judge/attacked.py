"""Signals whose truth is known, and attacks written row by row."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy import stats

from evenhand.judge.attacks import Evidence

NORMAL = NormalDist()


def halves(models: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """[models, rows] each model's own random half."""
    member = np.zeros((models, rows), dtype=bool)
    for own in member:
        own[rng.permutation(rows)[: rows // 2]] = True
    return member


def gaussian(
    models: int, rows: int, *, gap: float, seed: int, spread: float = 0.0, views: int = 1
) -> Evidence:
    """Margins N(difficulty + gap m, 1) of random halves; the loss is that of the margin."""
    rng = np.random.default_rng(seed)
    member = halves(models, rows, rng)
    difficulty = spread * rng.standard_normal((rows, 1))
    margin = difficulty + gap * member[:, :, None] + rng.standard_normal((models, rows, views))
    return Evidence(member, np.arange(models), True, np.logaddexp(0, -margin), margin)


def slow_lira(e: Evidence, *, mode: str, variance: str, prior: float = 8.0) -> np.ndarray:
    """LiRA with a loop over targets, rows and views."""
    models, rows, views = e.margin.shape
    result = np.full((len(e.targets), rows), np.nan)
    for t, target in enumerate(e.targets):
        references = [r for r in range(models) if (r != target if e.shared else r not in e.targets)]
        pooled = {}
        for side in (True, False):
            for v in range(views):
                squares, freedom = 0.0, 0
                for i in range(rows):
                    values = [e.margin[r, i, v] for r in references if e.member[r, i] == side]
                    if values:
                        squares += sum((x - np.mean(values)) ** 2 for x in values)
                        freedom += len(values) - 1
                pooled[side, v] = squares / freedom if freedom else math.nan
        for i in range(rows):
            total = 0.0
            for v in range(views):
                x, side_of = e.margin[target, i, v], {}
                for side in (True, False):
                    values = [e.margin[r, i, v] for r in references if e.member[r, i] == side]
                    mean = np.mean(values) if values else math.nan
                    own = np.var(values, ddof=1) if len(values) > 1 else math.nan
                    if variance == "per_example":
                        used = own
                    elif variance == "global":
                        used = pooled[side, v]
                    else:
                        k = max(len(values) - 1, 0)
                        used = (prior * pooled[side, v] + (k * own if k else 0.0)) / (prior + k)
                    side_of[side] = mean, used
                (m1, v1), (m0, v0) = side_of[True], side_of[False]
                if mode == "online":
                    total += (-((x - m1) ** 2) / v1 - math.log(v1) + (x - m0) ** 2 / v0 + math.log(v0)) / 2
                else:
                    total += -stats.norm.logsf(x, m0, math.sqrt(v0))
            result[t, i] = total
    return result


def slow_rmia(e: Evidence, *, mode: str, gamma: float, a: float = 0.3) -> np.ndarray:
    """RMIA with a loop over targets and the whole matrix of ratios."""
    models, rows, _ = e.loss.shape
    p = np.exp(-e.loss.mean(axis=2))
    result = np.empty((len(e.targets), rows))
    for t, target in enumerate(e.targets):
        references = [r for r in range(models) if (r != target if e.shared else r not in e.targets)]
        ratio = np.empty(rows)
        for i in range(rows):
            kept = [p[r, i] for r in references if mode == "online" or not e.member[r, i]]
            mean = np.mean(kept) if kept else math.nan
            if mode == "offline":
                mean = ((1 + a) * mean + (1 - a)) / 2
            ratio[i] = p[target, i] / mean
        known = ratio[np.isfinite(ratio)]
        result[t] = [(r / known > gamma).mean() if np.isfinite(r) else math.nan for r in ratio]
    return result


def auc(score: np.ndarray, member: np.ndarray) -> float:
    """Share of (member, non-member) pairs in which the member scores higher, ties half."""
    inside, outside = score[member], score[~member]
    return float((inside[:, None] > outside).mean() + 0.5 * (inside[:, None] == outside).mean())

"""Worlds with known truth: two arms, several runs, groups, shared rows.

Run s of arm a answers row i of group g right when a latent normal, sqrt(rho) z_i + sqrt(1 - rho) e_ias,
lies below the quantile of p = expit(logit(accuracy_ag) + sigma u_as). Labels are Bernoulli(base rate) and
independent of it, so within a group TPR = TNR = accuracy. `draw` gives the moments that the audit takes from
rows, for many replicates at once; `rows` gives the rows of one replicate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.tables.schema import ABSENT, Arm, Attribute, Predictions

METRICS = ("accuracy", "true_positive_rate", "false_positive_rate")
UNEQUAL = (1000, 500, 200, 100, 60, 40, 30, 20)


@dataclass(frozen=True)
class World:
    """Sizes and accuracies by group of a reference and a candidate."""

    sizes: tuple[int, ...]
    reference: tuple[float, ...]
    candidate: tuple[float, ...]
    base_rate: float = 0.3
    runs: int = 1
    rho: float = 0.5
    sigma: float = 0.0

    def chances(self, rng: np.random.Generator, replicates: int) -> np.ndarray:
        """[replicates, arm, run, group] chance of a right answer of each run."""
        u = rng.standard_normal((replicates, 2, self.runs, 1))
        middle = logit(np.array([self.reference, self.candidate]))[None, :, None, :]
        return expit(middle + self.sigma * u)

    def truth(self) -> np.ndarray:
        """[arm, group] expected accuracy over runs."""
        x, w = np.polynomial.hermite_e.hermegauss(60)
        middle = logit(np.array([self.reference, self.candidate]))[:, :, None]
        return (expit(middle + self.sigma * x) * w / w.sum()).sum(axis=2)

    def rows(self, rng: np.random.Generator) -> Predictions:
        """One replicate as checked predictions, single rows."""
        group = np.repeat(np.arange(len(self.sizes)), self.sizes)
        label = (rng.random(len(group)) < self.base_rate).astype(np.int64)
        limit = ndtri(self.chances(rng, 1)[0])[:, :, group]
        shared = np.sqrt(self.rho) * rng.standard_normal(len(group))
        own = np.sqrt(1 - self.rho) * rng.standard_normal(limit.shape)
        answer = np.where(shared + own < limit, label, 1 - label)
        runs = tuple(str(s) for s in range(self.runs))
        arms = tuple(Arm(n, runs, a) for n, a in zip(("reference", "candidate"), answer, strict=True))
        names = tuple(f"g{k}" for k in range(len(self.sizes)))
        one = np.ones(len(group))
        by = (Attribute("grp", "partition", names, group),)
        return Predictions(("0", "1"), 1, label, arms, by, one, one, one)


def resplit(predictions: Predictions, rng: np.random.Generator, share: float = 0.2) -> Predictions:
    """The same examples, of which every run has drawn its own test part of this share."""
    runs, n = predictions.arms[0].prediction.shape
    drawn = rng.random((runs, n)).argsort(axis=1) < round(share * n)
    arms = tuple(replace(a, prediction=np.where(drawn, a.prediction, ABSENT)) for a in predictions.arms)
    rows = np.flatnonzero(drawn.any(axis=0))
    return replace(
        predictions,
        label=predictions.label[rows],
        arms=tuple(replace(a, prediction=a.prediction[:, rows]) for a in arms),
        attributes=tuple(a.at(rows) for a in predictions.attributes),
        count=predictions.count[rows],
        weight=predictions.weight[rows],
        weight_squared=predictions.weight_squared[rows],
        resplit=True,
    )


@dataclass(frozen=True)
class Moments:
    """[replicates, groups, metrics] what a paired comparison takes from rows."""

    n: np.ndarray
    difference: np.ndarray
    absolute: np.ndarray
    square: np.ndarray
    better: np.ndarray
    worse: np.ndarray
    run_variance: np.ndarray
    truth: np.ndarray


def draw(world: World, replicates: int, rng: np.random.Generator) -> Moments:
    """Moments of many replicates: from cell counts for single runs, else from rows in chunks."""
    if world.runs == 1:
        return _from_counts(world, replicates, rng)
    size = sum(world.sizes) * 2 * world.runs
    step = max(1, min(replicates, 20_000_000 // size))
    parts = [_from_rows(world, min(step, replicates - i), rng) for i in range(0, replicates, step)]
    return Moments(*(np.concatenate([getattr(p, f) for p in parts]) for f in Moments.__dataclass_fields__))


def _from_counts(world: World, replicates: int, rng: np.random.Generator) -> Moments:
    chance = world.chances(rng, replicates)[:, :, 0, :]
    a, b = chance[:, 0], chance[:, 1]
    both = _both(a, b, world.rho)
    cells = np.stack([both, a - both, b - both, 1 - a - b + both], axis=-1).clip(0, 1)
    cells /= cells.sum(axis=-1, keepdims=True)
    positive = rng.binomial(np.array(world.sizes), world.base_rate, size=a.shape)
    among = rng.multinomial(positive, cells)
    others = rng.multinomial(np.array(world.sizes) - positive, cells)
    counts = np.stack([among + others, among, others], axis=2).astype(float)
    n = counts.sum(axis=-1)
    worse, better = counts[..., 1].copy(), counts[..., 2].copy()
    worse[..., 2], better[..., 2] = counts[..., 2, 2], counts[..., 2, 1]
    sign = np.array([1.0, 1.0, -1.0])
    with np.errstate(invalid="ignore"):
        difference, absolute = (better - worse) / n, (better + worse) / n
    truth = (b - a)[..., None] * sign
    return Moments(n, difference, absolute, absolute, better, worse, np.zeros_like(n), truth)


def _both(a: np.ndarray, b: np.ndarray, rho: float) -> np.ndarray:
    """P(both right), by Gauss-Hermite quadrature over the shared part."""
    if rho == 0:
        return a * b
    x, w = np.polynomial.hermite_e.hermegauss(80)
    ta, tb = (ndtri(v)[..., None] - np.sqrt(rho) * x for v in (a, b))
    scale = np.sqrt(1 - rho)
    return (ndtr(ta / scale) * ndtr(tb / scale) * w).sum(axis=-1) / w.sum()


def _from_rows(world: World, replicates: int, rng: np.random.Generator) -> Moments:
    sizes, runs = np.array(world.sizes), world.runs
    group = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    chance = world.chances(rng, replicates)
    limit = ndtri(chance).astype(np.float32)
    label = rng.random((replicates, len(group)), dtype=np.float32) < world.base_rate
    shared = np.float32(np.sqrt(world.rho)) * rng.standard_normal(label.shape, dtype=np.float32)
    scale = np.float32(np.sqrt(1 - world.rho))
    each = np.zeros((replicates, 2, runs, len(sizes), 3))
    right = np.zeros((2, replicates, len(group)), dtype=np.float32)

    def by_group(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, starts, axis=1, dtype=np.float64)

    def by_label(values: np.ndarray) -> np.ndarray:
        everyone, among = by_group(values), by_group(values * label)
        return np.stack([everyone, among, everyone - among], axis=-1)

    for arm in range(2):
        for run in range(runs):
            own = scale * rng.standard_normal(label.shape, dtype=np.float32)
            hit = (shared + own < limit[:, arm, run][:, group]).astype(np.float32)
            right[arm] += hit
            each[:, arm, run] = by_label(hit)
    d = (right[1] - right[0]) / runs
    n = by_label(np.ones_like(d))
    sign = np.array([1.0, 1.0, -1.0])
    with np.errstate(invalid="ignore"):
        between = (each[:, 1] - each[:, 0]) / n[:, None]
        mean, absolute, square = (by_label(v) / n for v in (d, np.abs(d), d**2))
    nothing = np.full_like(n, np.nan)
    if runs < MIN_RUNS:  # these very runs: what their own chances would give on endless rows
        accuracy, spread = chance.mean(axis=2).swapaxes(0, 1), np.zeros_like(n)
    else:
        accuracy, spread = world.truth()[:, None], between.var(axis=1, ddof=1) / runs
    truth = np.broadcast_to((accuracy[1] - accuracy[0])[..., None] * sign, n.shape)
    return Moments(n, mean * sign, absolute, square, nothing, nothing, spread, truth)

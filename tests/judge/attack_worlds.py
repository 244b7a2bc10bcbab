"""A world of attacks whose truth is known: scores of rows that are hard or easy, in targets that leak more or less.

A row's score in a target is its difficulty N(base_g, tau) plus, for a member, gap_g + N(0, wave) of the target,
plus N(0, 1). Rows and targets are both draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from evenhand.judge.counts import Group
from evenhand.judge.privacy.observe import Scored, Seen, observe
from tests.judge.attacked import halves


@dataclass(frozen=True)
class World:
    """Shares, difficulty and leakage of groups, for two arms."""

    shares: tuple[float, ...] = (0.6, 0.3, 0.1)
    base: tuple[float, ...] = (0.0, 0.3, -0.3)
    gaps: tuple[tuple[float, ...], tuple[float, ...]] = ((1.0, 1.0, 1.0), (0.6, 0.8, 1.2))
    tau: float = 1.0
    wave: float = 0.1

    def truth(self, arm: int, f: float) -> dict[str, np.ndarray]:
        """[1 + G] the AUC and the true positive rate at f, overall and by group, over rows and targets."""
        sigma = np.hypot(1, self.tau)
        base, gaps, w = np.array(self.base), np.array(self.gaps[arm]), np.array(self.shares)
        low, high = -30.0, 30.0
        for _ in range(80):
            c = (low + high) / 2
            low, high = (c, high) if w @ ndtr((base - c) / sigma) > f else (low, c)
        spread = np.hypot(sigma, self.wave)
        tpr = ndtr((base + gaps - c) / spread)
        auc = ndtr(gaps / np.hypot(sigma * np.sqrt(2), self.wave))
        pairs = ndtr((base[:, None] + gaps[:, None] - base[None, :]) / np.hypot(sigma * np.sqrt(2), self.wave))
        return {"auc": np.array([w @ pairs @ w, *auc]), "tpr": np.array([w @ tpr, *tpr])}


def draw(world: World, targets: int, rows: int, rng: np.random.Generator, f: float, z: float) -> tuple[Seen, Seen, list[Group]]:
    """Both arms on the same rows and training sets, observed; rows of each group."""
    code = rng.choice(len(world.shares), rows, p=world.shares)
    member = halves(targets, rows, rng)
    groups = [Group(None, None, np.arange(rows), rows)]
    for g in range(len(world.shares)):
        at = np.flatnonzero(code == g)
        groups.append(Group("g", str(g), at, len(at)))
    difficulty = world.tau * rng.standard_normal(rows)
    seen = []
    for arm, name in enumerate("ab"):
        gap = np.array(world.gaps[arm])[code] + world.wave * rng.standard_normal((targets, 1))
        own = np.sqrt(0.5) * difficulty + np.sqrt(0.5) * world.tau * rng.standard_normal(rows)
        scores = np.array(world.base)[code] + own + gap * member + rng.standard_normal((targets, rows))
        runs = tuple(map(str, range(targets)))
        seen.append(observe(Scored(name, "loss", runs, scores, member), groups, (f,), z))
    return seen[0], seen[1], groups

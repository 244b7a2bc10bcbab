"""`python -m benchmarks.simulate.attacks`: do the intervals of an attack hold, over rows and attacked runs?

A row's score in a target is its difficulty N(base_g, tau) plus, for a member, gap_g + N(0, wave) of the
target, plus N(0, 1). Rows and targets are both draws; the truth is known in closed form. Into
benchmarks/results/attack_simulation.json and docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from benchmarks.simulate.tables import simulate
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.compare import build_comparisons
from evenhand.judge.privacy.observe import AttackEstimates, Scored, observe
from evenhand.judge.privacy.rates import limits
from evenhand.judge.privacy.settings import AUC, PrivacySettings, at_fpr
from evenhand.judge.stats.quantiles import z_of
from evenhand.tables.schema import Attribute

Z = float(z_of(0.05))


def halves(models: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """[models, rows] each model's own random half."""
    member = np.zeros((models, rows), dtype=bool)
    for own in member:
        own[rng.permutation(rows)[: rows // 2]] = True
    return member


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
        pairs = ndtr(
            (base[:, None] + gaps[:, None] - base[None, :]) / np.hypot(sigma * np.sqrt(2), self.wave)
        )
        return {"auc": np.array([w @ pairs @ w, *auc]), "tpr": np.array([w @ tpr, *tpr])}


def draw(
    world: World, targets: int, rows: int, rng: np.random.Generator, f: float, z: float
) -> tuple[AttackEstimates, AttackEstimates, list[Group]]:
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


#: targets, rows, false positive rate, tau, wave. One to four targets are these very models: no wave.
CELLS = [
    *((t, n, f, 1.0, 0.0) for t in (1, 3) for n, f in ((1000, 0.01), (4000, 0.01), (4000, 0.001))),
    (1, 400, 0.05, 1.0, 0.0),
    *((t, n, f, 1.0, 0.2) for t in (5, 16) for n, f in ((1000, 0.01), (2000, 0.001))),
    *((t, 1000, 0.01, tau, wave) for t in (5, 16) for tau, wave in ((3.0, 0.2), (0.0, 0.0), (1.0, 0.5))),
]


def coverage(cell: tuple[int, int, float, float, float], replicates: int, seed: int = 0) -> dict:
    """Pointwise coverage of rates (the least over groups) and of the whole primary family of comparisons."""
    targets, rows, f, tau, wave = cell
    world = World(tau=tau, wave=wave)
    settings = PrivacySettings(fprs=(f,), primary=(AUC, at_fpr(f)))
    truth = [world.truth(arm, f) for arm in (0, 1)]
    told = {"auc": AUC, "tpr": at_fpr(f)}
    held: dict[str, list] = {key: [] for key in ("auc", "tpr", "family", "auc width", "tpr width")}
    for r in range(replicates):
        a, b, groups = draw(world, targets, rows, np.random.default_rng((seed, r)), f, Z)
        for key, metric in told.items():
            bounds = [limits(a, a.leakage[metric, g], metric, g, 0.05)[:2] for g in range(len(groups))]
            held[key].append([low <= t <= high for (low, high), t in zip(bounds, truth[0][key], strict=True)])
            held[f"{key} width"].append(bounds[0][1] - bounds[0][0])
        ok = True
        for row in build_comparisons([(a, b)], groups, (Attribute("g", "partition", ("0",)),), settings):
            if row.family == "primary" and row.status == "ok":
                g = [str(group.name) for group in groups].index(row.group)
                key = "auc" if row.metric == AUC else "tpr"
                ok &= bool(row.low <= truth[1][key][g] - truth[0][key][g] <= row.high)
        held["family"].append(ok)
    return {
        "targets": targets,
        "rows": rows,
        "fpr": f,
        "tau": tau,
        "wave": wave,
        "auc": round(float(np.mean(held["auc"], axis=0).min()), 4),
        "tpr": round(float(np.mean(held["tpr"], axis=0).min()), 4),
        "family": round(float(np.mean(held["family"])), 4),
        "auc width": round(float(np.mean(held["auc width"])), 4),
        "tpr width": round(float(np.mean(held["tpr width"])), 4),
        "replicates": replicates,
    }


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    lines = [
        f"`python -m benchmarks.simulate.attacks`: {cells[0]['replicates']:,} replicates per cell, three "
        "groups of 60, 30 and 10 % of the rows, unlike in difficulty (sd tau) and leakage; targets differ "
        "with sd wave. Coverage of nominal 95 %: pointwise for rates (the least of all rows and the groups), "
        "at once for the primary family (AUC and TPR, three groups). Widths are those over all rows.",
        "",
        "| targets | rows | FPR | tau | wave | AUC | TPR | family | width of AUC | of TPR |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    keys = ("targets", "rows", "fpr", "tau", "wave", "auc", "tpr", "family", "auc width", "tpr width")
    lines += ["| " + " | ".join(f"{c[k]:g}" for k in keys) + " |" for c in cells]
    return "\n".join(lines)


if __name__ == "__main__":
    simulate("attack simulation", CELLS, coverage, render, __doc__)

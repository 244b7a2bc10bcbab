"""`python -m benchmarks.simulate.shifts`: do intervals hold when whole runs shift?

Run s of arm a answers row i of group g right when a latent normal, which all models share in part, is below a
limit that shifts with the run: for all groups alike, and for each group. Shifts are equal in all cells, or
differ between groups or arms; they are normal, heavy-tailed, or fail in 8 % of the runs. Replicates pass the
audit's own variances (`judge/stats/moderated.py`) and intervals, at the critical value of the cell's mean
correlation. Beside them: today's width without moderation, that of an oracle which knows every variance, and
the power. Into benchmarks/results/run_shifts.json and docs/statistics.md.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtr, ndtri

from benchmarks.simulate.tables import simulate
from evenhand.judge.stats.combine import MIN_RUNS, Variation
from evenhand.judge.stats.family import Family, correlated
from evenhand.judge.stats.moderated import RunCells
from evenhand.judge.stats.paired import ScorePaired, usual_size
from evenhand.judge.stats.quantiles import z_of

ALPHA, MARGIN = 0.05, 0.02
UNEQUAL = (1000, 500, 200, 100, 60, 40, 30, 20)
#: Share of the latent normal's variance that the runs of an arm have in common besides.
SHARED_IN_ARM = 0.1
CHUNK = 8_000_000


@dataclass(frozen=True)
class World:
    """Groups, arms and how runs shift.

    Attributes:
        sizes: rows of each group.
        candidates: arms beside the reference.
        runs: of each arm.
        shifts: even, small, large, none, unequal, half of the groups, one group, reference or one cell.
        tail: `normal`, `t3` or `fail`.
        common: share of a shift's variance that all groups have in common.
        pairing: correlation of shifts of the same seed between reference and candidates.
        accuracy: of every arm and group, over rows and runs.
        loss: by how much all candidates are worse in the last group.
        metrics: of accuracy, and the rates among positive and negative labels.
        shared: share of the latent normal's variance that all models have in common.
        twins: share of what is left of it that runs of equal seeds have in common, as a model and its copy
            with rounded weights do.
    """

    sizes: tuple[int, ...]
    candidates: int = 1
    runs: int = 5
    shifts: str = "even"
    tail: str = "normal"
    common: float = 0.3
    pairing: float = 0.0
    accuracy: float = 0.85
    loss: float = 0.0
    metrics: int = 3
    shared: float = 0.75
    twins: float = field(default=0.0, repr=False)

    def deviation(self) -> np.ndarray:
        """[arm, group] standard deviation of shifts on the probit scale."""
        arms, groups = self.candidates + 1, len(self.sizes)
        sd = np.zeros((arms, groups))
        sd += {"even": 0.15, "small": 0.05, "large": 0.18, "reference": 0.067}.get(self.shifts, 0.0)
        if self.shifts == "unequal":
            sd += 0.15 * np.sqrt(np.linspace(1, 9, groups) / 5)
        if self.shifts == "half":
            sd[:, groups // 2 :] = 0.25
        if self.shifts == "one group":
            sd[:, -1] = 0.3
        if self.shifts == "reference":
            sd[0] *= 3
        if self.shifts == "one cell":
            sd[0, -1] = 0.3
        return sd

    def limits(self) -> np.ndarray:
        """[arm, group] limit whose mean over normal shifts gives the accuracy."""
        accuracy = np.full(self.deviation().shape, self.accuracy)
        accuracy[1:, -1] -= self.loss
        return ndtri(accuracy) * np.sqrt(1 + self.deviation() ** 2)

    def truth(self) -> np.ndarray:
        """[arm, group] expected accuracy over rows and runs."""
        sd = self.deviation()
        if self.tail == "normal":
            return ndtr(self.limits() / np.sqrt(1 + sd**2))
        rng = np.random.default_rng(11)
        shift = mixed(self, *(noise(self.tail, rng, 400_000) for _ in range(2)))
        return np.mean([ndtr(self.limits() + sd * x) for x in shift], axis=0)


def noise(tail: str, rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Random shifts of variance 1."""
    if tail == "t3":
        return rng.standard_t(3, shape) / np.sqrt(3)
    x = rng.standard_normal(shape)
    if tail == "fail":
        return (0.5 * x - 3.0 * (rng.random(shape) < 0.08)) / np.sqrt(0.25 + 9 * 0.08 * 0.92)
    return x


def mixed(world: World, common: np.ndarray, own: np.ndarray) -> np.ndarray:
    """A shift of all groups and one of a single group."""
    return np.sqrt(world.common) * common + np.sqrt(1 - world.common) * own


@dataclass(frozen=True)
class Moments:
    """What the audit takes from rows: [replicate, arm or candidate, column, ...]; columns as there."""

    rows: np.ndarray
    values: np.ndarray
    flips: np.ndarray
    flips_of_difference: np.ndarray
    difference: np.ndarray
    absolute: np.ndarray
    square: np.ndarray


def draw(world: World, replicates: int, rng: np.random.Generator) -> Moments:
    """Moments of some replicates."""
    arms, runs, groups = world.candidates + 1, world.runs, len(world.sizes)
    common = noise(world.tail, rng, (replicates, arms, runs, 1))
    own = noise(world.tail, rng, (replicates, arms, runs, groups))
    for part in (common, own):
        part[:, 1:] = world.pairing * part[:, :1] + np.sqrt(1 - world.pairing**2) * part[:, 1:]
    limit = world.limits()[:, None] + world.deviation()[:, None] * mixed(world, common, own)
    in_arms = min(SHARED_IN_ARM, 1 - world.shared) * (world.shared > 0)
    parts = []
    for group, size in enumerate(world.sizes):
        positive = np.arange(size) < round(0.4 * size)
        shared = np.sqrt(world.shared) * rng.standard_normal((replicates, 1, 1, size), dtype=np.float32)
        in_arm = np.sqrt(in_arms) * rng.standard_normal((replicates, arms, 1, size), dtype=np.float32)
        each = rng.standard_normal((replicates, arms, runs, size), dtype=np.float32)
        if world.twins:
            each[:, 1:] = np.sqrt(world.twins) * each[:, :1] + np.sqrt(1 - world.twins) * each[:, 1:]
            in_arm[:, 1:] = in_arm[:, :1]
        latent = shared + in_arm + np.float32(np.sqrt(1 - world.shared - in_arms)) * each
        right = latent < limit[..., group, None].astype(np.float32)
        for chosen in (np.ones(size, bool), positive, ~positive)[: world.metrics]:
            parts.append(column(right[..., chosen]))
    stacked = [np.stack([p[i] for p in parts], axis=2) for i in range(6)]
    rows = np.array([p[6] for p in parts], float)
    return Moments(rows, *stacked)


def column(right: np.ndarray) -> tuple:
    """Values, flips and the moments of differences of one metric in one group; [replicate, arm, run, row]."""
    _, _, runs, n = right.shape
    values = right.mean(axis=3)
    mean = right.mean(axis=2, dtype=np.float32)
    within = (mean * (1 - mean)).sum(axis=2, dtype=float) * runs - n * values.var(axis=2) * runs
    flips = np.maximum(within, 0) / ((n - 1) * (runs - 1)) / n
    d = mean[:, 1:] - mean[:, :1]
    each = right[:, 1:].astype(np.int8) - right[:, :1]
    of_runs = each.mean(axis=3)
    within = (each**2).sum(axis=(2, 3), dtype=float) - runs * (d.astype(float) ** 2).sum(axis=2)
    within -= n * of_runs.var(axis=2) * runs
    between = np.maximum(within, 0) / ((n - 1) * (runs - 1)) / n
    flips_of_difference = np.concatenate([np.full_like(flips[:, :1], np.nan), between], axis=1)
    difference = d.mean(axis=2, dtype=float)
    return (
        values,
        flips,
        flips_of_difference,
        difference,
        np.abs(d).mean(axis=2, dtype=float),
        (d**2).mean(axis=2, dtype=float),
        n,
    )


def family_of(differences: np.ndarray, groups: int, metrics: int, *, side: float = 1.0) -> Family:
    """The joint distribution of a world's family, from some replicates' differences.

    Args:
        differences: [replicate, candidate, column].
        groups: of the world.
        metrics: columns of a group.
        side: on which one-sided bounds lie.
    """
    flat = differences.reshape(len(differences), -1)
    total = np.corrcoef(flat.T) if flat.shape[1] > 1 else np.eye(1)
    code = np.tile(np.repeat(np.arange(groups), metrics), differences.shape[1])
    # Groups have no rows in common. An audit takes correlations from rows only, so shifts dilute them.
    total = np.where(code[:, None] == code[None, :], np.nan_to_num(total) * 0.7, 0.0)
    np.fill_diagonal(total, 1.0)
    return correlated(total, np.random.default_rng(0), side)


def moderated(m: Moments, at: int, groups: int) -> tuple[ScorePaired, ScorePaired]:
    """Estimates of replicate `at` without variances over runs, and with moderated ones."""
    candidates, columns = m.difference.shape[1:]
    runs = m.values.shape[3]
    arm, where = np.repeat(np.arange(1, candidates + 1), columns), np.tile(np.arange(columns), candidates)
    difference, absolute, square = (v[at].reshape(-1) for v in (m.difference, m.absolute, m.square))
    unknown, none = np.full(len(arm), np.nan), np.zeros(len(arm))
    group = np.repeat(np.arange(groups), columns // groups)
    paired = np.ones(candidates + 1, bool)
    cells = RunCells(list(m.values[at]), m.flips[at], m.rows, group, 0, paired, m.flips_of_difference[at])
    plain = ScorePaired(
        difference, absolute, square, m.rows[where], Variation(np.inf, none, np.inf), unknown, unknown
    )
    usual = replace(plain, pseudo_size=usual_size(plain))
    part = cells.differences(arm, where).join(usual.row_variance(runs), np.full(len(arm), np.inf))
    return plain, replace(usual, variation=part)


def intervals(m: Moments, at: int, groups: int, pointwise: float) -> tuple[np.ndarray, ...]:
    """Limits of replicate `at`: moderated, and as they are without."""
    plain, estimates = moderated(m, at, groups)
    runs = m.values.shape[3]
    between = m.values[at][1:] - m.values[at][:1]
    spread = (between.var(axis=2, ddof=1) / runs).reshape(-1)
    before = replace(plain, variation=Variation(np.inf, spread, runs - 1.0))
    return (*estimates.interval(pointwise), *before.interval(pointwise))


def coverage(world: World, replicates: int) -> dict:
    """Figures of one world; a quarter of the replicates where a loss is to be detected."""
    replicates = replicates // 4 if world.loss else replicates
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    groups = len(world.sizes)
    pilot = np.concatenate([draw(world, 40, rng).difference for _ in range(10)])
    pointwise = family_of(pilot, groups, world.metrics).pointwise(ALPHA)
    truth = world.truth()
    true = np.repeat((truth[1:] - truth[:1]), world.metrics, axis=1).reshape(-1)
    inside, width, before, harm, harm_before, errors, alarm = [], [], [], [], [], [], []
    step = max(1, CHUNK // (sum(world.sizes) * (world.candidates + 1) * world.runs))
    for start in range(0, replicates, step):
        m = draw(world, min(step, replicates - start), rng)
        for at in range(len(m.difference)):
            low, high, low_before, high_before = intervals(m, at, groups, pointwise)
            inside.append(((low <= true + 1e-9) & (true - 1e-9 <= high)).all())
            wrong = ((high < 0) & (low <= -MARGIN)) | ((low > 0) & (high >= MARGIN))
            alarm.append((wrong & (np.abs(true) < 1e-9)).any())
            width.append((high - low).mean())
            before.append((high_before - low_before).mean())
            last = -world.metrics  # accuracy in the last group, of the last candidate
            harm.append(high[last] < 0)
            harm_before.append(high_before[last] < 0)
            errors.append(m.difference[at].reshape(-1) - true)
    deviation = np.sqrt(np.mean(np.square(errors), axis=0))
    oracle = float((2 * z_of(pointwise) * deviation).mean())
    return {
        "groups": groups,
        "rows": "unequal" if len(set(world.sizes)) > 1 else world.sizes[0],
        "candidates": world.candidates,
        "runs": world.runs,
        "shifts": world.shifts,
        "world": describe(world),
        "coverage": round(float(np.mean(inside)), 4),
        "false alarms": round(float(np.mean(alarm)), 4),
        "width": round(float(np.mean(width)), 4),
        "width / unmoderated": round(float(np.mean(width) / np.mean(before)), 3),
        "width / oracle": round(float(np.mean(width)) / oracle, 3),
        "loss": world.loss,
        "detected": round(float(np.mean(harm)), 3),
        "detected before": round(float(np.mean(harm_before)), 3),
        "replicates": replicates,
    }


def describe(world: World) -> str:
    """What is unusual about a world."""
    usual = World(world.sizes)
    named = {"tail": "{} tails", "common": "{} in common", "pairing": "pairing {}", "accuracy": "accuracy {}"}
    parts = [t.format(getattr(world, f)) for f, t in named.items() if getattr(world, f) != getattr(usual, f)]
    return ", ".join(parts + (["accuracy alone"] if world.metrics == 1 else []))


def worlds() -> list[World]:
    """The grid."""
    found = [
        World((rows,) * groups, candidates=candidates)
        for groups, rows in ((2, 200), (2, 1000), (8, 30), (8, 200), (8, 1000), (20, 200))
        for candidates in (1, 4)
    ]
    found += [World(UNEQUAL, candidates=c) for c in (1, 4)]
    eight, faces = (600,) * 8, (400,) * 8
    found += [World(faces, candidates=c, runs=s) for s in (3, 4, 10) for c in (1, 4)]
    odd = ("none", "unequal", "half", "one group", "reference", "one cell")
    found += [World(eight, candidates=c, runs=s, shifts=k) for k in odd for c, s in ((1, 5), (4, 5), (4, 3))]
    found += [World(faces, candidates=4, runs=s, tail=t) for t in ("t3", "fail") for s in (3, 5)]
    found += [World(eight, runs=5, shifts="half", tail=t) for t in ("t3", "fail")]
    found += [World((1500,) * 2, runs=s, common=c, metrics=1) for c in (0.0, 0.9) for s in (3, 5)]
    found += [World((n,) * 8, accuracy=a) for a in (0.97, 0.6) for n in (100, 600)]
    found += [World(faces, pairing=p) for p in (-0.3, 0.3, 0.6, 0.9)]
    found += [World((1500,) * 2, pairing=p, metrics=1, runs=s) for p in (-0.3, 0.9) for s in (3, 5)]
    found += [
        World(
            UNEQUAL[:groups] if rows == "unequal" else (rows,) * groups,
            runs=runs,
            shifts="large",
            common=1.0,
            accuracy=accuracy,
            shared=shared,
        )
        for groups in (2, 8)
        for rows in (30, 200, 2000, "unequal")
        for shared in (0.0, 0.9)
        for accuracy in (0.8, 0.95)
        for runs in (3, 5)
    ]
    power = [(4, 1000, 1), (8, 1000, 4)]
    found += [
        World((n,) * g, candidates=c, runs=s, shifts=k, loss=loss, metrics=1)
        for g, n, c in power
        for s in (3, MIN_RUNS, 10)
        for k in ("none", "small", "even")
        for loss in (0.02, 0.05, 0.10)
    ]
    return found


def render(cells: list[dict]) -> str:
    """Tables as Markdown."""
    keys = ("groups", "rows", "candidates", "runs", "shifts", "world", "coverage", "false alarms", "width")
    keys += ("width / unmoderated", "width / oracle")
    short = (
        "groups",
        "rows",
        "candidates",
        "runs",
        "shifts",
        "loss",
        "detected before",
        "detected",
        "coverage",
    )
    grid = [c for c in cells if c["shifts"] == "large"]
    five = [c for c in cells if c["runs"] == MIN_RUNS]
    mean = {k: np.mean([c[k] for c in five]) for k in ("width / unmoderated", "width / oracle")}
    head = (
        f"`python -m benchmarks.simulate.shifts`: {cells[0]['replicates']:,} replicates of each of "
        f"{len(cells)} worlds, a quarter where a loss is to be detected. Least coverage "
        f"{min(c['coverage'] for c in cells if not c['loss']):.3f} (with a loss "
        f"{min(c['coverage'] for c in cells if c['loss']):.3f}), most false alarms "
        f"{max(c['false alarms'] for c in cells):.3f}. At five runs, on average "
        f"{mean['width / unmoderated']:.2f} of the width without moderation and "
        f"{mean['width / oracle']:.2f} of an oracle's, which knows every variance."
    )
    parts = [
        head,
        _table([c for c in cells if not c["loss"] and c not in grid], keys),
        "Shifts that all groups have in common (.18 on the probit scale), accuracies of .8 and .95, models "
        "whose errors are independent or nearly the same:",
        _table(summary(grid), ("groups", "rows", "runs", "worlds", "least coverage", "mean width / oracle")),
        "A true loss in one group, and how often it is detected:",
        _table([c for c in cells if c["loss"]], short),
    ]
    return "\n\n".join(parts)


def summary(cells: list[dict]) -> list[dict]:
    """One row for each number and size of groups and of runs."""
    by: dict[tuple, list[dict]] = {}
    for c in cells:
        by.setdefault((c["groups"], c["rows"], c["runs"]), []).append(c)
    return [
        {
            **dict(zip(("groups", "rows", "runs"), key, strict=True)),
            "worlds": len(members),
            "least coverage": min(c["coverage"] for c in members),
            "mean width / oracle": round(float(np.mean([c["width / oracle"] for c in members])), 3),
        }
        for key, members in by.items()
    ]


def _table(cells: list[dict], keys: tuple[str, ...]) -> str:
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(str(c[k]) for k in keys) + " |" for c in cells])


if __name__ == "__main__":
    simulate("run shifts", worlds(), coverage, render, __doc__)

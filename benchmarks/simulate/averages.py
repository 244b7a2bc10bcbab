"""`python -m benchmarks.simulate.averages`: do intervals of a method's arms on average hold?

Worlds are those of `shifts.py` with several candidates, of which the mean is compared with the reference: the
answers of equal runs are averaged, so that a run of the mean is one run of every candidate. Shifts of equal
runs may be common to the candidates (`together`), or to them and the reference (`pairing`); candidates may be
unlike. Beside it, the intervals of the candidates one by one. Into benchmarks/results/averages.json and
docs/statistics.md.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from benchmarks.simulate import shifts
from benchmarks.simulate.shifts import ALPHA, CHUNK, MARGIN, Moments
from benchmarks.simulate.tables import simulate
from evenhand.judge.stats.quantiles import z_of


@dataclass(frozen=True)
class World(shifts.World):
    """A world of several candidates, whose mean is compared.

    Attributes:
        together: share of a shift's variance that equal runs of all candidates have in common.
        unlike: difference of accuracy between the best and the worst candidate.
        worse: loss of the candidates on average, in all groups.
        calm: whether all candidates but the first shift a third as much.
    """

    candidates: int = 4
    together: float = 0.0
    unlike: float = 0.0
    worse: float = 0.0
    calm: bool = False

    def deviation(self) -> np.ndarray:
        """[arm, group] standard deviation of shifts on the probit scale."""
        sd = super().deviation()
        if self.calm:
            sd[2:] /= 3
        return sd

    def limits(self) -> np.ndarray:
        """[arm, group] limit whose mean over normal shifts gives the accuracy."""
        accuracy = np.full(self.deviation().shape, self.accuracy)
        spread = np.linspace(-0.5, 0.5, self.candidates) * self.unlike
        accuracy[1:] += spread[:, None] - self.worse
        return ndtri(accuracy) * np.sqrt(1 + self.deviation() ** 2)


def draw(world: World, replicates: int, rng: np.random.Generator) -> tuple[Moments, Moments]:
    """Moments of the mean of the candidates, and of every candidate."""
    arms, runs, groups = world.candidates + 1, world.runs, len(world.sizes)
    common = shifts.noise(world.tail, rng, (replicates, arms, runs, 1))
    own = shifts.noise(world.tail, rng, (replicates, arms, runs, groups))
    for part in (common, own):
        of_all = shifts.noise(world.tail, rng, (replicates, 1, *part.shape[2:]))
        part[:, 1:] = np.sqrt(world.together) * of_all + np.sqrt(1 - world.together) * part[:, 1:]
        part[:, 1:] = world.pairing * part[:, :1] + np.sqrt(1 - world.pairing**2) * part[:, 1:]
    limit = world.limits()[:, None] + world.deviation()[:, None] * shifts.mixed(world, common, own)
    in_arms = min(shifts.SHARED_IN_ARM, 1 - world.shared) * (world.shared > 0)
    of_mean, of_each = [], []
    for group, size in enumerate(world.sizes):
        positive = np.arange(size) < round(0.4 * size)
        shared = np.sqrt(world.shared) * rng.standard_normal((replicates, 1, 1, size), dtype=np.float32)
        in_arm = np.sqrt(in_arms) * rng.standard_normal((replicates, arms, 1, size), dtype=np.float32)
        each = rng.standard_normal((replicates, arms, runs, size), dtype=np.float32)
        latent = shared + in_arm + np.float32(np.sqrt(1 - world.shared - in_arms)) * each
        right = latent < limit[..., group, None].astype(np.float32)
        of_arms = right[:, 1:].mean(axis=1, keepdims=True, dtype=np.float32)
        mean = np.concatenate([right[:, :1], of_arms], axis=1)
        for chosen in (np.ones(size, bool), positive, ~positive)[: world.metrics]:
            of_each.append(shifts.column(right[..., chosen]))
            of_mean.append(column(mean[..., chosen]))
    return _stacked(of_mean), _stacked(of_each)


def _stacked(parts: list[tuple]) -> Moments:
    rows = np.array([p[6] for p in parts], float)
    return Moments(rows, *(np.stack([p[i] for p in parts], axis=2) for i in range(6)))


def column(answer: np.ndarray) -> tuple:
    """Like `shifts.column`, of answers between 0 and 1; [replicate, arm, run, row]."""
    n = answer.shape[3]
    answer = answer.astype(np.float64)
    values, mean = answer.mean(axis=3), answer.mean(axis=2)
    d = mean[:, 1:] - mean[:, :1]
    of_difference = flips_of(answer[:, 1:] - answer[:, :1])
    unknown = np.full_like(of_difference[:, :1], np.nan)
    differences = np.concatenate([unknown, of_difference], axis=1)
    absolute, square = np.abs(d).mean(axis=2), (d**2).mean(axis=2)
    return values, flips_of(answer), differences, d.mean(axis=2), absolute, square, n


def flips_of(answer: np.ndarray) -> np.ndarray:
    """[replicate, arm] variance of a run's value from flips, of answers [replicate, arm, run, row]."""
    _, _, runs, n = answer.shape
    values, mean = answer.mean(axis=3), answer.mean(axis=2)
    squares = (answer**2).sum(axis=(2, 3)) - runs * (mean**2).sum(axis=2)
    squares -= n * (values**2).sum(axis=2) - n * runs * values.mean(axis=2) ** 2
    return np.maximum(squares, 0) / ((n - 1) * (runs - 1)) / n


def coverage(world: World, replicates: int) -> dict:
    """Figures of one world."""
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    groups = len(world.sizes)
    pilot = [draw(world, 20, rng) for _ in range(15)]
    levels = []
    for i in (0, 1):
        family = shifts.family_of(np.concatenate([p[i].difference for p in pilot]), groups, world.metrics)
        levels.append(family.pointwise(ALPHA))
    truth = world.truth()
    true = np.repeat(truth[1:].mean(axis=0) - truth[0], world.metrics)
    inside, alarm, width, of_each, harm, harm_each, errors = [], [], [], [], [], [], []
    step = max(1, CHUNK // (sum(world.sizes) * (world.candidates + 1) * world.runs))
    for start in range(0, replicates, step):
        mean, each = draw(world, min(step, replicates - start), rng)
        for at in range(len(mean.difference)):
            low, high, *_ = shifts.intervals(mean, at, groups, levels[0])
            inside.append(((low <= true + 1e-9) & (true - 1e-9 <= high)).all())
            alarm.append((((high < 0) & (low <= -MARGIN)) | ((low > 0) & (high >= MARGIN))).any())
            width.append((high - low).mean())
            harm.append((high[:: world.metrics] < 0).mean())
            errors.append(mean.difference[at].reshape(-1) - true)
            low, high, *_ = shifts.intervals(each, at, groups, levels[1])
            of_each.append((high - low).mean())
            harm_each.append((high[:: world.metrics] < 0).mean())
    oracle = float((2 * z_of(levels[0]) * np.sqrt(np.mean(np.square(errors), axis=0))).mean())
    return {
        "groups": groups,
        "rows": "unequal" if len(set(world.sizes)) > 1 else world.sizes[0],
        "arms": world.candidates,
        "runs": world.runs,
        "shifts": world.shifts,
        "world": describe(world),
        "coverage": round(float(np.mean(inside)), 4),
        "false alarms": round(float(np.mean(alarm)), 4) if not world.worse else None,
        "width": round(float(np.mean(width)), 4),
        "width / single arms": round(float(np.mean(width) / np.mean(of_each)), 3),
        "width / oracle": round(float(np.mean(width)) / oracle, 3),
        "loss": world.worse,
        "detected": round(float(np.mean(harm)), 3),
        "detected arm by arm": round(float(np.mean(harm_each)), 3),
        "replicates": replicates,
    }


def describe(world: World) -> str:
    """What is unusual about a world."""
    parts = [shifts.describe(world)]
    parts += [f"{world.together} of shifts in common to the arms"] if world.together else []
    parts += [f"arms {world.unlike} apart"] if world.unlike else []
    parts += ["all arms but one calm"] if world.calm else []
    return ", ".join(p for p in parts if p)


def grid() -> list[World]:
    """The worlds."""
    eight, faces, large = (400,) * 8, (202, 120, 97, 71, 29), (1500,) * 2
    alone = {"metrics": 1}
    found = [
        World(eight, candidates=c, runs=r, together=t, **alone)
        for c in (2, 4)
        for r in (3, 5, 10)
        for t in (0.0, 0.9)
    ]
    both = (0.0, 0.9)
    found += [World(faces, candidates=8, runs=r, together=t, **alone) for r in (3, 5) for t in both]
    found += [World(shifts.UNEQUAL, together=t, **alone) for t in both]
    found += [
        World(large, candidates=8, runs=r, together=1.0, common=0.9, shifts=k, **alone)
        for r in (3, 5)
        for k in ("large", "none")
    ]
    odd = ("unequal", "half", "one group", "reference", "one cell")
    found += [World(eight, together=0.5, shifts=k, **alone) for k in odd]
    found += [World(eight, runs=r, together=0.5, tail=t, **alone) for t in ("t3", "fail") for r in (3, 5)]
    found += [World(eight, unlike=0.1, **alone), World(eight, calm=True, **alone)]
    found += [World(eight, pairing=p, **alone) for p in (-0.3, 0.9)]
    found += [World((200,) * 8, together=0.5)]
    power = [(faces, 8, 0.08), (eight, 4, 0.05)]
    return found + [
        World(n, candidates=c, runs=r, worse=loss, shifts="small", together=t, **alone)
        for n, c, loss in power
        for r in (3, 5)
        for t in both
    ]


KEYS = ("groups", "rows", "arms", "runs", "shifts", "world", "coverage", "false alarms", "width")
WIDTHS = ("width / single arms", "width / oracle")
POWER = (
    "groups",
    "rows",
    "arms",
    "runs",
    "world",
    "loss",
    "coverage",
    *WIDTHS,
    "detected",
    "detected arm by arm",
)


def render(cells: list[dict]) -> str:
    """Tables as Markdown."""
    none, lost = ([c for c in cells if bool(c["loss"]) == worse] for worse in (False, True))
    small = [c["width / single arms"] for c in lost]
    head = (
        f"`python -m benchmarks.simulate.averages`: {cells[0]['replicates']:,} replicates of each of "
        f"{len(cells)} worlds. Least coverage {min(c['coverage'] for c in cells):.3f}, most false alarms "
        f"{max(c['false alarms'] for c in none):.3f}. Where runs shift little, the average's intervals have "
        f"{np.mean(small):.2f} of the width of single arms' on average; where arms of a seed shift alike, "
        "averaging saves nothing."
    )
    parts = [head, _table(none, (*KEYS, *WIDTHS)), "A loss of all arms in every group:", _table(lost, POWER)]
    return "\n\n".join(parts)


def _table(rows: list[dict], keys: tuple[str, ...]) -> str:
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(str(r[k]) for k in keys) + " |" for r in rows])


if __name__ == "__main__":
    simulate("averages", grid(), coverage, render, __doc__)

"""`python -m benchmarks.simulate.shrunken`: do intervals of shrunken differences hold on average?

The candidate's accuracy differs from the reference's by an amount that varies between groups, drawn anew in
every replicate: normal, heavy-tailed, the same in all groups but one, or the sum of the effects of two
attributes and their interaction. Single runs are those of `worlds.py`, several those of `shifts.py`. Coverage
is the share of groups whose interval contains the true difference; widths and errors stand beside those of
the direct pointwise interval. Into benchmarks/results/shrunken.json and docs/statistics.md.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from benchmarks.simulate import collective, shifts, worlds
from benchmarks.simulate.collective import World as WorldOfLosses
from benchmarks.simulate.tables import simulate
from evenhand.judge.stats.groups.shrinkage import shrink_shares
from evenhand.judge.stats.paired import ScorePaired

ALPHA = 0.05
#: Loss of all groups on average, and the range of accuracies.
LOSS, RANGE = 0.02, (0.02, 0.995)


@dataclass(frozen=True)
class World:
    """Groups, runs and effects.

    Attributes:
        sizes: rows of each group; of crossings in the order of the product of two attributes.
        tau: standard deviation of the true differences.
        effects: `normal`, `t3`, or `crossed`: as much variance between the values of each of two attributes
            as between their crossings; `main effects`: without the crossings' own; `interaction`: only it.
        outlier: by how much the difference of one group is larger besides.
        outlying: rank of its size: 0 is the smallest group, -1 the largest.
        runs: of each arm.
        shifts: of runs; see `shifts.World`. A single run shifts in all groups alike.
        common: share of a shift's variance that all groups have in common.
        tail: of shifts.
        accuracy: of the reference.
        crossed: number of values of both attributes of a crossing.
        shared: share of the latent normal's variance that all models have in common.
    """

    sizes: tuple[int, ...]
    tau: float
    effects: str = "normal"
    outlier: float = 0.0
    outlying: int = 0
    runs: int = 5
    shifts: str = "small"
    common: float = 0.3
    tail: str = "normal"
    accuracy: float = 0.85
    crossed: tuple[int, int] | None = None
    shared: float = 0.75

    def codes(self) -> np.ndarray | None:
        """[2, G] value of each crossing in both attributes."""
        return None if self.crossed is None else np.indices(self.crossed).reshape(2, -1)

    def losses(self, rng: np.random.Generator) -> np.ndarray:
        """[G] losses of the candidate, of which accuracies stay within their range."""
        groups = len(self.sizes)
        effect = rng.standard_t(3, groups) / np.sqrt(3) if self.effects == "t3" else rng.normal(size=groups)
        codes = self.codes()
        if codes is not None:
            main = sum(rng.normal(size=c.max() + 1)[c] for c in codes) / np.sqrt(2)
            share = {"crossed": 2 / 3, "main effects": 1.0, "interaction": 0.0}[self.effects]
            effect = np.sqrt(share) * main + np.sqrt(1 - share) * effect
        loss = LOSS + self.tau * effect
        loss[np.argsort(self.sizes, kind="stable")[self.outlying]] += self.outlier
        return self.accuracy - np.clip(self.accuracy - loss, *RANGE)


def estimates(world: World, rng: np.random.Generator) -> tuple[ScorePaired, np.ndarray]:
    """[G] the direct differences of one replicate, and the true ones."""
    losses = tuple(world.losses(rng))
    if world.runs == 1:
        candidate = tuple(world.accuracy - np.array(losses))
        sigma = 0.0 if world.shifts == "none" else 0.2
        one = worlds.World(
            world.sizes, (world.accuracy,) * len(losses), candidate, rho=world.shared, sigma=sigma
        )
        m = worlds.draw(one, 1, rng)
        return collective.of_one_run(m, 0)[0][0][0], m.truth[0, :, 0]
    of_runs = WorldOfLosses(
        world.sizes,
        runs=world.runs,
        shifts=world.shifts,
        common=world.common,
        tail=world.tail,
        accuracy=world.accuracy,
        metrics=1,
        shared=world.shared,
        losses=losses,
    )
    m = shifts.draw(of_runs, 1, rng)
    reference, candidate = of_runs.truth()
    return collective.of_runs(m, 0, len(losses))[0][0][0], candidate - reference


def coverage(world: World, replicates: int) -> dict:
    """Figures of one world."""
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    if world.tail != "normal":  # whose true differences are simulated, too
        replicates = replicates // 4
    inside, direct, width, errors = [], [], [], []
    for _ in range(replicates):
        shares, true = estimates(world, rng)
        s = shrink_shares(shares, world.runs, ALPHA, world.codes(), moderated=world.runs > 1)
        low, high = shares.interval(ALPHA)
        inside.append((s.low <= true + 1e-9) & (true <= s.high + 1e-9))
        direct.append((low <= true + 1e-9) & (true <= high + 1e-9))
        width.append((s.high - s.low, high - low))
        errors.append(((s.estimate - true) ** 2, (shares.difference - true) ** 2))
    small = np.array(world.sizes) == min(world.sizes)
    widths, squares = np.mean(width, axis=0), np.mean(errors, axis=0)
    root = np.sqrt(squares.mean(axis=1))
    of_small = np.sqrt(squares[:, small].mean(axis=1))
    return {
        "groups": len(world.sizes) if world.crossed is None else " x ".join(map(str, world.crossed)),
        "rows": "unequal" if len(set(world.sizes)) > 1 else world.sizes[0],
        "runs": world.runs,
        "tau": world.tau,
        "world": describe(world),
        "coverage": round(float(np.mean(inside)), 4),
        "coverage of direct": round(float(np.mean(direct)), 4),
        "least group": round(float(np.mean(inside, axis=0).min()), 3),
        "width": round(float(widths[0].mean()), 3),
        "width / direct": round(float(widths[0].mean() / widths[1].mean()), 3),
        "error": round(float(root[0]), 4),
        "error / direct": round(float(root[0] / root[1]), 3),
        "smallest: width / direct": round(float(widths[0, small].mean() / widths[1, small].mean()), 3),
        "smallest: error / direct": round(float(of_small[0] / of_small[1]), 3),
        "replicates": replicates,
    }


def describe(world: World) -> str:
    """What is unusual about a world."""
    parts = [world.effects] if world.effects != "normal" else []
    if world.outlier:
        which = {0: "smallest", -1: "largest"}.get(world.outlying, "median")
        parts.append(f"the {which} group {-100 * world.outlier:+.0f} points")
    if world.shifts != "small":
        parts.append(f"{world.shifts} shifts")
    if world.common != 0.3:
        parts.append(f"{world.common:g} in common")
    if world.tail != "normal":
        parts.append(f"{world.tail} tails")
    if world.accuracy != 0.85:
        parts.append(f"accuracy {world.accuracy:g}")
    return ", ".join(parts)


#: Four, eight, twenty and fifteen groups of unlike sizes.
FOUR, EIGHT = (1000, 200, 60, 20), shifts.UNEQUAL
TWENTY, FIFTEEN = (*EIGHT, *EIGHT, 30, 30, 30, 30), (*EIGHT, 300, 150, 80, 50, 40, 30, 20)


def grid() -> list[World]:
    """The worlds."""
    taus, both = (0.0, 0.02, 0.05, 0.1), ({"runs": 1}, {"runs": 5})
    found = [World(sizes, tau, **r) for sizes in (FOUR, EIGHT, TWENTY) for r in both for tau in taus]
    equal = ((30,) * 4, (30,) * 8, (200,) * 8, (30,) * 20)
    found += [World(sizes, tau, **r) for sizes in equal for r in both for tau in (0.0, 0.05)]
    found += [World(EIGHT, tau, runs=3) for tau in (0.0, 0.05)]
    found += [World(EIGHT, tau, effects="t3", **r) for r in both for tau in (0.02, 0.1)]
    found += [World(FOUR, tau, outlier=0.2, **r) for r in both for tau in (0.0, 0.02)]
    found += [World(n, 0.02, outlier=0.2, **r) for n in (EIGHT, TWENTY, (100,) * 4, (30,) * 8) for r in both]
    others = ((0.1, 0), (0.3, 0), (0.1, 4), (0.2, 4), (0.2, -1))
    found += [World(EIGHT, 0.02, outlier=o, outlying=k, runs=1) for o, k in others]
    found += [World(FOUR, 0.02, outlier=o, runs=1) for o in (0.1, 0.3)]
    odd = ({"shifts": "even"}, {"shifts": "large", "common": 1.0}, {"shifts": "large", "common": 0.0})
    found += [World(EIGHT, tau, runs=r, **k) for k in odd for r in (3, 5) for tau in (0.0, 0.05)]
    found += [World(EIGHT, 0.02, shifts=k, common=0.9) for k in ("one group", "half", "reference")]
    found += [World(EIGHT, 0.02, runs=r, shifts="even", tail=t) for t in ("t3", "fail") for r in (3, 5)]
    rates = ((0.97, 0.75), (0.6, 0.75), (0.85, 0.0))
    found += [World(EIGHT, t, accuracy=a, shared=s, **r) for a, s in rates for r in both for t in (0.0, 0.02)]
    crossings = (((4, 2), EIGHT), ((5, 3), FIFTEEN), ((2, 2), FOUR), ((3, 3), (30,) * 9))
    found += [
        World(sizes, 0.05, effects=e, crossed=c, runs=1)
        for c, sizes in crossings
        for e in ("main effects", "crossed", "interaction")
    ]
    found += [World(FIFTEEN, t, effects="crossed", crossed=(5, 3)) for t in (0.0, 0.05, 0.1)]
    return found


KEYS = ("groups", "rows", "runs", "tau", "world", "coverage", "coverage of direct", "least group", "width")
RATIOS = ("width / direct", "error / direct", "smallest: width / direct", "smallest: error / direct")


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    head = (
        f"`python -m benchmarks.simulate.shrunken`: {cells[0]['replicates']:,} replicates of each of "
        f"{len(cells)} worlds. Least coverage on average over the groups "
        f"{min(c['coverage'] for c in cells):.3f}; of a single group "
        f"{min(c['least group'] for c in cells):.3f}. Widths and root mean square errors beside "
        "those of the direct difference with its pointwise interval, over all groups and over the smallest."
    )
    keys = (*KEYS, *RATIOS)
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join([head, "", *lines, *("| " + " | ".join(str(c[k]) for k in keys) + " |" for c in cells)])


if __name__ == "__main__":
    simulate("shrunken", grid(), coverage, render, __doc__)

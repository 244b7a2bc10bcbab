"""`python -m benchmarks.simulate.plans`: do plans keep their promise?

In worlds as in `shifts`, a candidate loses the planned difference in its last group. Pilots of three or five
runs are drawn, and a plan is made from each. How often studies with any number of runs truly find the loss is
simulated as well, so that a planned number of runs has a true power; and the same for runs and rows that grow
by the same factor. Into benchmarks/results/plans.json and docs/statistics.md.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from benchmarks.simulate.claims import Losses, pairs_of
from benchmarks.simulate.shifts import ALPHA, CHUNK, MARGIN, draw, family_of, moderated
from benchmarks.simulate.tables import simulate
from evenhand.judge.core.limits import Members, compute_limits
from evenhand.judge.planning.forecast import Goal, Pilot, forecast
from evenhand.judge.stats.family import Family
from evenhand.judge.stats.verdict import judge

RUNS = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40)
FACTORS = (1, 4 / 3, 5 / 3, 2, 8 / 3, 10 / 3)
POWER = 0.8


def joint_of(world: Losses, rng: np.random.Generator) -> Family:
    """The joint distribution of the world's family."""
    pilot = np.concatenate([draw(world, 40, rng).difference for _ in range(10)])
    return family_of(pilot, len(world.sizes), world.metrics, side=-1.0)


def by_runs(world: Losses) -> list[Losses]:
    """The world with every number of runs."""
    return [replace(world, runs=runs) for runs in RUNS]


def by_both(world: Losses, pilot: int) -> list[Losses]:
    """The world with as many runs as a pilot, and with more runs and rows in the same proportion."""
    return [
        replace(world, runs=round(pilot * f), sizes=tuple(round(n * f) for n in world.sizes)) for f in FACTORS
    ]


def true_power(
    worlds: list[Losses], replicates: int, rng: np.random.Generator, at: int
) -> list[tuple[float, float]]:
    """How often the loss of column `at` is called harm, and that of the first column harmless, by world."""
    powers = []
    for grown in worlds:
        joint = joint_of(grown, rng)
        found = []
        step = max(1, CHUNK // (sum(grown.sizes) * 2 * grown.runs))
        for start in range(0, replicates, step):
            m = draw(grown, min(step, replicates - start), rng)
            for k in range(len(m.difference)):
                _, limits = limits_of(m, k, grown, joint)
                words = [
                    judge(limits[i].low, limits[i].high, 1, MARGIN, limits[i].harm).word for i in (at, 0)
                ]
                found.append((words[0] == "harm", words[1] == "harmless"))
        powers.append(tuple(np.mean(found, axis=0)))
    return powers


def limits_of(m: object, at: int, world: Losses, joint: Family) -> tuple[list, list]:
    """Comparisons of one replicate, and their limits."""
    pairs = pairs_of(moderated(m, at, len(world.sizes))[1], runs=world.runs)
    members = Members(pairs, np.full(len(pairs), MARGIN), np.arange(len(pairs)))
    return pairs, compute_limits(members, joint, ALPHA, error_rate="familywise")


def plan_of(m: object, at: int, world: Losses, joint: Family) -> list[dict]:
    """Rows of the plan that is made from one replicate."""
    pairs, limits = limits_of(m, at, world, joint)
    rows = [
        {
            "candidate": "lora", "attribute": "group", "group": str(k), "class": None, "metric": "accuracy",
            "verdict": "undecided", "unit": "rows and runs", "n": m.rows[k], "runs": world.runs, "low": x.low,
            "high": x.high, "margin": MARGIN, "critical": x.critical, "harm_critical": x.harm_critical,
            "n_right_to_wrong": float(pair.evidence.estimate.absolute) * pair.n, "n_wrong_to_right": 0.0,
            **pair.variance_parts(),
        }
        for k, (pair, x) in enumerate(zip(pairs, limits, strict=True))
    ]  # fmt: skip
    goal = Goal(POWER, abs(world.differences[-1]))
    return forecast([Pilot(None, rows, 0, 2)], goal, {"kind": "simulated"})["models"][0]["rows"]


def coverage(cell: tuple[Losses, int], replicates: int) -> dict:
    """Figures of one world and one size of pilots."""
    world, pilot_runs = cell
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    last = (len(world.sizes) - 1) * world.metrics  # accuracy in the last group
    powers = np.array(true_power(by_runs(world), replicates // 4, rng, last))
    together = np.array(true_power(by_both(world, pilot_runs), replicates // 4, rng, last))
    small = replace(world, runs=pilot_runs)
    joint, pilots = joint_of(small, rng), replicates // 8
    m = draw(small, pilots, rng)
    figures: dict[str, object] = {
        "groups": len(world.sizes),
        "rows": world.sizes[0],
        "shifts": world.shifts,
        "loss": -world.differences[-1],
        "pilot": pilot_runs,
    }
    plans = [plan_of(m, k, small, joint) for k in range(pilots)]
    for column, (question, at) in enumerate((("harm", last), ("harmless", 0))):
        reached = np.interp(POWER, np.maximum.accumulate(powers[:, column]), RUNS)
        figures[f"runs that {question} takes"] = (
            round(float(reached), 1) if powers[-1, column] >= POWER else f"> {RUNS[-1]}"
        )
        for name, suffix in (("planned", ""), ("cautious", "_cautious")):
            planned = [plan[at][f"runs_{question}{suffix}"] for plan in plans]
            runs = np.array([RUNS[-1] if x is None else min(x, RUNS[-1]) for x in planned], float)
            power = np.interp(runs, RUNS, powers[:, column])
            figures[f"{question}: {name}"] = round(float(np.median(runs)), 1)
            figures[f"{question}: power, {name}"] = round(float(np.mean(power)), 3)
            figures[f"{question}: {name} suffices"] = round(float(np.mean(power >= POWER - 0.05)), 3)
            grown = [plan[at][f"rows_together_{question}{suffix}"] for plan in plans]
            factors = [FACTORS[-1] if x is None else x / plans[0][at]["n"] for x in grown]
            power = np.interp(factors, FACTORS, together[:, column])
            figures[f"{question}: both, {name}"] = round(float(np.median(factors)), 2)
            figures[f"{question}: power of both, {name}"] = round(float(np.mean(power)), 3)
    return figures | {"replicates": replicates}


def worlds() -> list[tuple[Losses, int]]:
    """Worlds in which the number of runs is within what is simulated."""
    cases = [
        (8, 1000, "small", 0.06),
        (8, 1000, "none", 0.04),
        (8, 400, "small", 0.09),
        (2, 1000, "even", 0.10),
        (8, 1000, "even", 0.12),
        (8, 1000, "half", 0.16),
    ]
    return [
        (Losses((rows,) * groups, shifts=shifts, differences=(0.0,) * (groups - 1) + (-loss,)), pilot)
        for groups, rows, shifts, loss in cases
        for pilot in (3, 5)
    ]


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    keys = ("groups", "rows", "shifts", "loss", "pilot", "runs that harm takes", "harm: planned")
    keys += ("harm: power, planned", "harm: cautious", "harm: power, cautious", "harm: cautious suffices")
    keys += ("harm: both, cautious", "harm: power of both, cautious")
    replicates = cells[0]["replicates"]
    head = (
        f"`python -m benchmarks.simulate.plans`: plans from pilots in {len(cells)} kinds of studies "
        f"({replicates // 8} pilots, and {replicates // 4} studies for the true power at each of {len(RUNS)} "
        f"numbers of runs). The number of runs that finds the loss in {POWER:.0%} of studies, the median of "
        "the numbers that plans name, the mean true power at these, and the share of pilots whose cautious "
        f"number has a true power of at least {POWER - 0.05:.2f} (more than {RUNS[-1]} count as {RUNS[-1]}). "
        "`both`: the factor by which rows and runs grow together (median), and the true power with them "
        f"(above {FACTORS[-1]:.1f} counts as that)."
    )
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join([head, "", *lines, *("| " + " | ".join(str(c[k]) for k in keys) + " |" for c in cells)])


if __name__ == "__main__":
    simulate("plans", worlds(), coverage, render, __doc__)

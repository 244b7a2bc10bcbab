"""`python -m benchmarks.simulate.collective`: are there as many worse groups as an audit says?

Worlds are those of `shifts.py` (several runs) and `worlds.py` (single runs), with a loss of all candidates in
some groups. A claim is false when it says more groups than are worse, or better, in truth; a false claim
anywhere in an audit counts. Beside the power of "at least one group" and the mean number of groups: what the
intervals of single groups give, at their own family's critical value. Into benchmarks/results/collective.json
and docs/statistics.md.

    python -m benchmarks.simulate.collective [FOLDER ...]

Folders are those of `trainings.py`, studies with many runs of every arm: studies of a few runs are drawn from
them, of an arm against the reference, and of an arm against other runs of itself, where nothing is worse.
"""

from __future__ import annotations

import argparse
import json
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from benchmarks.simulate import shifts, trainings, worlds
from benchmarks.simulate.tables import RESULTS, put_between
from evenhand.judge.stats.combine import MIN_RUNS_MODERATED, Variation
from evenhand.judge.stats.groups import closed
from evenhand.judge.stats.moderated import RunCells
from evenhand.judge.stats.paired import ScorePaired, usual_size

ALPHA = 0.05
EQUAL, UNEQUAL, FACES = (400,) * 8, shifts.UNEQUAL, (202, 120, 97, 71, 29)
DIRECTIONS = (1, 1, -1)


@dataclass(frozen=True)
class World(shifts.World):
    """A world whose candidates lose in some groups.

    Attributes:
        losses: of accuracy in each group.
    """

    losses: tuple[float, ...] = ()

    def limits(self) -> np.ndarray:
        """[arm, group] limit whose mean over normal shifts gives the accuracy."""
        accuracy = np.full(self.deviation().shape, self.accuracy)
        accuracy[1:] -= self.losses
        return ndtri(accuracy) * np.sqrt(1 + self.deviation() ** 2)


def audit(
    singles: list[list[ScorePaired]], cells: list[RunCells | None], pointwise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of worse and better groups, by closed testing and one by one; [candidate, metric, direction].

    Args:
        singles: of each candidate and metric.
        cells: of each metric.
        pointwise: level of the family's intervals.
    """
    shape = len(singles), len(cells), 2
    bound, one_by_one = np.zeros(shape, int), np.zeros(shape, int)
    sets = closed.sets_of(len(singles[0][0].n))
    every, level = np.ones(sets.shape[1], bool), ALPHA / bound.size
    of_sets = [None if c is None else closed.unite_cells(c, sets) for c in cells]
    for c, of_metrics in enumerate(singles):
        for m, estimates in enumerate(of_metrics):
            united = closed.compare_sets(estimates, of_sets[m], c + 1, sets)
            p, (low, high) = estimates.p_values(), united.interval(level)
            for k, (word, rejected) in enumerate(((-1, high < 0), (1, low > 0))):
                p_one = closed.one_sided(estimates.difference, p, word)
                bound[c, m, k] = closed.count_selected(p_one, rejected, sets, every, level)
                one_by_one[c, m, k] = np.sum((p < pointwise) & (word * estimates.difference > 0))
    return bound, one_by_one


def of_runs(m: shifts.Moments, at: int, groups: int) -> tuple[list[list[ScorePaired]], list[RunCells | None]]:
    """Estimates of one replicate, moderated within its family as `core/moderation.py` does."""
    candidates, columns = m.difference.shape[1:]
    metrics, runs = columns // groups, m.values.shape[3]
    unknown = np.full(columns, np.nan)
    group, paired = np.repeat(np.arange(groups), metrics), np.ones(candidates + 1, bool)
    plain = [
        ScorePaired(
            m.difference[at, c],
            m.absolute[at, c],
            m.square[at, c],
            m.rows,
            Variation(np.inf, np.zeros(columns), np.inf),
            unknown,
            unknown,
        )
        for c in range(candidates)
    ]
    together = [
        np.concatenate([getattr(p, f) for p in plain]) for f in ("difference", "absolute", "square", "n")
    ]
    size = usual_size(ScorePaired(*together, plain[0].variation, unknown, unknown))
    every = RunCells(list(m.values[at]), m.flips[at], m.rows, group, 0, paired, m.flips_of_difference[at])
    estimates, cells = [], []
    for c, alone in enumerate(plain):
        p = replace(alone, pseudo_size=size)
        part = every.differences(np.full(columns, c + 1), np.arange(columns))
        variation = part.join(p.row_variance(runs), np.full(columns, np.inf))
        estimates.append(
            [_take(replace(p, variation=variation), slice(k, None, metrics)) for k in range(metrics)]
        )
    for k in range(metrics):
        here = slice(k, None, metrics)
        cells.append(
            RunCells(
                list(m.values[at][:, here]),
                m.flips[at][:, here],
                m.rows[here],
                np.arange(groups),
                0,
                paired,
                m.flips_of_difference[at][:, here],
            )
        )
    return estimates, cells


def _take(p: ScorePaired, at: slice) -> ScorePaired:
    v = p.variation
    variation = Variation(*(np.broadcast_to(c, p.n.shape)[at] for c in v.columns))
    return ScorePaired(
        p.difference[at],
        p.absolute[at],
        p.square[at],
        p.n[at],
        variation,
        p.better[at],
        p.worse[at],
        p.pseudo_size,
    )


def of_one_run(m: worlds.Moments, at: int) -> tuple[list[list[ScorePaired]], list[RunCells | None]]:
    """Estimates of one replicate of single runs."""
    estimates = []
    for k in range(m.n.shape[2]):
        n = np.maximum(m.n[at, :, k], 1.0)
        d, a = (np.nan_to_num(v[at, :, k]) for v in (m.difference, m.absolute))
        variation = Variation(np.inf, np.zeros(len(n)), np.inf)
        estimates.append(ScorePaired(d, a, a, n, variation, m.better[at, :, k], m.worse[at, :, k]))
    return [estimates], [None] * len(estimates)


def coverage(world: World, replicates: int) -> dict:
    """Figures of one world."""
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    groups, losses = len(world.sizes), np.array(world.losses)
    true = np.zeros((world.metrics, 2), int)
    # The worlds of `shifts` have true negative rates where those of single runs have false positive ones.
    signs = DIRECTIONS if world.runs < MIN_RUNS_MODERATED else (1, 1, 1)
    for k, sign in enumerate(signs[: world.metrics]):
        true[k] = (losses * sign > 0).sum(), (losses * sign < 0).sum()
    found = []
    if world.runs < MIN_RUNS_MODERATED:
        accuracy = (world.accuracy,) * groups
        single = worlds.World(world.sizes, accuracy, tuple(accuracy - losses), rho=world.shared)
        m = worlds.draw(single, replicates, rng)
        pointwise = -np.expm1(np.log1p(-ALPHA) / (groups * world.metrics))
        m = worlds.Moments(
            *(getattr(m, f)[..., : world.metrics] for f in worlds.Moments.__dataclass_fields__)
        )
        found = [audit(*of_one_run(m, at), pointwise) for at in range(replicates)]
    else:
        pilot = np.concatenate([shifts.draw(world, 40, rng).difference for _ in range(10)])
        pointwise = shifts.family_of(pilot, groups, world.metrics).pointwise(ALPHA)
        step = max(1, shifts.CHUNK // (sum(world.sizes) * (world.candidates + 1) * world.runs))
        for start in range(0, replicates, step):
            m = shifts.draw(world, min(step, replicates - start), rng)
            found += [audit(*of_runs(m, at, groups), pointwise) for at in range(len(m.difference))]
    bound, one_by_one = (np.array(v) for v in zip(*found, strict=True))
    return {
        "groups": groups,
        "rows": "unequal" if len(set(world.sizes)) > 1 else world.sizes[0],
        "candidates": world.candidates,
        "runs": world.runs,
        "metrics": world.metrics,
        "shifts": world.shifts,
        "world": shifts.describe(world),
        "worse": int((losses > 0).sum()),
        "loss": float(losses.max(initial=0)),
        "false claims": round(float((bound > true).any(axis=(1, 2, 3)).mean()), 4),
        "at least one": round(float((bound[:, -1, 0, 0] > 0).mean()), 3),
        "groups said": round(float(bound[:, -1, 0, 0].mean()), 2),
        "one by one: any": round(float((one_by_one[:, -1, 0, 0] > 0).mean()), 3),
        "one by one: groups": round(float(one_by_one[:, -1, 0, 0].mean()), 2),
        "replicates": replicates,
    }


def worlds_of_claims() -> list[World]:
    """The grid."""
    none, half = (0.0,) * 8, (0.0,) * 4
    found = []
    for losses in (none, (*half, 0.2, 0.2, 0.2, 0.2)):
        alone = {"losses": losses, "metrics": 1}
        found += [World(EQUAL, runs=s, common=c, **alone) for s in (3, 5, 10) for c in (0.3, 0.9)]
        found += [World(UNEQUAL, runs=s, common=c, **alone) for s in (3, 5) for c in (0.3, 0.9)]
        odd = ("unequal", "half", "one group", "reference", "one cell")
        found += [World(EQUAL, runs=s, shifts=k, common=0.9, **alone) for k in odd for s in (3, 5)]
        found += [
            World(EQUAL, runs=s, tail=t, common=c, **alone)
            for t in ("t3", "fail")
            for s, c in ((3, 0.9), (5, 0.3), (5, 0.9))
        ]
        found += [World(EQUAL, pairing=r, common=0.9, **alone) for r in (-0.3, 0.9)]
        found += [World((200,) * 8, candidates=4, runs=s, common=0.9, losses=losses) for s in (3, 5)]
        found += [World(n, runs=1, shared=r, losses=losses) for n in (EQUAL, UNEQUAL) for r in (0.0, 0.9)]
    found += [World(FACES, runs=s, common=0.9, losses=(0.0,) * 5, metrics=1) for s in (3, 5)]
    found += [
        World(UNEQUAL, losses=(0.2,) * 4 + half, metrics=1),
        World(UNEQUAL, losses=(0.2, *none[1:]), metrics=1),
    ]
    found += [World(EQUAL, losses=(0.05,) * 4 + (-0.05,) * 4, metrics=1, shifts=k) for k in ("small", "even")]
    power = [(0.04,) * 8, (0.0,) * 4 + (0.04,) * 4, (0.0,) * 7 + (0.1,), (0.02,) * 8]
    for losses in power:
        found += [
            World(EQUAL, losses=losses, metrics=1, runs=s, shifts=k)
            for k in ("small", "even")
            for s in (3, 5, 10)
        ]
        found += [World(EQUAL, losses=losses, metrics=1, runs=1)]
    found += [World(UNEQUAL, losses=(0.06,) * 8, metrics=1, runs=s, shifts="small") for s in (1, 3, 5)]
    found += [World(FACES, losses=(0.06,) * 5, metrics=1, runs=s, shifts="small") for s in (1, 3, 5)]
    found += [World(EQUAL, losses=(0.04,) * 8, candidates=c, shifts="small") for c in (1, 4)]
    return found


def drawn(folder: Path, arm: int, runs: int, same: bool, replicates: int) -> dict:
    """Figures of studies drawn from real trainings: an arm against the reference, or against itself."""
    right, group, label, arms = trainings.load(folder)
    groups, seeds = int(group.max()) + 1, right.shape[1]
    strata = [np.flatnonzero((group == g) & (label == y)) for g in range(groups) for y in (0, 1)]
    rng = np.random.default_rng((arm, runs, same))
    pair = right[[arm, arm] if same else [0, arm]]
    mean = np.stack([pair[:, :, group == g].mean(axis=(1, 2)) for g in range(groups)], axis=1)
    true = np.array([(mean[1] < mean[0] - 1e-9).sum(), (mean[1] > mean[0] + 1e-9).sum()])
    studies = []
    for _ in range(replicates):
        chosen = (
            rng.choice(seeds, 2 * runs, replace=False) if same else rng.choice(seeds, runs, replace=False)
        )
        of_study = np.stack([pair[0, chosen[:runs]], pair[1, chosen[-runs:]]])
        studies.append(trainings.draw(of_study, strata, runs, 1, rng))
    pilot = np.concatenate([m.difference for m in studies[:200]])
    pointwise = shifts.family_of(pilot, groups, 1).pointwise(ALPHA)
    found = [audit(*of_runs(m, 0, groups), pointwise) for m in studies]
    bound, one_by_one = (np.array(v)[:, 0, 0] for v in zip(*found, strict=True))
    return {
        "study": folder.name,
        "arms": f"{arms[arm]}, other runs" if same else f"{arms[0]}, {arms[arm]}",
        "runs": runs,
        "groups": groups,
        "worse, better": f"{true[0]}, {true[1]}",
        "false claims": round(float((bound > true).any(axis=1).mean()), 4),
        "at least one": round(float((bound > 0).any(axis=1).mean()), 3),
        "groups said": round(float(bound.sum(axis=1).mean()), 2),
        "one by one: any": round(float((one_by_one > 0).any(axis=1).mean()), 3),
        "one by one: groups": round(float(one_by_one.sum(axis=1).mean()), 2),
        "replicates": replicates,
    }


KEYS = ("groups", "rows", "candidates", "runs", "shifts", "world", "worse", "loss", "false claims")
POWER = ("at least one", "groups said", "one by one: any", "one by one: groups")
DRAWN = ("study", "arms", "runs", "groups", "worse, better", "false claims", *POWER)


def render(cells: list[dict], studies: list[dict]) -> str:
    """Tables as Markdown."""
    valid = [c for c in cells if c["loss"] in (0, 0.2)]
    head = (
        f"`python -m benchmarks.simulate.collective`: {cells[0]['replicates']:,} audits of each of "
        f"{len(cells)} worlds, and as many studies of each kind drawn from real trainings. `worse` groups "
        "lose `loss`, the others nothing; an audit has false claims if it says more. `at least one` is the "
        "share of audits that say so of accuracy, `groups said` their mean number; one by one: the same by "
        "the intervals of single groups. "
        f"Most false claims: {max(c['false claims'] for c in cells):.3f}; in studies of real trainings "
        f"{max((c['false claims'] for c in studies), default=0.0):.3f}."
    )
    parts = [
        head,
        _table([c for c in cells if c not in valid], (*KEYS, *POWER)),
        "Worlds without a loss, and with one that is always found, so that only the other groups make a "
        "claim false:",
        _table(valid, KEYS),
        "Real trainings; *other runs* are those of the same arm, where no group is worse or better:",
        _table(studies, DRAWN),
    ]
    return "\n\n".join(parts)


def _table(rows: list[dict], keys: tuple[str, ...]) -> str:
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(str(r[k]) for k in keys) + " |" for r in rows])


def write(stored: dict) -> None:
    """Store the figures and the page's tables."""
    (RESULTS / "collective.json").write_text(json.dumps(stored, indent=1) + "\n")
    put_between("collective simulation", render(stored["cells"], stored["studies"]))


def main() -> None:
    """Simulate all worlds, and draw all kinds of studies from the folders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    kinds = [
        (folder, arm, runs, same, options.replicates)
        for folder in options.folders
        for runs in (3, 5)
        for arm in range(len(trainings.load(folder)[3]))
        for same in (True, False)
        if arm or same
    ]
    place = RESULTS / "collective.json"
    studies = json.loads(place.read_text())["studies"] if place.exists() else []
    with ProcessPoolExecutor(options.processes) as pool:
        grid = [pool.submit(coverage, world, options.replicates) for world in worlds_of_claims()]
        of_trainings = [pool.submit(drawn, *kind) for kind in kinds]
        cells = [f.result() for f in grid]
        studies = [f.result() for f in of_trainings] or studies
    write({"replicates": options.replicates, "cells": cells, "studies": studies})


if __name__ == "__main__":
    main()

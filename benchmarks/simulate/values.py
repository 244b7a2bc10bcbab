"""`python -m benchmarks.simulate.values FOLDER ...`: moderated variances over runs of metrics of values.

Log loss, Brier score, ROC AUC, F1 and balanced accuracy, which are compared by influence values,
in the worlds of `shifts.py`: a row's logit is its distance from the limit, times a confidence. The metrics
are the audit's own, and so are variances and limits. Folders are studies with many real trainings, as for
`trainings.py`; half of the replicates are drawn from them. Beside them: the width without moderation and that
of an oracle which knows every variance. Into benchmarks/results/values.json and docs/statistics.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
from scipy.special import expit

from benchmarks.simulate.shifts import (
    ALPHA,
    SHARED_IN_ARM,
    UNEQUAL,
    World,
    describe,
    family_of,
    mixed,
    noise,
)
from benchmarks.simulate.tables import RESULTS, put_between
from evenhand import registry
from evenhand.judge.metrics import Sample
from evenhand.judge.settings import METRICS
from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.moderated import OF_VALUES, RunCells
from evenhand.judge.stats.paired import WaldPaired
from evenhand.judge.stats.quantiles import z_of

LOSSES = ("log_loss", "brier_score")
OTHERS = ("roc_auc", "f1", "balanced_accuracy")
KEYS = ("metric", "groups", "rows", "candidates", "runs", "shifts", "world", "coverage", "false alarms")
OF_STUDIES = ("metric", "study", "arms", "runs", "coverage", "least of one")
WIDTHS = ("width / unmoderated", "width / oracle")


@dataclass(frozen=True)
class Case:
    """A metric in a world.

    Attributes:
        metric: its name.
        world: groups, arms and how runs shift.
        positives: share of positive labels in the first and in the last group.
        confidence: factor of a logit in the first and in the last group.
        heat: standard deviation of the logarithm of a run's own factor.
    """

    metric: str
    world: World
    positives: tuple[float, float] = (0.4, 0.4)
    confidence: tuple[float, float] = (3.0, 3.0)
    heat: float = 0.0

    @cached_property
    def true(self) -> np.ndarray:
        """[candidate * group] true differences; of losses only, where arms shift unlike each other."""
        world, nodes = self.world, np.polynomial.hermite_e.hermegauss(80)
        deviation = world.deviation()
        if (deviation == deviation[0]).all():
            return np.zeros(world.candidates * len(world.sizes))
        spread = np.sqrt(1 + deviation**2)[..., None]
        margin = self.confidence[0] * (world.limits()[..., None] + spread * nodes[0])
        loss = np.logaddexp(0, -margin) if self.metric == "log_loss" else expit(-margin) ** 2
        expected = loss @ (nodes[1] / nodes[1].sum())
        return (expected[1:] - expected[:1]).reshape(-1)

    def draw(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each group [arm, run, row] logits of the label, and [row] labels."""
        world = self.world
        arms, runs, groups = world.candidates + 1, world.runs, len(world.sizes)
        common, own = (noise(world.tail, rng, (arms, runs, k)) for k in (1, groups))
        for part in (common, own):
            part[1:] = world.pairing * part[:1] + np.sqrt(1 - world.pairing**2) * part[1:]
        limit = world.limits()[:, None] + world.deviation()[:, None] * mixed(world, common, own)
        factor = np.exp(self.heat * rng.standard_normal((arms, runs, 1)))
        in_arms = min(SHARED_IN_ARM, 1 - world.shared) * (world.shared > 0)
        found = []
        ends = zip(np.linspace(*self.positives, groups), np.linspace(*self.confidence, groups), strict=True)
        for group, (size, (positives, confidence)) in enumerate(zip(world.sizes, ends, strict=True)):
            shared = np.sqrt(world.shared) * rng.standard_normal((1, 1, size))
            in_arm = np.sqrt(in_arms) * rng.standard_normal((arms, 1, size))
            each = rng.standard_normal((arms, runs, size))
            if world.twins:
                each[1:] = np.sqrt(world.twins) * each[:1] + np.sqrt(1 - world.twins) * each[1:]
                in_arm[1:] = in_arm[:1]
            latent = shared + in_arm + np.sqrt(1 - world.shared - in_arms) * each
            label = np.arange(size) < round(positives * size)
            found.append((confidence * factor * (limit[..., group, None] - latent), label))
        return found


@dataclass(frozen=True)
class Moments:
    """What the audit takes from rows: [arm or candidate, group, ...]; as in `RunCells`."""

    values: np.ndarray
    flips: np.ndarray
    flips_of_difference: np.ndarray
    row_variance: np.ndarray
    size: np.ndarray
    rows: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """[candidate, group]."""
        return (self.values[1:] - self.values[:1]).mean(axis=2)


def moments(metric: str, groups: Sequence[tuple[np.ndarray, np.ndarray]]) -> Moments:
    """Compute a metric, from [arm, run, row] logits of the label and [row] labels of each group."""
    module = registry.load(METRICS, metric)
    parts = []
    for margin, positive in groups:
        n = margin.shape[2]
        values, influence = (_losses if metric in LOSSES else _of_runs)(module, margin, positive)
        between = influence[1:] - influence[:1]
        mean = influence.mean(axis=1)
        parts.append(
            (
                values,
                flips_of(influence),
                np.concatenate([[np.nan], flips_of(between)]),
                (between.mean(axis=1) ** 2).sum(axis=1),
                n * (mean**2).sum(axis=1),
                float(n),
            )
        )
    *columns, rows = (np.array(part) for part in zip(*parts, strict=True))
    return Moments(*(np.swapaxes(c, 0, 1) for c in columns), rows)


def _losses(module: ModuleType, margin: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values [arm, run] and influence values [arm, run, row] of a mean over rows."""
    rows = _sample(margin.reshape(-1), np.broadcast_to(positive, margin.shape).reshape(-1))
    loss = module.compute(rows).numerator.reshape(margin.shape)
    values = loss.mean(axis=2)
    return values, (loss - values[..., None]) / margin.shape[2]


def _of_runs(module: ModuleType, margin: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of any metric, run by run."""
    values, influence = np.empty(margin.shape[:2]), np.empty(margin.shape)
    for at in np.ndindex(values.shape):
        estimate = module.compute(_sample(margin[at], positive))
        values[at], influence[at] = estimate.value, estimate.influence
    return values, influence


def _sample(margin: np.ndarray, positive: np.ndarray) -> Sample:
    score = expit(np.where(positive, margin, -margin))
    answer, probability = (score > 0.5).astype(int), np.stack([1 - score, score], axis=1)
    return Sample(positive.astype(int), answer, np.ones(len(score)), 1, probability)


def flips_of(influence: np.ndarray) -> np.ndarray:
    """Variance of a run's value that flips give, of [..., runs, rows] influence values."""
    runs, n = influence.shape[-2:]
    rest = influence - influence.mean(axis=-2, keepdims=True)
    return (rest**2).sum(axis=(-2, -1)) / (runs - 1) * n / (n - 1)


def half_widths(m: Moments, z: float) -> tuple[np.ndarray, np.ndarray]:
    """[candidate * group] half widths at the normal quantile z: moderated, and as they are without."""
    arms, groups, runs = m.values.shape
    arm, column = np.repeat(np.arange(1, arms), groups), np.tile(np.arange(groups), arms - 1)
    paired, by_group = np.ones(arms, bool), np.arange(groups)
    cells = RunCells(
        list(m.values), m.flips, m.rows, by_group, 0, paired, m.flips_of_difference, m.size, OF_VALUES
    )
    # Arms that differ on no row of a small group have no interval in an audit.
    difference, rows = m.difference.reshape(-1), np.maximum(m.row_variance.reshape(-1), 1e-12)
    variation = cells.differences(arm, column).join(rows, np.full(len(arm), np.inf))
    spread = ((m.values[1:] - m.values[:1]).var(axis=2, ddof=1) / runs).reshape(-1)
    before = Variation(np.inf, spread, runs - 1.0)
    return tuple(np.asarray(WaldPaired(difference, rows, v).half_width(z)) for v in (variation, before))


def figures(drawn: Sequence[Moments], true: np.ndarray) -> dict:
    """How often all limits hold, false alarms and widths."""
    differences = np.array([m.difference for m in drawn])
    z = float(z_of(family_of(differences, differences.shape[2], 1).pointwise(ALPHA)))
    half, before = (np.array(h) for h in zip(*(half_widths(m, z) for m in drawn), strict=True))
    found = np.array([m.difference.reshape(-1) for m in drawn])
    inside = np.abs(found - true) <= half + 1e-12
    alarm = (np.abs(found) > half) & (np.abs(true) < 1e-9)
    deviation = np.sqrt(np.mean((found - true) ** 2, axis=0))
    return {
        "coverage": round(float(inside.all(axis=1).mean()), 4),
        "least of one": round(float(inside.mean(axis=0).min()), 4),
        "false alarms": round(float(alarm.any(axis=1).mean()), 4),
        "width": round(float(2 * half.mean()), 4),
        "width / unmoderated": round(float(half.mean() / before.mean()), 3),
        "width / oracle": round(float(half.mean() / (z * deviation.mean())), 3),
        "replicates": len(drawn),
    }


def coverage(case: Case, replicates: int) -> dict:
    """Figures of one case."""
    rng = np.random.default_rng(zlib.crc32(repr(case).encode()))
    drawn = [moments(case.metric, case.draw(rng)) for _ in range(replicates)]
    sizes = case.world.sizes
    unusual = {
        "positives {:.0%} to {:.0%}": case.positives if case.positives != (0.4, 0.4) else (),
        "confidence {} to {}": case.confidence if case.confidence != (3.0, 3.0) else (),
        "runs' own confidence, sd {}": (case.heat,) if case.heat else (),
        "copies, {:.0%} of the noise in common": (case.world.twins,) if case.world.twins else (),
    }
    named = [
        describe(case.world),
        *(k.format(*v) for k, v in unusual.items() if v),
    ]
    return {
        "metric": case.metric,
        "groups": len(sizes),
        "rows": "unequal" if len(set(sizes)) > 1 else sizes[0],
        "candidates": case.world.candidates,
        "runs": case.world.runs,
        "shifts": case.world.shifts,
        "world": ", ".join(n for n in named if n),
        **figures(drawn, case.true),
    }


def cases() -> list[Case]:
    """The grid: all worlds for log loss, some for every other metric."""
    eight, faces, two = (600,) * 8, (400,) * 8, (1500,) * 2
    usual = [World(faces, runs=s) for s in (5, 10)]
    usual += [World(UNEQUAL), World(two, common=0.9), World(two, pairing=0.97, twins=0.95)]
    usual += [World(faces, shifts="one group")]
    more = [World(eight, candidates=4), World((30,) * 8), World((200,) * 2), World(UNEQUAL, candidates=4)]
    more += [World(eight, shifts=k) for k in ("none", "unequal", "half", "reference")]
    more += [World(eight, candidates=4, shifts=k) for k in ("half", "one group", "one cell")]
    more += [World(faces, candidates=4, runs=s, tail=t) for t in ("t3", "fail") for s in (5, 10)]
    more += [World(two, runs=10, common=0.9), World(two, pairing=0.9)]
    more += [World(two, pairing=-0.3), World(faces, pairing=-0.3)]
    more += [
        World((n,) * 2, shifts="large", common=1.0, accuracy=a, shared=0.9)
        for n in (200, 2000)
        for a in (0.8, 0.95)
    ]
    found = [Case("log_loss", w) for w in (*usual, *more)]
    found += [Case(m, w) for m in ("brier_score", *OTHERS) for w in usual]
    uneven = World((1000,) * 8, shifts="unequal")
    found += [Case(m, uneven, positives=(0.05, 0.5)) for m in OTHERS]
    for metric in LOSSES:
        found += [Case(metric, w, confidence=(0.5, 6.0)) for w in (World(faces), World(faces, candidates=4))]
        found += [Case(metric, w, heat=0.3) for w in (World(faces), World(two))]
    return found


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Logits of the label [arm, seed, row], groups and labels of test rows, and the arms, reference first."""
    reference = json.loads((folder / "study.json").read_text())["audit"]["reference"]
    tables = {}
    for path in sorted(folder.glob("runs/*/run.json")):
        record = json.loads(path.read_text())
        if record["status"] == "finished":
            table = pq.read_table(path.with_name("predictions.parquet")).to_pandas()
            tables[record["arm"], record["seed"]] = table.query("split == 'test'").sort_values("example_id")
    arms = sorted({a for a, _ in tables}, key=lambda a: (a != reference, a))
    seeds = sorted(s for s in {s for _, s in tables} if all((a, s) in tables for a in arms))
    first = tables[arms[0], seeds[0]]
    [by] = [c for c in ("group", "tone") if c in first]
    label = first["label"].to_numpy().astype(int)
    score = np.array([[np.stack(tables[a, s]["score"].to_numpy())[:, 1] for s in seeds] for a in arms])
    eps = np.finfo(float).eps
    score = np.clip(score, eps, 1 - eps)
    margin = (np.log(score) - np.log1p(-score)) * np.where(label == 1, 1, -1)
    return margin, np.unique(first[by].astype(str), return_inverse=True)[1], label == 1, arms


def of_study(kind: tuple[str, Path, tuple[int, ...], int], replicates: int) -> dict:
    """Figures of studies of some runs, drawn from real trainings: runs without, rows with replacement."""
    metric, folder, candidates, runs = kind
    margin, group, label, arms = load(folder)
    margin = margin[[0, *candidates]]
    of_groups = [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
    true = moments(metric, [(margin[..., rows], label[rows]) for rows in of_groups]).difference.reshape(-1)
    rng = np.random.default_rng((runs, len(candidates)))

    def draw() -> Moments:
        chosen = margin[:, rng.choice(margin.shape[1], runs, replace=False)]
        strata = [[rows[label[rows] == y] for y in (False, True)] for rows in of_groups]
        drawn = [np.concatenate([rng.choice(s, len(s)) for s in part]) for part in strata]
        return moments(metric, [(chosen[..., rows], label[rows]) for rows in drawn])

    drawn = [draw() for _ in range(replicates)]
    named = {"metric": metric, "study": folder.name, "arms": " ".join(arms[i] for i in (0, *candidates))}
    return {**named, "runs": runs, **figures(drawn, true)}


def render(cells: list[dict]) -> str:
    """Tables as Markdown."""
    worlds, studies = ([c for c in cells if ("study" in c) == of] for of in (False, True))
    five = [c for c in worlds if c["runs"] == 5]
    mean = {k: np.mean([c[k] for c in five]) for k in WIDTHS}
    head = (
        f"`python -m benchmarks.simulate.values`: {worlds[0]['replicates']:,} replicates of each of "
        f"{len(worlds)} worlds. Least coverage "
        f"{min(c['coverage'] for c in worlds):.3f}, most false alarms "
        f"{max(c['false alarms'] for c in worlds):.3f}. At five runs, on average {mean[WIDTHS[0]]:.2f} of "
        f"the width without moderation and {mean[WIDTHS[1]]:.2f} of an oracle's, which knows every variance."
    )
    real = (
        f"{studies[0]['replicates']:,} studies of each kind, drawn from the trainings of every arm of two "
        f"studies. Least coverage {min(c['coverage'] for c in studies):.3f}."
    )
    parts = [head, _table(worlds, (*KEYS, *WIDTHS)), real, _table(studies, (*OF_STUDIES, *WIDTHS))]
    return "\n\n".join(parts)


def _table(cells: list[dict], keys: tuple[str, ...]) -> str:
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(str(c[k]) for k in keys) + " |" for c in cells])


def main() -> None:
    """Simulate all worlds and draw all kinds of studies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    kinds = []
    for folder in options.folders:
        arms = len(load(folder)[3])
        some = tuple(range(1, arms)), (arms - 1,)
        kinds += [(m, folder, c, s) for m in LOSSES for s in (5, 10) for c in some]
        kinds += [(m, folder, some[0], 5) for m in OTHERS]
    found = []
    with ProcessPoolExecutor(options.processes) as pool:
        worlds = pool.map(partial(coverage, replicates=options.replicates), cases())
        studies = pool.map(partial(of_study, replicates=options.replicates // 2), kinds)
        for cell in itertools.chain(worlds, studies):
            print(cell, flush=True)
            found.append(cell)
    (RESULTS / "values.json").write_text(json.dumps(found, indent=1) + "\n")
    put_between("values", render(found))


if __name__ == "__main__":
    main()

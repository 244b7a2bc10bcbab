"""Coverage of the primary family and of disparities, cell by cell of a grid."""

from __future__ import annotations

import numpy as np

from benchmarks.simulate.worlds import METRICS, UNEQUAL, World, draw, resplit
from evenhand import registry
from evenhand.judge.core import estimates as counts
from evenhand.judge.core.disparities import bounds as maxima
from evenhand.judge.core.disparities import inputs as gaps
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.family import correlated
from evenhand.judge.stats.paired import ScorePaired
from evenhand.judge.stats.quantiles import two_sided, z_of
from evenhand.tables.schema import Columns

ALPHA, MARGIN = 0.05, 0.02
DIRECTIONS = (1, 1, -1)


def world_of(cell: dict) -> World:
    """The world of a grid's cell: group accuracies spread evenly, the candidate's lower in the last group."""
    k = cell["groups"]
    rows = cell["rows"]
    sizes = tuple(UNEQUAL[:k]) if rows == "unequal" else (rows,) * k
    reference = cell["accuracy"] - cell["between groups"] * np.arange(k) / (k - 1)
    candidate = reference - cell["between arms"] * (np.arange(k) == k - 1)
    return World(
        sizes, tuple(reference), tuple(candidate), cell["base rate"], cell["runs"], cell["rho"], cell["sigma"]
    )


def paired(cell: dict, replicates: int, rng: np.random.Generator) -> dict:
    """Simultaneous coverage of the primary family of single runs, its false alarms, width and power.

    The critical value comes from the cell's mean correlation; `end_to_end` uses the audit's own.
    """
    world = world_of(cell)
    m = draw(world, replicates, rng)
    flat = [a.reshape(replicates, -1) for a in (m.n, m.difference, m.absolute, m.square, m.better, m.worse)]
    n, difference, absolute, square, better, worse = flat
    truth, known = m.truth.reshape(replicates, -1), n > 0
    size = n.shape[1]
    correlation = _correlation(cell, m, len(world.sizes))
    family = correlated(correlation, np.random.default_rng(0))
    pointwise = family.pointwise(ALPHA)
    filled = [np.where(known, v, 0.0) for v in (difference, absolute, square)]
    estimates = ScorePaired(
        *filled,
        np.where(known, n, 1.0),
        Variation(np.inf, np.zeros(n.shape), np.inf),
        better,
        worse,
    )
    low, high = estimates.interval(pointwise)
    slow, shigh = estimates.interval(float(ALPHA / size))
    inside = (low <= truth + 1e-9) & (truth - 1e-9 <= high) | ~known
    direction = np.tile(DIRECTIONS, len(world.sizes))
    alarm = np.where(known, (low > 0) | (high < 0), False).any(axis=1)
    harm = np.where(direction > 0, (high < 0) & (low <= -MARGIN), (low > 0) & (high >= MARGIN)) & known
    wrong = harm | (
        np.where(direction > 0, (low > 0) & (high >= MARGIN), (high < 0) & (low <= -MARGIN)) & known
    )
    nothing_to_find = cell["between arms"] == 0
    width, bonferroni = np.where(known, high - low, 0).sum(), np.where(known, shigh - slow, 0).sum()
    return {
        "coverage": float(inside.all(axis=1).mean()),
        "pointwise": float(inside[known].mean()),
        "zero excluded": float(alarm.mean()),
        "false alarms": float(wrong.any(axis=1).mean()) if nothing_to_find else None,
        "power": float(harm[:, -3].mean()) if cell["between arms"] else None,
        "width": float(width / known.sum()),
        "against Bonferroni": float(width / bonferroni),
        "critical": float(z_of(two_sided(family.critical(ALPHA)))),
    }


def _correlation(cell: dict, m: object, groups: int) -> np.ndarray:
    """Accuracy is the mean of the answers to positives and negatives: its correlation with each, by group."""
    base = cell["base rate"]
    block = np.eye(3)
    block[0, 1] = block[1, 0] = np.sqrt(base)
    block[0, 2] = block[2, 0] = -np.sqrt(1 - base)
    rows = np.mean(m.n[:, :, 1:] * m.absolute[:, :, 1:], axis=0)  # type: ignore[attr-defined]
    total = np.kron(np.eye(groups), block)
    few = np.repeat((np.nan_to_num(rows) < 10).any(axis=1), 3)
    total[few[:, None] | few[None, :]] = 0
    np.fill_diagonal(total, 1.0)
    return total


def disparity(
    cell: dict, replicates: int, rng: np.random.Generator, name: str = "accuracy_difference"
) -> dict:
    """Coverage of a disparity of one arm and of its difference between two, by the audit's own code."""
    world = world_of(cell)
    info = registry.load("evenhand.judge.disparities", name).INFO
    accuracy = np.array([world.reference, world.candidate]) if world.runs == 1 else world.truth()
    true = [float(info.value({"accuracy": a})) for a in accuracy]
    one, two, excluded, equivalent, width = [], [], [], [], []
    metric = registry.load("evenhand.judge.metrics", "accuracy")
    for i in range(replicates):
        p = counts.collapse_equal_rows(world.rows(rng))
        groups = counts.groups_of(p.attributes[0], p)
        seen = [[counts.observe(metric, arm, g, p, 1) for g in groups] for arm in p.arms]
        values = [float(info.value({"accuracy": np.array([o.value for o in s])})) for s in seen]
        arm = i % 2
        single = gaps.build_maximum(info, values[arm], [[seen[arm]]], groups, p, (0, i))
        [low], [high], _ = maxima.bound_maxima([single], ALPHA)
        one.append(low - 1e-9 <= true[arm] <= high + 1e-9)
        pair = gaps.build_maximum(info, values[1] - values[0], [seen], groups, p, (1, i))
        [low], [high], _ = maxima.bound_maxima([pair], ALPHA)
        two.append(low - 1e-9 <= true[1] - true[0] <= high + 1e-9)
        excluded.append(low > 0 or high < 0)
        equivalent.append(low > -MARGIN and high < MARGIN)
        width.append(high - low)
    return {
        "one arm": float(np.mean(one)),
        "two arms": float(np.mean(two)),
        "zero excluded": float(np.mean(excluded)),
        "equivalent": float(np.mean(equivalent)),
        "width": float(np.mean(width)),
    }


#: What a metric is where TPR = TNR = a and a share b of the labels is positive.
TRUE = {
    "accuracy": lambda a, b: a,
    "true_positive_rate": lambda a, b: a,
    "false_positive_rate": lambda a, b: 1 - a,
    "balanced_accuracy": lambda a, b: a,
    "precision": lambda a, b: a * b / (a * b + (1 - a) * (1 - b)),
    "f1": lambda a, b: 2 * a * b / (2 * a * b + (1 - a)),
}
INFLUENCE = ("balanced_accuracy", "precision", "f1")


def whole_audit(cell: dict, replicates: int, rng: np.random.Generator, metrics: tuple = METRICS) -> dict:
    """The primary family as `evenhand audit` gives it: its own correlation, statuses, verdicts."""
    world = world_of(cell)
    mean = np.array([world.reference, world.candidate]) if world.runs == 1 else world.truth()
    settings = Settings(metrics=metrics, primary=metrics)
    inside, alarms, judged, width, agree = [], [], [], [], True
    for _ in range(replicates):
        rows = world.rows(rng)
        rows = resplit(rows, rng) if cell.get("resplit") else rows
        document = judge_predictions(rows, Columns(), settings).document
        primary = [c for c in document["comparisons"] if c["family"] == "primary"]
        judged_rows = [c for c in primary if c["status"] == "ok"]
        hold = []
        for c in judged_rows:
            true = [TRUE[c["metric"]](mean[arm, int(c["group"][1:])], world.base_rate) for arm in (0, 1)]
            hold.append(c["low"] - 1e-9 <= true[1] - true[0] <= c["high"] + 1e-9)
            agree &= (c["p_adjusted"] < ALPHA) == (c["low"] > 0 or c["high"] < 0)
        inside.append(all(hold))
        judged.append(len(judged_rows) / len(primary))
        width += [c["high"] - c["low"] for c in judged_rows]
        alarms.append(any(c["verdict"] in {"harm", "help"} for c in judged_rows))
    return {
        "coverage": float(np.mean(inside)),
        "false alarms": float(np.mean(alarms)) if cell["between arms"] == 0 else None,
        "judged": float(np.mean(judged)),
        "width": float(np.mean(width)),
        "p agrees with interval": bool(agree),
    }


def influence(cell: dict, replicates: int, rng: np.random.Generator) -> dict:
    """The same for metrics that are compared by their influence values."""
    return whole_audit(cell, replicates, rng, INFLUENCE)


def own_splits(cell: dict, replicates: int, rng: np.random.Generator) -> dict:
    """Whole audits where every run draws a fifth of the examples as its own test part."""
    return whole_audit({**cell, "resplit": True}, replicates, rng)


def bootstrap(cell: dict, replicates: int, rng: np.random.Generator, draws: int = 400) -> dict:
    """What validity costs: the pointwise percentile bootstrap of each difference beside the audit's."""
    world = world_of(cell)
    m = draw(world, replicates, rng)
    n, worse, better = (a.reshape(replicates, -1) for a in (m.n, m.worse, m.better))
    share = np.stack([worse, better, n - worse - better], axis=-1) / np.maximum(n, 1)[..., None]
    cells = rng.multinomial(n.astype(int), share, size=(draws, *n.shape))
    difference = (cells[..., 1] - cells[..., 0]) / np.maximum(n, 1)
    low, high = np.quantile(difference, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    truth, known = m.truth.reshape(replicates, -1), n > 0
    inside = (low <= truth + 1e-9) & (truth - 1e-9 <= high) | ~known
    ours = paired(cell, replicates, rng)
    return {
        "coverage": ours["coverage"],
        "width": ours["width"],
        "against Bonferroni": ours["against Bonferroni"],
        "bootstrap coverage": float(inside.all(axis=1).mean()),
        "bootstrap width": float((high - low)[known].mean()),
    }

"""Pilots without data: variances that are assumed, for a study that has not run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.judge.planning.forecast import Pilot
from evenhand.judge.planning.parts import moderated_dof
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.combine import MIN_RUNS_MODERATED
from evenhand.judge.stats.moderated import MAX_DOF, SHARE_EXPONENT
from evenhand.judge.stats.quantiles import z_of

#: Rows behind a share: all, those with a positive label, or the others.
ROWS_BEHIND = {
    "accuracy": "all",
    "true_positive_rate": "positive",
    "false_negative_rate": "positive",
    "false_positive_rate": "negative",
    "true_negative_rate": "negative",
}


@dataclass(frozen=True)
class Assumptions:
    """Variances that are assumed of every arm in every group.

    Attributes:
        disagreement: share of rows that two arms answer differently in every run.
        flips: share of the answers of an arm that differ between its runs: the mean square of rows x runs.
        shift: standard deviation of a run's rate, beyond what flips explain.
    """

    disagreement: float = 0.05
    flips: float = 0.05
    shift: float = 0.01


@dataclass(frozen=True)
class GroupSize:
    """Test rows of a group, and how many of them have a positive label."""

    attribute: str
    group: str
    rows: int
    positive: int


def assume_pilot(
    model: str,
    candidates: Sequence[str],
    groups: Sequence[GroupSize],
    runs: int,
    settings: Settings,
    assumptions: Assumptions,
) -> Pilot:
    """Build the pilot of a study that has not run.

    Args:
        model: name of the base model.
        candidates: names of the arms that are compared with the reference.
        groups: sizes of the groups.
        runs: of each arm.
        settings: primary metrics, margins and level.
        assumptions: the variances.
    """
    metrics = [m for m in settings.declared if m in ROWS_BEHIND]
    keys = [(c, g, m) for m in metrics for g in groups for c in candidates]
    sizes = np.array([_rows(g, m) for _, g, m in keys], dtype=np.float64)
    enough = sizes >= settings.min_group_size
    tests = max(int(enough.sum()), 1)
    critical = float(z_of(-math.expm1(math.log1p(-settings.alpha) / tests)))
    harm_critical = float(z_of(2 * settings.alpha / tests))
    rows = [
        _row(key, sizes[k], runs, assumptions, len(candidates) + 1)
        | {"critical": critical, "harm_critical": harm_critical, "margin": _margin(key[2], settings)}
        for k, key in enumerate(keys)
        if enough[k]
    ]
    return Pilot(model, rows, int((~enough).sum()), len(candidates) + 1)


def _rows(group: GroupSize, metric: str) -> int:
    behind = ROWS_BEHIND[metric]
    return (
        group.rows
        if behind == "all"
        else group.positive
        if behind == "positive"
        else group.rows - group.positive
    )


def _row(
    key: tuple[str, GroupSize, str], n: float, runs: int, assumed: Assumptions, arms: int
) -> dict[str, Any]:
    """Build a row of `comparisons` without a difference, as far as a plan reads it."""
    candidate, group, metric = key
    flips, shifts = 2 * assumed.flips / (n * runs), 2 * assumed.shift**2 / runs
    over_rows = assumed.disagreement / n + flips
    share = max((flips + shifts) / (over_rows + shifts), 1e-9)
    dof = min(float(moderated_dof(np.array(arms), np.array(runs))) / share**SHARE_EXPONENT, MAX_DOF)
    varies = runs >= MIN_RUNS_MODERATED
    return {
        "candidate": candidate,
        "attribute": group.attribute,
        "group": group.group,
        "class": None,
        "metric": metric,
        "verdict": "undecided",
        "n": int(n),
        "runs": runs,
        "unit": "rows and runs" if varies else "rows",
        "low": 0.0,
        "high": 0.0,
        "row_variance": over_rows,
        "flip_variance": flips if varies else None,
        "run_variance": shifts if varies else None,
        "row_dof": dof if varies else None,
        "run_dof": dof if varies else None,
    }


def _margin(metric: str, settings: Settings) -> float | None:
    return settings.margins.get(
        metric, settings.margin if registry.load(METRICS, metric).INFO.margin else None
    )

"""Rows of `rates`: one metric of one arm in one group, with a pointwise interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenhand.judge.core.estimates import (
    MIN_RUNS,
    Group,
    Observed,
    effective_rows,
    row_dof,
    row_variance,
    shortage,
)
from evenhand.judge.core.pairs import module_name
from evenhand.judge.metrics import Metric
from evenhand.judge.settings import Settings
from evenhand.judge.stats.intervals import wilson
from evenhand.judge.stats.paired import WaldPaired
from evenhand.judge.stats.quantiles import t_of, z_of, z_to_t
from evenhand.tables.schema import Arm, Predictions

NAN = float("nan")


def rate_row(
    metric: Metric,
    arm: Arm,
    class_name: str | None,
    group: Group,
    observed: Observed,
    predictions: Predictions,
    settings: Settings,
) -> dict[str, Any]:
    """Build one row of `rates`."""
    several = len(arm.runs) >= MIN_RUNS
    status, reason = "ok", ""
    low = high = NAN
    interval: str | None = None
    if np.isnan(observed.value):
        status, reason = "undefined", observed.reason
    else:
        if group.n < settings.min_group_size:
            status, reason = "too_small", shortage(group.n, settings.min_group_size)
        low, high, interval = _interval(metric, group, observed, predictions, settings.alpha)
    return {
        "input": arm.name,
        "attribute": group.attribute,
        "group": group.name,
        "class": class_name,
        "metric": module_name(metric),
        "value": observed.value,
        "low": low,
        "high": high,
        "level": 1 - settings.alpha,
        "n": group.n,
        "n_positive": _count_positives(class_name, group, predictions),
        "runs": len(arm.runs),
        "unit": "rows and runs" if several else "rows",
        "status": status,
        "reason": reason,
        "interval": interval,
    }


def _count_positives(class_name: str | None, group: Group, p: Predictions) -> int | None:
    """Count examples of the positive class; None where the metric has no positive class."""
    if class_name is not None:
        positive = p.classes.index(class_name)
    elif p.positive is not None:
        positive = p.positive
    else:
        return None
    return round(float(p.count[group.rows] @ (p.label[group.rows] == positive)))


def _interval(
    metric: Metric, group: Group, observed: Observed, p: Predictions, alpha: float
) -> tuple[float, float, str]:
    """Limits of one value: Wilson for shares, normal or t for means, none for calibration errors."""
    info, value = metric.INFO, observed.value
    runs, run_dof = 0.0, np.inf
    if len(observed.values) >= MIN_RUNS:
        runs = float(np.var(observed.values, ddof=1) / len(observed.values))
        run_dof = len(observed.values) - 1.0
    if info.inference == "permutation":
        return NAN, NAN, "none: its size depends on the number of rows"
    if info.range == (0, 1):
        n = effective_rows(observed, group, p)
        if not n > 0:
            return NAN, NAN, "none: no rows"
        z = z_to_t(z_of(alpha), row_dof(group.rows, p))
        low, high = (float(v) for v in wilson(value, n, z))
        part = float(t_of(alpha, run_dof)) * np.sqrt(runs) if runs > 0 else 0.0
        return (
            max(value - float(np.hypot(value - low, part)), 0.0),
            min(value + float(np.hypot(high - value, part)), 1.0),
            "Wilson, pointwise",
        )
    row_var = row_variance(observed.influence, group.rows, p)
    dof = min(row_dof(group.rows, p), max(group.n - 1.0, 1.0))
    if group.n < 2 or not row_var > 0:
        return NAN, NAN, "none: fewer than two different rows"
    estimate = WaldPaired(*(np.array([v]) for v in (value, row_var, dof, runs, run_dof)))
    low_w, high_w = estimate.interval(alpha)
    return max(float(low_w[0]), info.range[0]), min(float(high_w[0]), info.range[1]), "t, pointwise"

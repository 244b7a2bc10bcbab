"""Rows of `rates`: one metric of one arm in one group, with a pointwise interval."""

from __future__ import annotations

import numpy as np

from evenhand.judge.core.estimates import (
    Group,
    Observed,
    effective_rows,
    row_dof,
    row_variance,
    shortage,
)
from evenhand.judge.core.pairs import module_name
from evenhand.judge.metrics import Metric
from evenhand.judge.rows import NAN, RateRow, Status
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import Variation, share_limits, unit_of
from evenhand.judge.stats.intervals import wilson
from evenhand.judge.stats.paired import WaldPaired
from evenhand.judge.stats.quantiles import z_of
from evenhand.tables.schema import Arm, Predictions


def rate_row(
    metric: Metric,
    arm: Arm,
    class_name: str | None,
    group: Group,
    observed: Observed,
    predictions: Predictions,
    settings: Settings,
) -> RateRow:
    """Build one row of `rates`."""
    status: Status = "ok"
    reason = ""
    low = high = NAN
    interval: str | None = None
    if np.isnan(observed.value):
        status, reason = "undefined", observed.reason
    else:
        if group.n < settings.min_group_size:
            status, reason = "too_small", shortage(group.n, settings.min_group_size)
        low, high, interval = _interval(metric, group, observed, predictions, settings.alpha)
    return RateRow(
        input=arm.name,
        attribute=group.attribute,
        group=group.name,
        class_name=class_name,
        metric=module_name(metric),
        value=observed.value,
        low=low,
        high=high,
        level=1 - settings.alpha,
        n=group.n,
        n_positive=_count_positives(class_name, group, predictions),
        runs=len(arm.runs),
        unit=unit_of(len(arm.runs)),
        status=status,
        reason=reason,
        interval=interval,
    )


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
    if info.inference == "permutation":
        return NAN, NAN, "none: its size depends on the number of rows"
    clusters = row_dof(group.rows, p)
    if info.range == (0, 1):
        n = effective_rows(observed, group, p)
        if not n > 0:
            return NAN, NAN, "none: no rows"
        z, variation = float(z_of(alpha)), Variation.of_runs(clusters, observed.values)
        rows = wilson(value, n, variation.row_quantile(z))
        return *share_limits(value, rows, float(variation.run_distance(z))), "Wilson, pointwise"
    row_var = row_variance(observed.influence, group.rows, p)
    if group.n < 2 or not row_var > 0:
        return NAN, NAN, "none: fewer than two different rows"
    variation = Variation.of_runs(min(clusters, max(group.n - 1.0, 1.0)), observed.values)
    low, high = WaldPaired(np.asarray(value), np.asarray(row_var), variation).interval(alpha)
    return max(float(low), info.range[0]), min(float(high), info.range[1]), "t, pointwise"

"""Reliability diagrams: mean confidence and observed frequency in bins of the score, by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenhand.judge.core.estimates import Group, Observed, effective_rows, groups_of, row_dof
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics.expected_calibration_error import BINS, bin_of, confidence_and_outcome
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import run_half_width, share_limits
from evenhand.judge.stats.intervals import wilson
from evenhand.judge.stats.quantiles import z_of, z_to_t
from evenhand.tables.schema import ABSENT, Arm, FloatArray, Predictions


def reliability(predictions: Predictions, settings: Settings) -> list[dict[str, Any]]:
    """Compute the observed frequency in each bin of the score, for every arm and group, pooled over runs.

    Bins are those of `expected_calibration_error`. Two classes: the confidence is P(positive), the
    `accuracy` of a bin its frequency of the positive class. More: the score of the predicted class, and the
    share of right predictions.

    A bin's share is a ratio of sums over rows and runs. Its pointwise interval is Wilson's with the number of
    rows, not of answers: the same row in five runs is one row; clusters and weights count as in `rates`. From
    five runs on, the spread of the runs is added. A run that lacks a row does not contribute to it.

    Args:
        predictions: all arms, with scores.
        settings: level and smallest group; smaller groups have no rows here.

    Returns:
        One row per arm, group and bin that holds anything, with `n` rows per run in the bin (on average).
        Nothing when an arm has no scores.
    """
    if any(arm.score is None for arm in predictions.arms):
        return []
    groups = [g for a in (None, *predictions.attributes) for g in groups_of(a, predictions)]
    return [
        row
        for arm in predictions.arms
        for group in groups
        if group.n >= settings.min_group_size
        for row in _group_bins(arm, group, predictions, settings.alpha)
    ]


def _group_bins(arm: Arm, group: Group, p: Predictions, alpha: float) -> list[dict[str, Any]]:
    """The bins of one arm in one group."""
    pairs = [_answers(arm, run, group, p) for run in range(len(arm.runs))]
    here = arm.prediction[:, group.rows] != ABSENT
    confidence = np.where(here, np.stack([c for c, _ in pairs]), 0.0)
    outcome = np.where(here, np.stack([o for _, o in pairs]), 0.0)
    bins = np.stack([bin_of(c, BINS) for c in confidence])
    weight = p.weight[group.rows]
    rows = []
    for index in np.unique(bins[here]):
        inside = ((bins == index) & here).astype(np.float64)
        if not float((inside @ weight).sum()) > 0:
            continue
        mean = float((inside * confidence @ weight).sum() / (inside @ weight).sum())
        share, low, high = _bin_share(inside, outcome, group, p, alpha)
        rows.append(
            {
                "arm": arm.name,
                "attribute": group.attribute,
                "group": group.name,
                "bin": int(index),
                "low_edge": int(index) / BINS,
                "high_edge": (int(index) + 1) / BINS,
                "confidence": mean,
                "accuracy": share,
                "n": round(float((inside @ p.count[group.rows]).mean()), 6),
                "low": low,
                "high": high,
                "level": 1 - alpha,
                "runs": len(arm.runs),
            }
        )
    return rows


def _answers(arm: Arm, run: int, group: Group, p: Predictions) -> tuple[FloatArray, FloatArray]:
    """[n] confidence and [n] 0/1 outcome of one run."""
    assert arm.score is not None
    rows = group.rows
    sample = Sample(
        p.label[rows], arm.prediction[run][rows], p.weight[rows], p.positive or 0, arm.score[run][rows]
    )
    return confidence_and_outcome(sample)


def _bin_share(
    inside: FloatArray, outcome: FloatArray, group: Group, p: Predictions, alpha: float
) -> tuple[float, float, float]:
    """Compute the observed frequency in a bin, with its pointwise limits.

    Args:
        inside: [runs, n] 1 where a row is in the bin.
        outcome: [runs, n] 1 where the prediction came true.
        group: the rows.
        p: the predictions that contain them.
        alpha: 1 - alpha is the level.
    """
    present = inside.any(axis=0)
    rows = group.rows[present]
    weight = p.weight[rows]
    above, below = (inside * outcome)[:, present], inside[:, present]
    total = float(below.mean(axis=0) @ weight)
    value = min(float(above.mean(axis=0) @ weight) / total, 1.0)
    moved = (above - value * below) / total
    true = above.mean(axis=0)
    observed = Observed(moved @ weight, value, moved.mean(axis=0), true, below.mean(axis=0), true, "")
    n = effective_rows(observed, Group(group.attribute, group.name, rows, len(rows)), p)
    if not n > 0:
        return value, float("nan"), float("nan")
    rows_only = wilson(value, n, z_to_t(z_of(alpha), row_dof(rows, p)))
    return value, *share_limits(value, rows_only, run_half_width(observed.values, alpha))

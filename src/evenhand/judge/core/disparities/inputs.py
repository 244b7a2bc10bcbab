"""Inputs of the bounds of disparities, for one arm and for the difference between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.judge.core.estimates import (
    Group,
    Observed,
    effective_rows,
    paired_shares,
    row_covariance,
)
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.judge.stats.forms import Rates
from evenhand.judge.stats.paired import ScorePaired, stack
from evenhand.tables.schema import FloatArray, Predictions


@dataclass(frozen=True)
class Maximum:
    """A disparity, or its difference between two arms, as a maximum of linear forms of group rates.

    Attributes:
        info: the disparity's facts.
        value: the estimate: the disparity, or candidate minus reference.
        rates: the group rates of each metric of the disparity.
        seed: seed of the draws of the largest contrast.
    """

    info: DisparityInfo
    value: float
    rates: tuple[Rates, ...]
    seed: tuple[int, ...]


def build_maximum(
    info: DisparityInfo,
    value: float,
    observed: Sequence[list[list[Observed]]],
    groups: list[Group],
    predictions: Predictions,
    seed: tuple[int, ...],
    *,
    same_runs: bool = True,
) -> Maximum:
    """Build the inputs for a disparity of one arm, or for its difference between two.

    Args:
        info: the disparity's facts.
        value: the estimate.
        observed: [metric][arm][group] observations; of two arms the reference comes first.
        groups: the usable groups.
        predictions: the rows.
        seed: of the draws.
        same_runs: whether the runs of two arms are paired.
    """
    rates = tuple(_rates(arms, groups, predictions, same_runs=same_runs) for arms in observed)
    return Maximum(info, value, rates, seed)


def _rates(
    arms: list[list[Observed]], groups: list[Group], predictions: Predictions, *, same_runs: bool
) -> Rates:
    """Stack the group rates of one or two arms with what their bounds need.

    Groups are sorted by their rates: draws of the largest contrast depend on positions, so limits would
    otherwise depend on the order of the groups in the data.
    """
    order = sorted(range(len(groups)), key=lambda g: ([arm[g].value for arm in arms], groups[g].n))
    arms, groups = [[arm[g] for g in order] for arm in arms], [groups[g] for g in order]
    flat = [(o, g) for arm in arms for o, g in zip(arm, groups, strict=True)]
    value = np.array([o.value for o, _ in flat])
    n = np.array([effective_rows(o, g, predictions) for o, g in flat])
    correlation = _correlation(flat, predictions)
    runs = None
    fewest = min(len(arm[0].values) for arm in arms)
    if fewest >= MIN_RUNS and (same_runs or len({len(a[0].values) for a in arms}) == 1):
        runs = np.stack([o.values for o, _ in flat])
    elif fewest >= MIN_RUNS:
        runs = np.stack([o.values[:fewest] for o, _ in flat])
    if len(arms) == 1:
        return Rates(value, n, correlation, runs)
    reference, candidate = arms
    paired = [_paired(a, b, g, predictions) for a, b, g in zip(reference, candidate, groups, strict=True)]
    return Rates(value, n, correlation, runs, stack(paired))


def _paired(a: Observed, b: Observed, group: Group, predictions: Predictions) -> ScorePaired:
    """Estimate the difference of a rate between the arms, whose rows are the same."""
    assert a.denominator is not None
    return paired_shares(a, b, a.denominator, group.rows, predictions)[0]


def _correlation(flat: list[tuple[Observed, Group]], predictions: Predictions) -> FloatArray:
    """[P, P] correlation of rates over rows; a rate of 0 or 1 has no influence and correlates with none."""
    size = len(predictions.label)
    influence = np.zeros((len(flat), size))
    for row, (o, g) in enumerate(flat):
        influence[row, g.rows] = o.influence
    covariance = row_covariance(influence, np.arange(size), predictions)
    deviation = np.sqrt(np.clip(np.diagonal(covariance), 0, None))
    known = deviation > 0
    scale = np.where(known, 1 / np.where(known, deviation, 1.0), 0.0)
    correlation = np.clip(covariance * scale[:, None] * scale[None, :], -1, 1)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)

"""Rows of `disparities`, and the pairs that compare disparities between arms."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from evenhand import registry
from evenhand.judge.core.disparities.bounds import bound_maxima
from evenhand.judge.core.disparities.inputs import Maximum, disparity_difference, single_arm_disparity
from evenhand.judge.core.estimates import Group, Observed, shortage
from evenhand.judge.core.evidence import (
    Contrasts,
    Evidence,
    Identity,
    Missing,
    PairedEstimate,
    Permutation,
)
from evenhand.judge.core.flips import count_flips
from evenhand.judge.core.pairs import module_name
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics.expected_calibration_error import BINS, bin_of, confidence_and_outcome
from evenhand.judge.rows import NAN, DisparityRow
from evenhand.judge.settings import DISPARITIES, Settings
from evenhand.judge.stats.combine import unit_of
from evenhand.judge.stats.permutation import permuted_gap
from evenhand.tables.schema import Predictions

#: The interval of a disparity whose size depends on the sizes of groups.
SIZE_FAIR = "none: depends on group sizes; p-value by permuting outcomes within bins of the score"


@dataclass(frozen=True)
class GroupEstimates:
    """Observations of one metric and class in every group of one attribute.

    Attributes:
        predictions: the rows.
        groups: the groups.
        arms: [arm][group] observations.
    """

    predictions: Predictions
    groups: list[Group]
    arms: list[list[Observed]]


#: (metric, class, attribute) -> observations
Table = dict[tuple[str, str | None, str], GroupEstimates]


@dataclass(frozen=True)
class UsableGroups:
    """The groups that enter a disparity, and the others with the reason."""

    indices: list[int]
    names: list[str]
    left_out: list[dict[str, str]]


def build_disparities(
    table: Table, cells: Predictions, reference: int, settings: Settings
) -> tuple[list[DisparityRow], list[PairedEstimate]]:
    """Build the rows of every chosen disparity, and their comparisons between arms.

    Args:
        table: observations by metric, class and attribute.
        cells: the aggregated rows.
        reference: index of the reference arm.
        settings: which disparities, at which level.
    """
    rows: list[tuple[DisparityRow, Maximum | None]] = []
    pairs: list[PairedEstimate] = []
    for name in settings.chosen_disparities:
        disparity = registry.load(DISPARITIES, name)
        for attribute in cells.attributes:
            for class_name in dict.fromkeys(c for m, c, _ in table if m == disparity.INFO.of[0]):
                tables = [table.get((m, class_name, attribute.name)) for m in disparity.INFO.of]
                if all(s is not None for s in tables):
                    estimates = [s for s in tables if s is not None]
                    for arm in range(len(cells.arms)):
                        rows.append(
                            _build_row(disparity, attribute.name, class_name, estimates, arm, settings)
                        )
                        if arm != reference:
                            arms = (reference, arm)
                            pairs.append(
                                _build_pair(disparity, attribute.name, class_name, estimates, arms, settings)
                            )
    low, high, _ = bound_maxima([m for _, m in rows if m is not None], settings.alpha)
    limits = iter(zip(low.tolist(), high.tolist(), strict=True))
    bounded = [row if m is None else row.between(*next(limits)) for row, m in rows]
    return bounded, pairs


def _usable_groups(
    estimates: list[GroupEstimates], arms: tuple[int, ...], settings: Settings
) -> UsableGroups:
    """Select the groups that are large enough and defined for every metric and arm; others get a reason."""
    indices, names, left_out = [], [], []
    for g, group in enumerate(estimates[0].groups):
        name = str(group.name)
        reasons = [s.arms[a][g].reason for s in estimates for a in arms if np.isnan(s.arms[a][g].value)]
        if reasons:
            left_out.append({"group": name, "reason": reasons[0] or "undefined"})
        elif group.n < settings.min_group_size:
            left_out.append({"group": name, "reason": shortage(group.n, settings.min_group_size)})
        else:
            indices.append(g)
            names.append(name)
    return UsableGroups(indices, names, left_out)


def _value(disparity: ModuleType, estimates: list[GroupEstimates], arm: int, used: UsableGroups) -> float:
    values = {
        metric: np.array([s.arms[arm][g].value for g in used.indices])
        for metric, s in zip(disparity.INFO.of, estimates, strict=True)
    }
    return float(disparity.compute(values)) if len(used.indices) >= 2 else NAN


def _undefined_reason(used: UsableGroups) -> str:
    if len(used.indices) < 2:
        return f"{len(used.indices)} groups can be compared; at least two are needed"
    return "every group's rate is 0, so the ratio is undefined"


def _seed(disparity: ModuleType, seed: int) -> tuple[int, ...]:
    """Return the seed of a disparity's draws, independent of names and order of arms and attributes."""
    return seed, zlib.crc32(disparity.__name__.encode())


def _build_row(
    disparity: ModuleType,
    attribute: str,
    class_name: str | None,
    estimates: list[GroupEstimates],
    arm: int,
    settings: Settings,
) -> tuple[DisparityRow, Maximum | None]:
    """Build one row of `disparities`, and the inputs of its limits."""
    info, predictions = disparity.INFO, estimates[0].predictions
    used = _usable_groups(estimates, (arm,), settings)
    value = _value(disparity, estimates, arm, used)
    this = predictions.arms[arm]
    row = DisparityRow(
        input=this.name,
        attribute=attribute,
        class_name=class_name,
        metric=module_name(disparity),
        value=value,
        level=1 - settings.alpha,
        groups_used=used.names,
        groups_left_out=used.left_out,
        runs=len(this.runs),
        unit=unit_of(len(this.runs)),
    )
    if np.isnan(value):
        return replace(row, status="undefined", reason=_undefined_reason(used)), None
    seed = _seed(disparity, settings.rng)
    if info.form == "size_fair":
        p_value, reason = _size_fair(estimates[0], arm, used, seed)
        return replace(row, interval=SIZE_FAIR, p_value=p_value, reason=reason), None
    groups = [estimates[0].groups[g] for g in used.indices]
    observed = [[s.arms[arm][g] for g in used.indices] for s in estimates]
    row = replace(row, interval="simultaneous over all contrasts of groups")
    return row, single_arm_disparity(info, value, observed, groups, predictions, seed)


def _size_fair(
    estimates: GroupEstimates, arm: int, used: UsableGroups, seed: tuple[int, ...]
) -> tuple[float, str]:
    """Permutation p-value of equal calibration, for one run of disjoint groups without weights."""
    p = estimates.predictions
    this = p.arms[arm]
    rows = np.concatenate([estimates.groups[g].rows for g in used.indices])
    if p.weighted or p.cluster is not None:
        return NAN, "no p-value: weighted or clustered rows cannot be permuted"
    if len(this.runs) > 1:
        return NAN, "no p-value: the test needs a single run per arm"
    if len(np.unique(rows)) < len(rows):
        return NAN, "no p-value: the groups overlap"
    group = np.concatenate([np.full(len(estimates.groups[g].rows), i) for i, g in enumerate(used.indices)])
    # Draws depend on the order of rows and groups: sort rows by index and groups by their first row, so that
    # the names of groups do not matter.
    order = np.argsort(rows)
    rows, (_, first, code) = rows[order], np.unique(group[order], return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[code]
    assert this.score is not None
    sample = Sample(
        p.label[rows], this.prediction[0][rows], p.weight[rows], p.positive or 0, this.score[0][rows]
    )
    confidence, outcome = confidence_and_outcome(sample)
    bins, rng = bin_of(confidence, BINS), np.random.default_rng(seed)
    return permuted_gap(group, bins, confidence, outcome.astype(np.int64), rng), ""


def _build_pair(
    disparity: ModuleType,
    attribute: str,
    class_name: str | None,
    estimates: list[GroupEstimates],
    arms: tuple[int, int],
    settings: Settings,
) -> PairedEstimate:
    """Build the pair of a disparity between two arms, over the groups that are usable in both."""
    info, predictions = disparity.INFO, estimates[0].predictions
    reference, candidate = (predictions.arms[a] for a in arms)
    used = _usable_groups(estimates, arms, settings)
    values = [_value(disparity, estimates, a, used) for a in arms]
    groups = [estimates[0].groups[g] for g in used.indices]
    fewest = min(len(reference.runs), len(candidate.runs))
    rows = np.unique(np.concatenate([g.rows for g in groups])) if groups else np.empty(0, dtype=np.int64)
    amount = predictions.count[rows]
    right = tuple(arm.prediction[:, rows] == predictions.label[rows] for arm in (reference, candidate))
    changed = count_flips((reference, candidate), (right[0], right[1]), rows, amount)
    difference = values[1] - values[0]
    identity = Identity(
        candidate=candidate.name,
        attribute=attribute,
        group=None,
        class_name=class_name,
        metric=module_name(disparity),
        complement_key=module_name(disparity),
        direction=info.direction,
        margin_rule=info.margin,
        span=info.range[1] - info.range[0],
    )
    evidence: Evidence
    if np.isnan(difference):
        reason = _undefined_reason(used)
        evidence = (
            Permutation(status="undefined", reason=reason)
            if info.form == "size_fair"
            else Missing("undefined", reason)
        )
    elif info.form == "size_fair":
        reason = "no p-value between arms: compare expected_calibration_error group by group"
        evidence = Permutation(reason=reason)
    else:
        observed = [
            ([s.arms[arms[0]][g] for g in used.indices], [s.arms[arms[1]][g] for g in used.indices])
            for s in estimates
        ]
        seed = _seed(disparity, settings.rng)
        same = reference.runs == candidate.runs
        evidence = Contrasts(
            disparity_difference(info, difference, observed, groups, predictions, seed, same_runs=same)
        )
    return PairedEstimate(identity, difference, round(float(amount.sum())), fewest, changed, evidence)

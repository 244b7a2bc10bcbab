"""Rows of `disparities`, and the pairs that compare disparities between arms."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evenhand import registry
from evenhand.errors import plural
from evenhand.judge.core.disparities.bounds import bound_maxima
from evenhand.judge.core.disparities.inputs import Maximum, build_maximum
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
from evenhand.judge.disparities import DisparityInfo
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


@dataclass(frozen=True)
class Disparity:
    """A disparity between the groups of one attribute.

    Attributes:
        name: its name in the result.
        info: its facts.
        attribute: the attribute.
        class_name: the class of its metrics, or None.
        estimates: the group estimates of each metric in `info.of`.
        settings: level and smallest group.
        seed: of draws; independent of names and order of arms and attributes.
    """

    name: str
    info: DisparityInfo
    attribute: str
    class_name: str | None
    estimates: list[GroupEstimates]
    settings: Settings
    seed: tuple[int, ...]

    @property
    def predictions(self) -> Predictions:
        """The rows."""
        return self.estimates[0].predictions

    def usable_groups(self, *arms: int) -> UsableGroups:
        """Select the groups that are large enough and defined for every metric and arm."""
        indices, names, left_out = [], [], []
        for g, group in enumerate(self.estimates[0].groups):
            name = str(group.name)
            observed = [s.arms[a][g] for s in self.estimates for a in arms]
            reasons = [o.reason or "undefined" for o in observed if np.isnan(o.value)]
            if group.n < self.settings.min_group_size:
                reasons.append(shortage(group.n, self.settings.min_group_size))
            if reasons:
                left_out.append({"group": name, "reason": reasons[0]})
            else:
                indices.append(g)
                names.append(name)
        return UsableGroups(indices, names, left_out)

    def value(self, arm: int, used: UsableGroups) -> float:
        """Compute the disparity of one arm; NaN with fewer than two groups."""
        if len(used.indices) < 2:
            return NAN
        values = [np.array([s.arms[arm][g].value for g in used.indices]) for s in self.estimates]
        return self.info.value(dict(zip(self.info.of, values, strict=True)))

    def maximum(self, value: float, used: UsableGroups, *arms: int) -> Maximum:
        """Build the inputs of the bounds for one arm or for the difference between two."""
        observed = [[[s.arms[a][g] for g in used.indices] for a in arms] for s in self.estimates]
        groups = [self.estimates[0].groups[g] for g in used.indices]
        same = len({self.predictions.arms[a].runs for a in arms}) == 1
        return build_maximum(self.info, value, observed, groups, self.predictions, self.seed, same_runs=same)


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
    for disparity in _disparities(table, cells, settings):
        for arm in range(len(cells.arms)):
            rows.append(_build_row(disparity, arm))
            if arm != reference:
                pairs.append(_build_pair(disparity, reference, arm))
    low, high, _ = bound_maxima([m for _, m in rows if m is not None], settings.alpha)
    limits = iter(zip(low.tolist(), high.tolist(), strict=True))
    bounded = [row if m is None else row.between(*next(limits)) for row, m in rows]
    return bounded, pairs


def _disparities(table: Table, cells: Predictions, settings: Settings) -> Iterator[Disparity]:
    """Yield every chosen disparity of every attribute and class whose metrics were all observed."""
    for name in settings.chosen_disparities:
        module = registry.load(DISPARITIES, name)
        info: DisparityInfo = module.INFO
        seed = settings.rng, zlib.crc32(module.__name__.encode())
        for attribute in cells.attributes:
            for class_name in dict.fromkeys(c for m, c, _ in table if m == info.of[0]):
                keys = [(m, class_name, attribute.name) for m in info.of]
                if all(key in table for key in keys):
                    estimates = [table[key] for key in keys]
                    facts = (module_name(module), info, attribute.name, class_name, estimates)
                    yield Disparity(*facts, settings, seed)


def _undefined_reason(used: UsableGroups) -> str:
    if len(used.indices) < 2:
        return f"{plural(len(used.indices), 'group')} can be compared; at least two are needed"
    return "every group's rate is 0, so the ratio is undefined"


def _build_row(disparity: Disparity, arm: int) -> tuple[DisparityRow, Maximum | None]:
    """Build one row of `disparities`, and the inputs of its limits."""
    used = disparity.usable_groups(arm)
    value = disparity.value(arm, used)
    this = disparity.predictions.arms[arm]
    row = DisparityRow(
        input=this.name,
        attribute=disparity.attribute,
        class_name=disparity.class_name,
        metric=disparity.name,
        value=value,
        level=1 - disparity.settings.alpha,
        groups_used=used.names,
        groups_left_out=used.left_out,
        runs=len(this.runs),
        unit=unit_of(len(this.runs)),
    )
    if np.isnan(value):
        return replace(row, status="undefined", reason=_undefined_reason(used)), None
    if disparity.info.form == "size_fair":
        p_value, reason = _size_fair(disparity.estimates[0], arm, used, disparity.seed)
        return replace(row, interval=SIZE_FAIR, p_value=p_value, reason=reason), None
    row = replace(row, interval="simultaneous over all contrasts of groups")
    return row, disparity.maximum(value, used, arm)


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


def _build_pair(disparity: Disparity, reference: int, candidate: int) -> PairedEstimate:
    """Build the pair of a disparity between two arms, over the groups that are usable in both."""
    info, predictions = disparity.info, disparity.predictions
    used = disparity.usable_groups(reference, candidate)
    arms = predictions.arms[reference], predictions.arms[candidate]
    difference = disparity.value(candidate, used) - disparity.value(reference, used)
    groups = [disparity.estimates[0].groups[g].rows for g in used.indices]
    rows = np.unique(np.concatenate(groups)) if groups else np.empty(0, dtype=np.int64)
    amount = predictions.count[rows]
    right = tuple(arm.prediction[:, rows] == predictions.label[rows] for arm in arms)
    where = disparity.attribute, None
    identity = Identity.of(arms[1].name, where, disparity.class_name, disparity.name, info)
    evidence: Evidence
    undefined, size_fair = bool(np.isnan(difference)), info.form == "size_fair"
    if undefined:
        reason = _undefined_reason(used)
        evidence = Permutation(NAN, "undefined", reason) if size_fair else Missing("undefined", reason)
    elif size_fair:
        reason = "no p-value between arms: compare expected_calibration_error group by group"
        evidence = Permutation(reason=reason)
    else:
        evidence = Contrasts(disparity.maximum(difference, used, reference, candidate))
    return PairedEstimate(
        identity,
        difference,
        round(float(amount.sum())),
        min(len(arm.runs) for arm in arms),
        count_flips(arms, (right[0], right[1]), rows, amount),
        evidence,
    )

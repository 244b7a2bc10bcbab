"""Variances over runs of a family of comparisons, moderated together; see `stats/moderated.py`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from evenhand.judge.core.evidence import Evidence, PairedEstimate, RunsOfArms, Score, Wald
from evenhand.judge.stats.moderated import OF_ANSWERS, OF_VALUES, RunCells, RunPart
from evenhand.judge.stats.paired import stack, usual_size
from evenhand.tables.schema import FloatArray, IntArray

#: A metric in a group, up to complements: a rate and 1 - rate vary alike.
Column = tuple[str | None, str | None, str | None, str]


def moderate(pairs: list[PairedEstimate]) -> list[PairedEstimate]:
    """Moderate the variances over runs of a family, where a comparison has enough runs.

    All paired shares are moderated together; of every other metric its groups and arms, since its values have
    a unit of their own.

    Args:
        pairs: the comparisons of a family; those with other evidence, or of too few runs, stay as they are.
    """
    together: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        if isinstance(pair.evidence, Score | Wald) and pair.evidence.runs:
            metric = "" if isinstance(pair.evidence, Score) else pair.identity.metric
            together.setdefault(metric, []).append(i)
    moderated = list(pairs)
    for at in together.values():
        members = [pairs[i] for i in at]
        distinct = _without_complements(members)
        scores = [p.evidence for p in members if isinstance(p.evidence, Score)]
        walds = [p.evidence for p in members if isinstance(p.evidence, Wald)]
        evidence: list[Evidence] = [
            *(_shares(members, scores, distinct) if scores else _others(members, walds, distinct))
        ]
        for i, of_pair in zip(at, evidence, strict=True):
            moderated[i] = replace(pairs[i], evidence=of_pair)
    return moderated


def _shares(pairs: list[PairedEstimate], scores: list[Score], distinct: list[bool]) -> list[Score]:
    """Moderate paired shares; their pseudo-rows have the size that is usual in the family."""
    part = _run_part(pairs, [s.runs for s in scores if s.runs], distinct, OF_ANSWERS)
    estimates = [s.estimate for s in scores]
    size = usual_size(stack([e for e, first in zip(estimates, distinct, strict=True) if first]))
    stacked = replace(stack(estimates), pseudo_size=size)
    rows = stacked.row_variance(np.array([p.runs for p in pairs]))
    variation = part.join(rows, np.asarray(stacked.variation.row_dof))
    return [
        replace(
            score,
            estimate=replace(score.estimate, variation=variation.at(k), pseudo_size=size),
            moderated=True,
            reference_share=float(part.reference_share[k]),
        )
        for k, score in enumerate(scores)
    ]


def _others(pairs: list[PairedEstimate], walds: list[Wald], distinct: list[bool]) -> list[Wald]:
    """Moderate one metric that is compared by influence values."""
    part = _run_part(pairs, [w.runs for w in walds if w.runs], distinct, OF_VALUES)
    stacked = stack([w.estimate for w in walds])
    variation = part.join(stacked.row_variance, np.asarray(stacked.variation.row_dof))
    return [
        replace(
            wald,
            estimate=replace(wald.estimate, variation=variation.at(k)),
            moderated=True,
            reference_share=float(part.reference_share[k]),
        )
        for k, wald in enumerate(walds)
    ]


def _without_complements(pairs: list[PairedEstimate]) -> list[bool]:
    """Mark the pairs of the first metric of each column: a rate and its complement count once."""
    first: dict[Column, str] = {}
    return [first.setdefault(_keys(p)[0], p.identity.metric) == p.identity.metric for p in pairs]


def _run_part(
    pairs: list[PairedEstimate], runs: list[RunsOfArms], distinct: list[bool], exponent: float
) -> RunPart:
    """Arrange the runs of all pairs as cells, one for each arm and column, and take the differences."""
    columns, groups, arms = (_codes(keys) for keys in zip(*(_keys(p) for p in pairs), strict=True))
    arms = arms + 1  # the reference is 0
    size = (int(arms.max()) + 1, int(columns.max()) + 1)
    values: list[FloatArray] = [np.empty(0)] * size[0]
    flips, differences, moved = (np.full(size, np.nan) for _ in range(3))
    rows = np.full(size[1], np.nan)
    group, paired = np.zeros(size[1], dtype=np.int64), np.ones(size[0], dtype=np.bool_)
    for of_arms, arm, column, code, first in zip(runs, arms, columns, groups, distinct, strict=True):
        if not first:
            continue
        rows[column], group[column], paired[arm] = of_arms.rows, code, of_arms.paired
        differences[arm, column] = of_arms.flips_of_difference
        in_arms = zip((0, arm), of_arms.values, of_arms.flips, of_arms.size, strict=True)
        for at, arm_values, flip, flip_size in in_arms:
            if not len(values[at]):
                values[at] = np.full((size[1], len(arm_values)), np.nan)
            values[at][column], flips[at, column], moved[at, column] = arm_values, flip, flip_size
    cells = RunCells(values, flips, rows, group, 0, paired, differences, moved, exponent)
    return cells.differences(arms, columns)


def _keys(pair: PairedEstimate) -> tuple[Column, tuple[str | None, str | None], str]:
    """Return what identifies the column, the group and the candidate of a pair."""
    who = pair.identity
    group = (who.attribute, who.group)
    return (*group, who.class_name, who.complement_key), group, who.candidate


def _codes(keys: Sequence[Hashable]) -> IntArray:
    """[k] number of each key, in the order in which they first occur."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)

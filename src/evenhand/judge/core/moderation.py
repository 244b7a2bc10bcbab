"""Variances over runs of a family's paired shares, moderated together; see `stats/moderated.py`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from evenhand.judge.core.evidence import PairedEstimate, RunsOfArms, Score
from evenhand.judge.stats.moderated import RunCells, RunPart
from evenhand.judge.stats.paired import stack, usual_size
from evenhand.tables.schema import FloatArray, IntArray

#: A metric in a group, up to complements: a rate and 1 - rate vary alike.
Column = tuple[str | None, str | None, str | None, str]


def moderate(pairs: list[PairedEstimate]) -> list[PairedEstimate]:
    """Moderate the variances over runs of all paired shares of a family that have enough runs.

    Args:
        pairs: the comparisons of a family; those with other evidence, or of too few runs, stay as they are.
    """
    scores = {i: p.evidence for i, p in enumerate(pairs) if isinstance(p.evidence, Score) and p.evidence.runs}
    if not scores:
        return pairs
    members, estimates = [pairs[i] for i in scores], [s.estimate for s in scores.values()]
    distinct = _without_complements(members)
    part = _run_part(members, [s.runs for s in scores.values() if s.runs], distinct)
    size = usual_size(stack([e for e, first in zip(estimates, distinct, strict=True) if first]))
    stacked = replace(stack(estimates), pseudo_size=size)
    rows = stacked.row_variance(np.array([p.runs for p in members]))
    variation = part.join(rows, np.asarray(stacked.variation.row_dof))
    moderated = list(pairs)
    for k, (i, score) in enumerate(scores.items()):
        estimate = replace(score.estimate, variation=variation.at(k), pseudo_size=size)
        evidence = replace(
            score, estimate=estimate, moderated=True, reference_share=float(part.reference_share[k])
        )
        moderated[i] = replace(pairs[i], evidence=evidence)
    return moderated


def _without_complements(pairs: list[PairedEstimate]) -> list[bool]:
    """Mark the pairs of the first metric of each column: a rate and its complement count once."""
    first: dict[Column, str] = {}
    return [first.setdefault(_keys(p)[0], p.identity.metric) == p.identity.metric for p in pairs]


def _run_part(pairs: list[PairedEstimate], runs: list[RunsOfArms], distinct: list[bool]) -> RunPart:
    """Arrange the runs of all pairs as cells, one for each arm and column, and take the differences."""
    columns, groups, arms = (_codes(keys) for keys in zip(*(_keys(p) for p in pairs), strict=True))
    arms = arms + 1  # the reference is 0
    size = (int(arms.max()) + 1, int(columns.max()) + 1)
    values: list[FloatArray] = [np.empty(0)] * size[0]
    flips, differences, rows = np.full(size, np.nan), np.full(size, np.nan), np.full(size[1], np.nan)
    group, paired = np.zeros(size[1], dtype=np.int64), np.ones(size[0], dtype=np.bool_)
    for of_arms, arm, column, code, first in zip(runs, arms, columns, groups, distinct, strict=True):
        if not first:
            continue
        rows[column], group[column], paired[arm] = of_arms.rows, code, of_arms.paired
        differences[arm, column] = of_arms.flips_of_difference
        for at, arm_values, flip in zip((0, arm), of_arms.values, of_arms.flips, strict=True):
            if not len(values[at]):
                values[at] = np.full((size[1], len(arm_values)), np.nan)
            values[at][column], flips[at, column] = arm_values, flip
    cells = RunCells(values, flips, rows, group, 0, paired, differences)
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

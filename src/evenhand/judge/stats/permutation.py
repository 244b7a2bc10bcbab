"""Permutation tests of calibration errors, which have no useful interval: they depend on group sizes."""

from __future__ import annotations

import numpy as np

from evenhand.judge.stats.family import symmetric_root
from evenhand.tables.schema import FloatArray, IntArray

PERMUTATIONS = 1_999

#: From this many rows on the sums over bins of a random swap are drawn from their normal limit.
MANY = 2_000


def swapped_difference(
    bins: tuple[IntArray, IntArray], gaps: tuple[FloatArray, FloatArray], size: int, rng: np.random.Generator
) -> float:
    """P-value of equal calibration error of two arms on the same rows, by swapping the arms within rows.

    Args:
        bins: [n] bin of each row in the reference and in the candidate.
        gaps: [n] weight times (confidence - outcome) in each.
        size: number of bins.
        rng: source of the swaps.

    Returns:
        Share of swaps whose |ECE(candidate) - ECE(reference)| is at least the observed one (the observed
        one counted). The total of both arms' sums is fixed, so one arm's sums tell the other's.
    """
    first, second = (np.bincount(b, weights=g, minlength=size) for b, g in zip(bins, gaps, strict=True))
    observed = abs(np.abs(second).sum() - np.abs(first).sum())
    total = first + second
    if len(bins[0]) < MANY:
        moved = np.zeros((len(bins[0]), size))
        rows = np.arange(len(bins[0]))
        np.add.at(moved, (rows, bins[1]), gaps[1])
        np.add.at(moved, (rows, bins[0]), -gaps[0])
        swaps = rng.integers(0, 2, size=(PERMUTATIONS, len(rows))).astype(np.float64)
        drawn = first + swaps @ moved
    else:
        pair = np.bincount(bins[0] * size + bins[1], weights=gaps[0] * gaps[1], minlength=size**2)
        cross = pair.reshape(size, size)
        squares = np.bincount(bins[0], weights=gaps[0] ** 2, minlength=size)
        squares += np.bincount(bins[1], weights=gaps[1] ** 2, minlength=size)
        spread = (np.diag(squares) - cross - cross.T) / 4
        drawn = total / 2 + rng.standard_normal((PERMUTATIONS, size)) @ symmetric_root(spread)
    statistic = np.abs(np.abs(total - drawn).sum(axis=1) - np.abs(drawn).sum(axis=1))
    return float((1 + np.sum(statistic >= observed * (1 - 1e-9))) / (1 + PERMUTATIONS))


def permuted_gap(
    group: IntArray, bins: IntArray, confidence: FloatArray, outcome: IntArray, rng: np.random.Generator
) -> float:
    """P-value of equal calibration of several groups, by permuting outcomes within bins across groups.

    Within a bin of the score, outcomes must not depend on the group. Group sizes and score distributions
    stay what they are, so groups of different size are compared fairly.

    Args:
        group: [n] group code, from 0.
        bins: [n] bin of each row.
        confidence: [n] scores.
        outcome: [n] 0/1 outcomes.
        rng: source of the permutations.

    Returns:
        Share of permutations whose gap between the groups' ECE is at least the observed one.
    """
    groups, size = int(group.max()) + 1, int(bins.max()) + 1
    cell = group * size + bins
    shape = (groups, size)
    rows = np.bincount(cell, minlength=groups * size).reshape(shape)
    hits = np.bincount(cell, weights=outcome, minlength=groups * size).reshape(shape)
    scores = np.bincount(cell, weights=confidence, minlength=groups * size).reshape(shape)
    drawn = np.empty((PERMUTATIONS, groups, size))
    for b in range(size):
        drawn[:, :, b] = rng.multivariate_hypergeometric(
            rows[:, b], int(hits[:, b].sum()), size=PERMUTATIONS, method="marginals"
        )

    def gap(positives: FloatArray) -> FloatArray:
        errors = np.abs(scores - positives).sum(axis=-1) / rows.sum(axis=-1)
        return np.asarray(errors.max(axis=-1) - errors.min(axis=-1))

    observed = float(gap(hits.astype(np.float64)))
    return float((1 + np.sum(gap(drawn) >= observed * (1 - 1e-9))) / (1 + PERMUTATIONS))

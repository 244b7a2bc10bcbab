"""Permutation tests of calibration errors, whose size depends on the number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand.judge.stats.family import symmetric_root
from evenhand.judge.stats.quantiles import bisect
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

PERMUTATIONS = 1_999

#: From this many rows on the sums over bins of a random swap are drawn from their normal limit.
NORMAL_LIMIT_ROWS = 2_000

#: Rows per block when sums are computed.
_CHUNK = 20_000

#: E|Z| of a standard normal Z.
_MEAN_ABS_NORMAL = (2 / np.pi) ** 0.5


@dataclass(frozen=True)
class Binned:
    """Scores of one arm, sorted into bins.

    Attributes:
        bins: [R, n] bin of each row in each run.
        gaps: [R, n] weight times (confidence - outcome).
        weights: [R] total weight of a run's rows.
    """

    bins: IntArray
    gaps: FloatArray
    weights: FloatArray

    def sums(self, size: int) -> FloatArray:
        """[R, size] sums of the gaps by bin."""
        pairs = zip(self.bins, self.gaps, strict=True)
        return np.stack([np.bincount(b, weights=g, minlength=size) for b, g in pairs])


@dataclass(frozen=True)
class Swapped:
    """Result of random swaps.

    Attributes:
        p_value: share of swaps that differ at least as much as the arms do, with the observed arms counted.
        variance: variance of the difference over swaps, that is under the hypothesis of equal arms.
    """

    p_value: float
    variance: float


def swapped_difference(reference: Binned, candidate: Binned, size: int, rng: np.random.Generator) -> Swapped:
    """Compare the mean calibration errors of two arms on the same rows, by swapping the arms within rows.

    A row is swapped in all runs or in none, since runs share their rows: swaps by run would treat five
    answers to one row as independent.

    Args:
        reference: its [R, n] bins and gaps.
        candidate: the same of the other arm, with as many runs.
        size: number of bins.
        rng: source of the swaps.

    Returns:
        The p-value of equal errors and the variance of their difference. The total of both arms' sums is
        fixed, so one arm's sums determine the other's.
    """
    first, second = reference.sums(size), candidate.sums(size)
    total = first + second
    runs, n = reference.bins.shape
    weights = (reference.weights, candidate.weights)
    observed = abs(_mean_error(second, weights[1]) - _mean_error(first, weights[0]))
    # The sums over bins are sums of independent terms, each 0 or the change of its row with probability 1/2.
    # Their mean is total / 2 and their covariance sum_i moved_i moved_i' / 4: with many rows they are normal.
    if n < NORMAL_LIMIT_ROWS:
        swaps = rng.integers(0, 2, size=(PERMUTATIONS, n)).astype(np.float64)
        drawn = first + (swaps @ _swap_changes(reference, candidate, size, slice(None))).reshape(
            -1, runs, size
        )
    else:
        spread = np.zeros((runs * size, runs * size))
        for start in range(0, n, _CHUNK):
            moved = _swap_changes(reference, candidate, size, slice(start, start + _CHUNK))
            spread += moved.T @ moved / 4
        away = rng.standard_normal((PERMUTATIONS, runs * size)) @ symmetric_root(spread)
        drawn = total / 2 + away.reshape(-1, runs, size)
    statistic = _mean_error(total - drawn, weights[1]) - _mean_error(drawn, weights[0])
    # 1e-9: a swap that equals the observed one up to rounding counts as at least as large.
    beyond = np.abs(statistic) >= observed * (1 - 1e-9)
    return Swapped(float((1 + np.sum(beyond)) / (1 + PERMUTATIONS)), float(np.mean(statistic**2)))


def _mean_error(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """[...] mean over runs of the calibration error of [..., R, size] sums."""
    return np.asarray((np.abs(sums).sum(axis=-1) / weights).mean(axis=-1))


def _swap_changes(reference: Binned, candidate: Binned, size: int, rows: slice) -> FloatArray:
    """[n, R * size] change of the reference's sums when a row is swapped."""
    runs, n = reference.bins[:, rows].shape
    start = np.arange(n) * (runs * size) + np.arange(runs)[:, None] * size
    cells = np.concatenate([start + candidate.bins[:, rows], start + reference.bins[:, rows]])
    gains = np.concatenate([candidate.gaps[:, rows], -reference.gaps[:, rows]])
    flat = np.bincount(cells.ravel(), weights=gains.ravel(), minlength=n * runs * size)
    return np.asarray(flat.reshape(n, runs * size))


def hidden_by_noise(arm: Binned, size: int) -> float:
    """Sum over bins of the standard deviations of their gaps, averaged over runs.

    Args:
        arm: its bins and gaps.
        size: number of bins.
    """
    per_run = []
    for bins, gaps, weight in zip(arm.bins, arm.gaps, arm.weights, strict=True):
        rows = np.bincount(bins, weights=gaps != 0, minlength=size)
        total, squares = (np.bincount(bins, weights=gaps**k, minlength=size) for k in (1, 2))
        variance = np.maximum(squares - total**2 / np.maximum(rows, 1), 0.0)
        per_run.append(float(np.sqrt(variance).sum() / weight))
    return float(np.mean(per_run))


def true_size(excess: FloatArray, noise: FloatArray) -> FloatArray:
    """Return the calibration error whose expected excess over that of noise alone is `excess`.

    E|x + Z| exceeds E|Z| by less than |x|, and by the least relative to x when x is small: an error spread
    evenly over all bins is the hardest to detect, and is assumed here. Solves
    x (2 Phi(x) - 1) + 2 phi(x) - E|Z| = excess / noise for x, by bisection.

    Args:
        excess: [k] excess of the observed error, at least 0.
        noise: [k] sum over bins of the standard deviations.
    """
    from scipy.special import ndtr  # noqa: PLC0415

    size = np.where(noise > 0, noise, 1.0)
    target = excess / size

    def below(x: FloatArray) -> BoolArray:
        gain = x * (2 * ndtr(x) - 1) + 2 * np.exp(-(x**2) / 2) / (2 * np.pi) ** 0.5 - _MEAN_ABS_NORMAL
        return np.asarray(gain < target)

    _, high = bisect(target, target + _MEAN_ABS_NORMAL, below, 60)
    return np.asarray(np.where((noise > 0) & (excess > 0), high * size, excess))


def permuted_gap(
    group: IntArray, bins: IntArray, confidence: FloatArray, outcome: IntArray, rng: np.random.Generator
) -> float:
    """P-value of equal calibration of several groups, by permuting outcomes within bins between groups.

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

"""Variance components of a crossing of prompts, snippets and seeds, with intervals over snippets.

Prompts carry groupings (by template, by option set, each by itself), which may be unbalanced; snippets and
seeds are crossed with them completely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.judge.stats.quantiles import t_of
from evenhand.tables.schema import FloatArray, IntArray


@dataclass(frozen=True)
class Components:
    """Variance components, and the same with each cluster of snippets left out (for the jackknife).

    Attributes:
        whole: [k] the components, untruncated: a moment estimate may be negative.
        without: [clusters, k] those without each cluster; empty where there is one cluster only.
        at: [k] the effect of each: (grouping of prompts or -1, crossed with seeds, crossed with snippets).
    """

    estimates: FloatArray
    without: FloatArray
    at: tuple[tuple[int, bool, bool], ...]

    def shares(self, which: Sequence[int]) -> tuple[float, FloatArray]:
        """Return the share of some components in the sum of all, untruncated; and [clusters] without each."""
        chosen = list(which)
        parts = self.without[:, chosen].sum(axis=1) / self.without.sum(axis=1)
        return float(self.estimates[chosen].sum() / self.estimates.sum()), np.asarray(parts)


def components(values: FloatArray, groupings: Sequence[IntArray], cluster: IntArray) -> Components:
    """Estimate the variance components of all effects and their interactions, all of them random.

    With T_A the sum over the levels of a grouping A of (sum of values)^2 / (number of values),
    E[T_A] = N mean^2 + sum over effects B of variance_B * sum over levels a, b of n_ab^2 / n_a: as many
    linear equations as unknowns. In a balanced crossing these are the expected mean squares of the analysis
    of variance.

    Args:
        values: [prompts, seeds, snippets].
        groupings: each [prompts] codes; the last one has a level for every prompt. Empty: one prompt only.
        cluster: [snippets] code of the cluster, which is left out as a whole.

    Returns:
        One component for every grouping (and none), with and without seeds, with and without snippets;
        factors with one level are omitted.

    Source: Henderson (1953), Biometrics 9, 226-252, method 1; Searle, Casella and McCulloch (1992), Variance
    Components, section 5.3.
    """
    prompts, seeds, snippets = values.shape
    # Components do not depend on the mean; centring avoids the cancellation of large squares.
    centred = values - values.mean()
    levels = [np.zeros(prompts, dtype=np.int64), *groupings]
    with_seed = (False, True) if seeds > 1 else (False,)
    with_snippet = (False, True) if snippets > 1 else (False,)
    _, cluster = np.unique(cluster, return_inverse=True)
    gone = np.r_[0, np.bincount(cluster)] if cluster.max() > 0 else np.zeros(1, dtype=np.int64)
    squares = np.array([[_squares(_sums(centred, g, by), cluster, gone) for by in with_seed] for g in levels])
    solved = np.einsum("ab,bcds->acds", np.linalg.inv(_weights(levels)), squares)
    solved = np.moveaxis(_crossed(np.moveaxis(solved, 1, 0), np.full(1, seeds)), 0, 1)
    solved = np.moveaxis(_crossed(np.moveaxis(solved, 2, 0), snippets - gone), 0, 2)
    at = [(g - 1, r, s) for g in range(len(levels)) for r in with_seed for s in with_snippet]
    flat = solved.reshape(len(at), -1)[1:]  # the first is the mean's square
    return Components(flat[:, 0], flat[:, 1:].T, tuple(at[1:]))


def limits(share: float, without: FloatArray, alpha: float) -> tuple[float, float]:
    """Return limits of an untruncated share from its values without each cluster, within [0, 1].

    Jackknife t limits; where the share is more than a standard error away from 0 and 1 also those of its
    logit, and the wider ends of both: the former alone cover too rarely for skewed effects. They
    hold for the given prompts and seeds, and for snippets as a population.

    Source: Tukey (1958); Arvesen (1969), Annals of Mathematical Statistics 40, 2076-2100, for components.
    """
    half, error = _half_width(without, alpha)
    low, high = share - half, share + half
    if error < share < 1 - error and without.min() > 0 and without.max() < 1:
        half, _ = _half_width(_logit(without), alpha)
        ends = 1 / (1 + np.exp(-(_logit(share) + half * np.array([-1.0, 1.0]))))
        low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


def _half_width(without: FloatArray, alpha: float) -> tuple[float, float]:
    """Return the half width of t limits, and the jackknife's standard error.

    The error's own degrees of freedom are 2 k / (kurtosis - 1): k for normal values, fewer for heavy tails.
    """
    k = len(without)
    squares = (without - without.mean()) ** 2
    error = float(np.sqrt((k - 1) / k * squares.sum()))
    if not error > 0:
        return 0.0, 0.0
    kurtosis = float((squares**2).mean() / squares.mean() ** 2)
    freedom = min(k - 1.0, 2 * k / (kurtosis - 1)) if kurtosis > 1 else k - 1.0
    return float(t_of(alpha, freedom)) * error, error


def _logit(share: Any) -> Any:  # noqa: ANN401  (a number or an array)
    return np.log(share) - np.log1p(-share)


def _sums(values: FloatArray, codes: IntArray, by_seed: bool) -> FloatArray:
    """[levels, snippets] sums of the values of a level over the root of its size."""
    shared = codes == np.unique(codes)[:, None]
    of = np.einsum("gp,prs->grs", shared / np.sqrt(shared.sum(axis=1))[:, None], values)
    if not by_seed:
        of = of.sum(axis=1, keepdims=True) / np.sqrt(values.shape[1])
    return np.asarray(of.reshape(-1, values.shape[2]))


def _squares(sums: FloatArray, cluster: IntArray, gone: IntArray) -> FloatArray:
    """T of a grouping and of its crossing with snippets, for all snippets and without each cluster.

    Returns:
        [1 or 2, 1 + clusters]; a single snippet has no crossing.
    """
    snippets = sums.shape[1]
    left = sums.sum(axis=1)[:, None]
    each = np.full(1, (sums**2).sum())
    if len(gone) > 1:
        order = np.argsort(cluster, kind="stable")
        starts = np.r_[0, np.cumsum(gone[1:])[:-1]]
        left = left - np.c_[np.zeros(len(sums)), np.add.reduceat(sums[:, order], starts, axis=1)]
        each = each - np.r_[0.0, np.add.reduceat((sums**2).sum(axis=0)[order], starts)]
    pooled = (left**2).sum(axis=0) / (snippets - gone)
    return np.array([pooled, each]) if snippets > 1 else pooled[None]


def _weights(levels: Sequence[IntArray]) -> FloatArray:
    """[groupings, groupings] sum over levels a, b of n_ab^2 / n_a."""
    shared = [codes == np.unique(codes)[:, None] for codes in levels]
    return np.array(
        [[((a.astype(float) @ b.T) ** 2 / a.sum(axis=1)[:, None]).sum() for b in shared] for a in shared]
    )


def _crossed(squares: FloatArray, n: IntArray) -> FloatArray:
    """Solve along the first axis: without and with a factor of n levels that is crossed with all others.

    Its equations are [[n, 1], [n, n]]. A factor of one level has only the first.
    """
    if len(squares) == 1:
        return squares
    none, each = squares
    return np.array([(none - each / n) / (n - 1), (each - none) / (n - 1)])

"""The likelihood-ratio attack (LiRA): a row's margin against those of models trained with and without it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from evenhand.judge.attacks import AttackInfo, Evidence, Needs
from evenhand.judge.attacks._moments import Moments, centre, compute_moments
from evenhand.spec.base import Frozen
from evenhand.tables.schema import FloatArray

INFO = AttackInfo(
    title="likelihood ratio (LiRA)",
    reference="Carlini et al. 2022, https://arxiv.org/abs/2112.03570, algorithms 1 and 2",
)

#: Models agree on a row when the standard deviation of their margins is below this fraction of the mean: the
#: variance is then rounding error.
AGREEMENT_TOLERANCE = 1e-9


class Config(Frozen):
    """Options.

    Attributes:
        mode: `online` compares the margin under models with the row in their training set and under models
            without it; `offline` uses models without it only.
        variance: variance of a row's margins over references: estimated per row (`per_example`), pooled over
            all rows (`global`), or shrunk towards the pooled one (`shrunk`).
        prior: for `shrunk`, the degrees of freedom that the pooled variance counts as.
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["per_example", "shrunk", "global"] = "shrunk"
    prior: float = Field(default=8.0, gt=0, le=10_000)


def needs(config: Config) -> Needs:
    """Margins, of models with and without the row, or without it only."""
    least = 2 if config.variance == "per_example" else 1  # a variance per row needs two values
    return Needs(("margin",), "both" if config.mode == "online" else "out", least, somewhere=2)


def score(evidence: Evidence, config: Config) -> FloatArray:
    """[T, n] log-likelihood ratio of the normal densities of members and non-members, summed over views.

    online:  log N(x; mean_in, var_in) - log N(x; mean_out, var_out)
    offline: -log P(Z > (x - mean_out) / sd_out), the one-sided normal tail of Lambda = 1 - P

    Means and variances are those of a target's references; variances divide by their number minus 1. The
    global variance is the mean of the rows' variances, weighted by degrees of freedom.
    """
    assert evidence.margin is not None
    pooled = _pooled_variance(evidence, config)
    result = np.empty((len(evidence.targets), evidence.member.shape[1]))
    for rows in evidence.chunks():
        x = centre(evidence.margin[:, rows], evidence)
        min_variance = (AGREEMENT_TOLERANCE * np.abs(x.middle)) ** 2 + 1e-300
        sides = compute_moments(x, evidence.member[:, rows], evidence)
        outside = _normal_parameters(sides[False], pooled[False], config)
        if config.mode == "online":
            inside = _normal_parameters(sides[True], pooled[True], config)
            views = _log_density(x.targets, *inside, min_variance) - _log_density(
                x.targets, *outside, min_variance
            )
        else:
            views = _log_tail(x.targets, *outside, min_variance)
        result[:, rows] = views.sum(axis=2)
    return result


def _pooled_variance(evidence: Evidence, config: Config) -> dict[bool, FloatArray]:
    """[T, 1, views] variance over references, pooled over rows, of members and of non-members."""
    assert evidence.margin is not None
    shape = (2, len(evidence.targets), 1, evidence.margin.shape[2])
    squares, freedom = np.zeros(shape), np.zeros((*shape[:3], 1))
    if config.variance != "per_example":
        for rows in evidence.chunks():
            sides = compute_moments(
                centre(evidence.margin[:, rows], evidence), evidence.member[:, rows], evidence
            )
            for side, m in sides.items():
                squares[int(side)] += m.squares.sum(axis=1, keepdims=True)
                freedom[int(side)] += np.maximum(m.count - 1, 0).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / freedom
    return {False: variance[0], True: variance[1]}


def _normal_parameters(m: Moments, pooled: FloatArray, config: Config) -> tuple[FloatArray, FloatArray]:
    """[T, c, views] mean and variance of the margins of members or of non-members."""
    freedom = m.count - 1
    if config.variance == "global":
        return m.mean, np.broadcast_to(pooled, m.mean.shape)
    if config.variance == "shrunk":
        return m.mean, (config.prior * pooled + m.squares) / (config.prior + np.maximum(freedom, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return m.mean, m.squares / np.where(freedom > 0, freedom, np.nan)


def _log_density(
    x: FloatArray, mean: FloatArray, variance: FloatArray, min_variance: FloatArray
) -> FloatArray:
    """Log of the normal density without its constant; NaN without a variance."""
    variance = np.where(variance > min_variance, variance, np.nan)
    return np.asarray(-(np.log(variance) + (x - mean) ** 2 / variance) / 2)


def _log_tail(x: FloatArray, mean: FloatArray, variance: FloatArray, min_variance: FloatArray) -> FloatArray:
    """-log P(Z > z); NaN without a variance."""
    from scipy.special import log_ndtr  # noqa: PLC0415

    z = (x - mean) / np.sqrt(np.where(variance > min_variance, variance, np.nan))
    return np.asarray(-log_ndtr(-z))

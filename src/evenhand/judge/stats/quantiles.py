"""Quantiles and tails of the normal, t, beta and binomial distributions, over arrays.

`scipy.special` is imported late: its import takes as long as reading a million rows, and a refused call does
not need it.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from evenhand.tables.schema import BoolArray, FloatArray


def bisect(
    inside: FloatArray, outside: FloatArray, accepts: Callable[[FloatArray], BoolArray], steps: int
) -> tuple[FloatArray, FloatArray]:
    """Find where a condition that holds at `inside` and not at `outside` changes, elementwise.

    Args:
        inside: values that the condition accepts.
        outside: values that it rejects; above or below.
        accepts: the condition.
        steps: each halves the distance.

    Returns:
        The last accepted and the last rejected values.
    """
    for _ in range(steps):
        middle = (inside + outside) / 2
        accepted = accepts(middle)
        inside, outside = np.where(accepted, middle, inside), np.where(accepted, outside, middle)
    return inside, outside


def z_of(alpha: npt.ArrayLike) -> FloatArray:
    """Return the z with P(|Z| > z) = alpha for a standard normal Z."""
    if np.ndim(alpha) == 0:
        half = float(np.asarray(alpha)) / 2
        return np.asarray(-NormalDist().inv_cdf(half) if half > 0 else np.inf)
    from scipy.special import ndtri  # noqa: PLC0415

    return np.asarray(-ndtri(np.asarray(alpha, dtype=np.float64) / 2))


def two_sided(z: npt.ArrayLike) -> FloatArray:
    """P(|Z| > |z|) for a standard normal Z."""
    from scipy.special import ndtr  # noqa: PLC0415

    return np.asarray(2 * ndtr(-np.abs(np.asarray(z, dtype=np.float64))))


def t_of(alpha: npt.ArrayLike, dof: npt.ArrayLike) -> FloatArray:
    """Return the t with P(|T| > t) = alpha; infinite degrees of freedom give the normal quantile."""
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415

    half = np.asarray(np.asarray(alpha, dtype=np.float64) / 2)
    dof = np.asarray(dof, dtype=np.float64)
    finite = np.isfinite(dof)
    heavy = np.asarray(stdtrit(np.asarray(np.where(finite, dof, 1.0)), half))
    return np.asarray(-np.where(finite, heavy, np.asarray(ndtri(half))))


def z_to_t(z: npt.ArrayLike, dof: npt.ArrayLike) -> FloatArray:
    """Return the t quantile of the level whose normal quantile is z."""
    if np.isinf(dof).all():
        return np.abs(np.broadcast_to(np.asarray(z, dtype=np.float64), np.broadcast(z, dof).shape))
    return t_of(two_sided(z), dof)


def t_to_z(t: npt.ArrayLike, dof: npt.ArrayLike) -> FloatArray:
    """Return the normal quantile of the level whose t quantile is t: the inverse of `z_to_t`."""
    if np.isinf(dof).all():
        return np.abs(np.broadcast_to(np.asarray(t, dtype=np.float64), np.broadcast(t, dof).shape))
    from scipy.special import ndtri, stdtr  # noqa: PLC0415

    t, dof = np.abs(np.asarray(t, dtype=np.float64)), np.asarray(dof, dtype=np.float64)
    finite = np.isfinite(dof)
    tail = np.asarray(stdtr(np.asarray(np.where(finite, dof, 1.0)), -t))
    return np.asarray(np.where(finite, -np.asarray(ndtri(tail)), t))


def beta_quantile(level: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Return the quantiles of the beta distribution."""
    from scipy.special import betaincinv  # noqa: PLC0415

    return np.asarray(betaincinv(*(np.asarray(v, dtype=np.float64) for v in (a, b, level))))


def sign_test(b: npt.ArrayLike, c: npt.ArrayLike) -> FloatArray:
    """Exact two-sided McNemar test of b against c discordant rows: 2 P(X <= min(b, c)), X ~ Bin(b + c, 1/2).

    No discordant row gives 1. Source: McNemar (1947), exact form.
    """
    from scipy.special import bdtr  # noqa: PLC0415

    b, c = np.asarray(b, dtype=np.float64), np.asarray(c, dtype=np.float64)
    total = b + c
    tail = bdtr(np.minimum(b, c), np.maximum(total, 1).astype(np.int64), 0.5)
    return np.asarray(np.where(total > 0, np.minimum(1.0, 2 * tail), 1.0))

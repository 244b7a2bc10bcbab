"""LiRA with moderated variances: with few references, a row's variance is shrunk towards those of other rows.

The score is a likelihood ratio of two Student's t distributions instead of two normal ones. The amount of
shrinkage and the weight of the tails are estimated from how much the rows' variances differ, so the attack
has no hyperparameter.

The idea is from Brännvall 2026 (BaVarIA, arXiv 2603.11799): a conjugate normal-inverse-gamma prior replaces
the choice between per-row and global variances, and its predictive distribution is Student's t. The estimates
of the prior's variance and degrees of freedom from all rows are those of Smyth 2004 (limma's moderated
variances). The prior is flat in the means. BaVarIA's hyperparameters may differ: this follows its idea, and
not necessarily its exact form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.judge.attacks import AttackInfo, Evidence, Needs
from evenhand.judge.attacks._moments import Moments, centre, compute_moments
from evenhand.judge.attacks.lira import AGREEMENT_TOLERANCE
from evenhand.spec.base import Frozen
from evenhand.tables.schema import FloatArray

INFO = AttackInfo(
    title="likelihood ratio, moderated variances",
    reference="the idea of BaVarIA-t (Brännvall 2026, https://arxiv.org/abs/2603.11799), not necessarily its "
    "exact form; the prior of the variances by Smyth 2004, https://doi.org/10.2202/1544-6115.1027",
)

#: Degrees of freedom of the prior where the rows' variances do not differ: more would not change a score.
MAX_PRIOR_FREEDOM = 1e6


class Config(Frozen):
    """Options.

    Attributes:
        mode: `online` compares the margin under models with the row in their training set and under models
            without it; `offline` uses models without it only.
    """

    mode: Literal["online", "offline"] = "online"


def needs(config: Config) -> Needs:
    """Margins, of models with and without the row, or without it only."""
    return Needs(("margin",), "both" if config.mode == "online" else "out", somewhere=2)


@dataclass(frozen=True)
class Prior:
    """Prior of the rows' variances: a scaled inverse chi-squared distribution.

    sigma^2 ~ freedom * variance / chi^2(freedom).

    Attributes:
        freedom: [T, 1, views] degrees of freedom; NaN where no row has two references.
        variance: [T, 1, views] the variance towards which rows are shrunk.
    """

    freedom: FloatArray
    variance: FloatArray


def score(evidence: Evidence, config: Config) -> FloatArray:
    """[T, n] log-likelihood ratio of the predictive densities of members and non-members, summed over views.

    online:  log t(x; members) - log t(x; non-members)
    offline: -log P(T > x) by the non-members' distribution

    With k references, mean m and sum of squares S of a row, and the prior's d0 and s0^2, its predictive
    distribution is Student's t with d0 + k - 1 degrees of freedom, location m and squared scale
    (1 + 1/k) (d0 s0^2 + S) / (d0 + k - 1): that of a normal-inverse-gamma prior that is flat in the mean.
    With many references it approaches the normal distribution of LiRA with a variance per row.
    """
    assert evidence.margin is not None
    prior = _estimate_priors(evidence)
    result = np.empty((len(evidence.targets), evidence.member.shape[1]))
    for rows in evidence.chunks():
        x = centre(evidence.margin[:, rows], evidence)
        min_variance = _min_variance(x.middle)
        sides = compute_moments(x, evidence.member[:, rows], evidence)
        outside = _standardise(x.targets, sides[False], prior[False], min_variance)
        if config.mode == "online":
            inside = _standardise(x.targets, sides[True], prior[True], min_variance)
            views = _log_density(*inside) - _log_density(*outside)
        else:
            views = -_log_tail(*outside)
        result[:, rows] = views.sum(axis=2)
    return result


def _min_variance(middle: FloatArray) -> FloatArray:
    """[c, views] variances below which models agree on a row."""
    return np.asarray((AGREEMENT_TOLERANCE * np.abs(middle)) ** 2 + 1e-300)


def _estimate_priors(evidence: Evidence) -> dict[bool, Prior]:
    """Estimate the prior of the variances over references that are members, and over those that are not.

    Smyth 2004, section 6.2: e = log s^2 - digamma(d/2) + log(d/2) of a row with d = k - 1 has the mean
    log s0^2 - digamma(d0/2) + log(d0/2) and the variance trigamma(d/2) + trigamma(d0/2).
    """
    from scipy.special import digamma, polygamma  # noqa: PLC0415

    assert evidence.margin is not None
    shape = (2, len(evidence.targets), 1, evidence.margin.shape[2])
    count, first, second, sampling = (np.zeros(shape) for _ in range(4))
    for rows in evidence.chunks():
        x = centre(evidence.margin[:, rows], evidence)
        min_variance = _min_variance(x.middle)
        for side, m in compute_moments(x, evidence.member[:, rows], evidence).items():
            d = np.maximum(m.count - 1, 1)
            known = (m.count > 1) & (m.squares > d * min_variance)
            e = np.log(np.where(known, m.squares, 1.0) / 2) - digamma(d / 2)
            parts = (known, np.where(known, e, 0.0), np.where(known, e**2, 0.0), known * polygamma(1, d / 2))
            for total, part in zip((count, first, second, sampling), parts, strict=True):
                total[int(side)] += part.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / count
        # The variance of e minus its sampling variance is what the true variances contribute: trigamma(d0/2).
        excess = (second - count * mean**2) / np.maximum(count - 1, 1) - sampling / count
    freedom = 2 * _trigamma_inverse(np.maximum(excess, 1 / MAX_PRIOR_FREEDOM))
    variance = np.exp(mean + digamma(freedom / 2) - np.log(freedom / 2))
    return {side: Prior(freedom[int(side)], variance[int(side)]) for side in (False, True)}


def _trigamma_inverse(y: FloatArray) -> FloatArray:
    """The x with trigamma(x) = y > 0, by Newton's method on 1 / trigamma, which is convex (Smyth 2004)."""
    from scipy.special import polygamma  # noqa: PLC0415

    x = 0.5 + 1 / y
    for _ in range(50):
        at = polygamma(1, x)
        step = at * (1 - at / y) / polygamma(2, x)
        x = x + step
        if not (np.abs(step) > 1e-10 * x).any():
            break
    return np.asarray(x)


def _standardise(
    x: FloatArray, m: Moments, prior: Prior, min_variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """[T, c, views] standardised deviation from the mean, the scale, and the degrees of freedom.

    NaN without references, or where the models agree on the row.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        k = np.where(m.count > 0, m.count, np.nan)
        freedom = prior.freedom + k - 1
        variance = (prior.freedom * prior.variance + m.squares) / freedom
        scale = np.sqrt(np.where(variance > min_variance, variance * (1 + 1 / k), np.nan))
        return (x - m.mean) / scale, scale, np.broadcast_to(freedom, scale.shape)


def _log_density(z: FloatArray, scale: FloatArray, freedom: FloatArray) -> FloatArray:
    """Log of Student's t density."""
    from scipy.special import gammaln  # noqa: PLC0415

    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(np.pi * freedom) / 2
    return np.asarray(constant - np.log(scale) - (freedom + 1) / 2 * np.log1p(z**2 / freedom))


def _log_tail(z: FloatArray, scale: FloatArray, freedom: FloatArray) -> FloatArray:
    """Log of P(T > z); in the far tail, where it underflows, the density divided by its rate of decay."""
    from scipy.special import stdtr  # noqa: PLC0415

    tail = stdtr(freedom, -z)
    far = np.maximum(z, 1.0)
    beyond = _log_density(far, np.ones_like(scale), freedom) - np.log(
        (freedom + 1) * far / (freedom + far**2)
    )
    return np.asarray(np.where(tail > 1e-300, np.log(np.maximum(tail, 1e-300)), beyond))

"""Estimates of many groups, each shrunk towards what the others say of it; their intervals hold on average.

The true differences of G groups vary around a common value: theta_g = mu + tau xi_g. Nothing is known of mu
and tau, so both have flat priors. For each tau the other groups predict theta_g with mean m_g and variance
s_g^2 (mu is integrated out); the group's own difference D_g, of variance V_g, then updates the prediction.
Two things keep the interval honest where normal empirical Bayes intervals fail:

- tau is not estimated but integrated over, with weights that say how likely the differences are under it;
- any group may be unlike the others: with probability `OUTLIER_SHARE` its variance around the prediction is
  larger by `OUTLIER_SD` squared, so that a group that contradicts the others keeps its own estimate.

Crossings of attributes (race x sex) resemble those with which they share an attribute: xi has variance 1 and
a correlation of rho times the share of attributes that are equal, and rho is integrated over as well. With
rho near 1 a crossing is the sum of its attributes' effects.

Source: the hierarchical normal model is Morris's (1983, JASA 78), its flat prior of tau Gelman's (2006,
Bayesian Analysis 1); leaving one out in closed form: Rasmussen and Williams (2006), section 5.4.2; why a
group must be able to keep its own estimate: Efron and Morris (1972, JASA 67). docs/statistics.md reports
coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.moderated import SHARE_EXPONENT
from evenhand.judge.stats.paired import ScorePaired
from evenhand.judge.stats.quantiles import bisect, z_of
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: Fewest groups: with three others or more, a flat prior of tau has a proper posterior.
MIN_GROUPS = 4

#: Probability that a group is unlike the others, and the standard deviation by which it then differs.
OUTLIER_SHARE, OUTLIER_SD = 0.1, 0.2

#: Largest tau, and the number of its values above 0. Differences of shares lie between -1 and 1.
MAX_TAU, TAUS = 0.5, 40

#: Smallest positive tau, in standard deviations of the most precise group.
MIN_TAU = 0.1

#: Values of rho: the share of tau squared that crossings have in common with those of the same attributes.
RHOS = (0.0, 1 / 3, 2 / 3, 0.95)

#: Bisection steps of a limit, within an interval of length 4.
LIMIT_STEPS = 34

#: Smallest weight of a part of the posterior that counts, and smallest standard deviation.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Shrunken:
    """Shrunken differences of G groups.

    Attributes:
        estimate: [G] mean of the posterior; it lies between the direct difference and `target`.
        low: [G] lower limit.
        high: [G] upper limit.
        target: [G] what the other groups say, which the estimate is drawn towards.
        direct_weight: [G] share of the direct difference in the estimate; the rest is that of `target`.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    target: FloatArray
    direct_weight: FloatArray


@dataclass(frozen=True)
class Prediction:
    """Predictions of each group from the others, for N values of tau and rho.

    Attributes:
        log_weight: [N] logarithm of the probability of each value, given all groups.
        mean: [N, G] m, the expected difference of a group, given the others.
        variance: [N, G] s squared, of the group's true difference around it.
    """

    log_weight: FloatArray
    mean: FloatArray
    variance: FloatArray

    @property
    def weight(self) -> FloatArray:
        """[N] probability of each value, given all groups."""
        return np.exp(self.log_weight)


def shrink(
    difference: FloatArray, variance: FloatArray, alpha: float, codes: IntArray | None = None
) -> Shrunken:
    """Shrink the differences of disjoint groups.

    Args:
        difference: [G] D, at least `MIN_GROUPS` of them.
        variance: [G] V, positive.
        alpha: intervals contain a share of 1 - alpha of the true differences, on average over the groups.
        codes: [attributes, G] value of each crossing in each attribute; None for groups of one attribute.
    """
    same = None if codes is None else (codes[:, :, None] == codes[:, None, :]).mean(axis=0)
    predicted = predict(difference, variance, same)
    weight, mean, spread, direct = _posterior(predicted, difference, variance)
    estimate = (weight * mean).sum(axis=0)
    direct_weight = (weight * direct).sum(axis=0)
    # The mean of the predictions, by how much each draws: the estimate is w D + (1 - w) target.
    target = (weight * (mean - direct * difference)).sum(axis=0) / (1 - direct_weight)
    low, high = _quantiles(np.array([alpha / 2, 1 - alpha / 2]), weight, mean, spread)
    return Shrunken(estimate, low, high, target, direct_weight)


def shrink_shares(
    shares: ScorePaired,
    runs: float,
    alpha: float,
    codes: IntArray | None = None,
    *,
    row_dof: FloatArray | float = np.inf,
    moderated: BoolArray | bool = False,
) -> Shrunken:
    """Shrink differences of paired shares; what whole runs shift is not shrunk but added to the interval.

    A shift of a run that all groups have in common moves all differences alike: drawing them towards each
    other takes nothing of it away. So the groups' differences *in these runs* are shrunk, whose variances V
    are those over rows, and the variance that shifts give a difference is joined to the limits (MOVER): the
    group's own, or the others' (by their precision) for the part that is borrowed from them, whichever is
    larger. Where shifts of groups are independent, this is wider than necessary.

    Args:
        shares: [G] the direct differences. V is the variance of a normal interval as wide as Tango's.
        runs: of the arm that has fewer.
        alpha: see `shrink`.
        codes: see `shrink`.
        row_dof: [G] or one, clusters minus one, or infinite.
        moderated: [G] or one, whether the variance over runs is moderated. As in the direct interval, one t
            quantile then serves both parts; the more is shrunk, the more of the variance is that over runs,
            and the fewer degrees of freedom has the quantile.
    """
    z = float(z_of(alpha))
    of_rows = replace(shares, variation=replace(shares.variation, row_dof=row_dof))
    low, high = of_rows.row_limits(z)
    variance = ((high - low) / (2 * z)) ** 2
    s = shrink(shares.difference, variance, alpha, codes)
    below, above = s.estimate - s.low, s.high - s.estimate
    v = shares.variation
    borrowed = (1 - s.direct_weight) * np.average(v.run_variance, weights=1 / variance)
    shift = np.maximum(v.run_variance, borrowed)
    share, larger = (
        np.clip((of_runs + v.flip_variance) / (over_rows + of_runs), 1e-12, 1.0)
        for over_rows, of_runs in (
            (shares.row_variance(runs), v.run_variance),
            (((below + above) / (2 * z)) ** 2, shift),
        )
    )
    dof = np.where(moderated, v.run_dof * np.minimum(share / larger, 1.0) ** SHARE_EXPONENT, v.run_dof)
    joined = Variation(np.where(moderated, dof, np.inf), shift, dof)
    below, above = (joined.distance(d / z * joined.row_quantile(z), z) for d in (below, above))
    low, high = np.maximum(s.estimate - below, -1.0), np.minimum(s.estimate + above, 1.0)
    return replace(s, low=low, high=high)


def predict(
    difference: FloatArray,
    variance: FloatArray,
    same: FloatArray | None = None,
    taus: FloatArray | None = None,
) -> Prediction:
    """Predict each group's true difference from the others, for every tau and rho.

    Let C = diag(V) + tau^2 K be the covariance of the differences and P = C^-1 - C^-1 1 1' C^-1 / 1' C^-1 1.
    Without group g the difference D_g is expected at D_g - [P D]_g / P_gg, with variance 1 / P_gg. One
    decomposition of K serves all tau.

    Args:
        difference: [G].
        variance: [G].
        same: [G, G] share of attributes that two crossings have in common; None for a single attribute.
        taus: the values of tau; by default a grid that is fine where the groups are precise.
    """
    if taus is None:
        taus = np.array([0.0, *np.geomspace(MIN_TAU * np.sqrt(variance.min()), MAX_TAU, TAUS)])
    steps = np.diff(taus, prepend=taus[0], append=taus[-1])
    prior = (steps[:-1] + steps[1:]) / 2 if len(taus) > 1 else np.ones(1)  # flat in tau: trapezoids
    parts = [_of_structure(difference, variance, k, taus) for k in _structures(same, len(difference))]
    log_weight = np.concatenate([np.log(prior) + part[0] for part in parts])
    log_weight -= log_weight.max()
    log_weight -= np.log(np.exp(log_weight).sum())
    mean, total = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return Prediction(log_weight, mean, np.maximum(total - variance, 0.0))


def _structures(same: FloatArray | None, groups: int) -> list[FloatArray | None]:
    """List the correlations of true differences, [G, G] each; None where they are independent."""
    if same is None:
        return [None]
    return [None if rho == 0 else (1 - rho) * np.eye(groups) + rho * same for rho in RHOS]


def _of_structure(
    difference: FloatArray, variance: FloatArray, structure: FloatArray | None, taus: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return [T] log likelihoods, [T, G] means and [T, G] variances of D_g given the others."""
    scale = 1 / np.sqrt(variance)
    if structure is None:
        values, basis = 1 / variance, np.diag(scale)
    else:
        values, vectors = np.linalg.eigh(structure * scale[:, None] * scale[None, :])
        basis = scale[:, None] * vectors
    inverse = 1 / (1 + taus[:, None] ** 2 * np.maximum(values, 0.0))  # [T, G] of C, in the basis
    centre = float((difference / variance).sum() / (1 / variance).sum())
    one, data = basis.sum(axis=0), (difference - centre) @ basis
    precision = inverse @ one**2
    mu = (inverse @ (one * data)) / precision
    rows = (inverse * one) @ basis.T  # C^-1 1
    diagonal = inverse @ (basis**2).T - rows**2 / precision[:, None]
    residual = (inverse * data) @ basis.T - rows * mu[:, None]  # P D
    quadratic = inverse @ data**2 - precision * mu**2
    log_likelihood = 0.5 * (np.log(inverse).sum(axis=1) - np.log(precision) - quadratic)
    return log_likelihood, difference - residual / diagonal, 1 / diagonal


def _posterior(
    predicted: Prediction, difference: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Update the predictions by the groups' own differences.

    Returns:
        [2 N, G] of the groups that are like the others and of those that are not: weights, which add up to 1
        for each group, means, standard deviations, and the weight of the group's own difference in the mean.
    """
    total = predicted.variance + variance
    distance = (difference - predicted.mean) ** 2
    outlying = total + OUTLIER_SD**2
    # How much better the difference agrees with an outlying group; the likelihood of all groups contains the
    # other factor already.
    log_ratio = 0.5 * (np.log(total / outlying) + distance * (1 / total - 1 / outlying))
    like = np.broadcast_to(predicted.log_weight[:, None], log_ratio.shape)
    # Logarithms, because a precise group far from the others has likelihoods too small, and ratios too large,
    # for a floating-point number.
    log_weight = np.concatenate([np.log(1 - OUTLIER_SHARE) + like, np.log(OUTLIER_SHARE) + like + log_ratio])
    weight = np.exp(log_weight - log_weight.max(axis=0))
    prior = np.concatenate([predicted.variance, predicted.variance + OUTLIER_SD**2])
    direct = prior / (prior + variance)
    mean = np.concatenate([predicted.mean, predicted.mean]) * (1 - direct) + direct * difference
    return weight / weight.sum(axis=0), mean, np.sqrt(direct * variance), direct


def _quantiles(levels: FloatArray, weight: FloatArray, mean: FloatArray, spread: FloatArray) -> FloatArray:
    """[L, G] quantiles of a mixture of normal distributions for each group; other arguments are [N, G]."""
    from scipy.special import ndtr  # noqa: PLC0415

    some = weight.max(axis=1) > NEGLIGIBLE
    weight, mean, spread = weight[some], mean[some], np.maximum(spread[some], NEGLIGIBLE)

    def below(at: FloatArray) -> BoolArray:
        share = (weight * ndtr((at[:, None] - mean) / spread)).sum(axis=1)
        return np.asarray(share < levels[:, None])

    ends = np.full((len(levels), weight.shape[1]), 2.0)
    inside, outside = bisect(-ends, ends, below, LIMIT_STEPS)
    return (inside + outside) / 2

"""Disparities of one arm and their differences between two, with bounds that hold for a maximum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from evenhand.judge import counts
from evenhand.judge.counts import Group, Observed
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.stats.family import Family
from evenhand.judge.stats.forms import Contrasts, Rates, critical, gap_forms, largest, tail, worst_forms
from evenhand.judge.stats.paired import IMAGINED
from evenhand.tables.schema import FloatArray, Predictions

#: P-values of disparities are sought down to this normal quantile (p = 1e-32), to this tolerance.
FARTHEST, TOLERANCE = 12.0, 1e-6


@dataclass(frozen=True)
class Maximum:
    """A disparity, or its difference between two arms, and the law of the contrasts behind it.

    Attributes:
        info: the disparity's facts.
        value: the estimate: the disparity, or candidate less reference.
        parts: the contrasts of each metric that the disparity looks at.
        seed: of the draws of the largest contrast.
    """

    info: DisparityInfo
    value: float
    parts: list[Contrasts]
    seed: tuple[int, ...]

    @cached_property
    def family(self) -> Family:
        """The joint law of all contrasts."""
        return largest(self.parts, np.random.default_rng(self.seed))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Low and high at level 1 - alpha."""
        return self.at(critical(self.family, alpha))

    def critical(self, alpha: float) -> float:
        """The normal quantile at which the contrasts are bounded at level alpha."""
        return critical(self.family, alpha)

    def at(self, z: float) -> tuple[float, float]:
        """Low and high when every contrast is bounded at the normal quantile z."""
        limits = [self._part(c, z) for c in self.parts]
        low, high = np.array(limits).T
        if self.info.combine == "mean":
            return float(low.mean()), float(high.mean())
        if self.parts[0].two_arms:  # max(b) - max(a) lies between the least and the largest difference
            return float(low.min()), float(high.max())
        if self.info.combine == "max":
            return float(low.max()), float(high.max())
        return float(low.min()), float(high.min())

    def _part(self, c: Contrasts, z: float) -> tuple[float, float]:
        low, high = c.maximum(z)
        if self.info.form == "gap":
            return (max(low, -1.0), min(high, 1.0)) if c.two_arms else (max(low, 0.0), min(high, 1.0))
        if self.info.form == "worst":
            return (-high, -low) if c.two_arms else (max(-high, 0.0), min(-low, 1.0))
        if not c.two_arms:
            return float(np.exp(-high)), float(min(np.exp(-low), 1.0))
        # Candidate's ratio over the reference's, turned into a difference by the bounds of the reference's.
        down, up = float(np.expm1(min(-high, 700.0))), float(np.expm1(min(-low, 700.0)))
        ratios = [[float(np.exp(min(-v, 0.0))) for v in reversed(pair)] for pair in c.each_maximum(z)]
        (candidate_low, candidate_high), (least, most) = ratios
        lower = max(down * (least if down > 0 else most), candidate_low - most)
        upper = min(up * (most if up > 0 else least), candidate_high - least)
        return lower, upper

    def p_value(self) -> float:
        """The level at which a limit reaches 0: the root of that limit in z, by regula falsi (Illinois)."""
        nearer = 0 if self.value > 0 else 1
        sign = 1.0 if self.value > 0 else -1.0
        inner, outer = 1e-6, FARTHEST
        f_inner, f_outer = (sign * self.at(z)[nearer] for z in (inner, outer))
        if f_inner <= 0:
            return 1.0
        if f_outer > 0:
            return tail(self.family, outer)
        last = 0
        while outer - inner > TOLERANCE:
            z = (inner * max(f_outer, -1.0) - outer * f_inner) / (max(f_outer, -1.0) - f_inner)
            z = min(max(z, inner + TOLERANCE / 2), outer - TOLERANCE / 2)
            value = sign * self.at(z)[nearer]
            if value > 0:
                inner, f_inner, last, f_outer = z, value, 1, f_outer / (2 if last == 1 else 1)
            else:
                outer, f_outer, last, f_inner = z, value, -1, f_inner / (2 if last == -1 else 1)
        return tail(self.family, inner)


def of_one_arm(
    info: DisparityInfo,
    value: float,
    observed: list[list[Observed]],
    groups: list[Group],
    predictions: Predictions,
    seed: tuple[int, ...],
) -> Maximum:
    """The disparity of one arm: `observed[metric][group]` of the groups that are used."""
    forms = (worst_forms if info.form == "worst" else gap_forms)(len(groups))
    scale: Literal["rate", "log"] = "log" if info.form == "ratio" else "rate"
    parts = [Contrasts(_rates([o], groups, predictions, same_runs=True), forms, scale) for o in observed]
    return Maximum(info, value, parts, seed)


def of_two_arms(
    info: DisparityInfo,
    value: float,
    observed: list[tuple[list[Observed], list[Observed]]],
    groups: list[Group],
    predictions: Predictions,
    seed: tuple[int, ...],
    *,
    same_runs: bool,
) -> Maximum:
    """The difference of a disparity: `observed[metric]` is (reference by group, candidate by group)."""
    forms = (worst_forms if info.form == "worst" else gap_forms)(len(groups))
    scale: Literal["rate", "log"] = "log" if info.form == "ratio" else "rate"
    parts = [
        Contrasts(_rates([a, b], groups, predictions, same_runs=same_runs), forms, scale) for a, b in observed
    ]
    return Maximum(info, value, parts, seed)


def _rates(
    arms: list[list[Observed]], groups: list[Group], predictions: Predictions, *, same_runs: bool
) -> Rates:
    """Stack the group rates of one or two arms with what their bounds need."""
    flat = [(o, g) for arm in arms for o, g in zip(arm, groups, strict=True)]
    value = np.array([o.value for o, _ in flat])
    n = np.array([counts.effective_rows(o, g, predictions) for o, g in flat])
    correlation = _correlation(flat, predictions)
    runs = None
    fewest = min(len(arm[0].values) for arm in arms)
    if fewest >= counts.ENOUGH_RUNS and (same_runs or len({len(a[0].values) for a in arms}) == 1):
        runs = np.stack([o.values for o, _ in flat])
    elif fewest >= counts.ENOUGH_RUNS:
        runs = np.stack([o.values[:fewest] for o, _ in flat])
    if len(arms) == 1:
        return Rates(value, n, correlation, runs)
    reference, candidate = arms
    moments = [_paired(a, b, g, predictions) for a, b, g in zip(reference, candidate, groups, strict=True)]
    difference, discordance, scale, paired_n = (np.array(m) for m in zip(*moments, strict=True))
    return Rates(value, n, correlation, runs, difference, discordance, scale, paired_n)


def _paired(a: Observed, b: Observed, group: Group, p: Predictions) -> tuple[float, float, float, float]:
    """Difference, scaled discordance, scale and effective rows of a paired rate (see `ScorePaired`)."""
    assert a.numerator is not None
    assert b.numerator is not None
    assert a.denominator is not None
    weight = p.weight[group.rows] * a.denominator
    total = float(weight.sum())
    d = counts.per_row(b.numerator - a.numerator, a.denominator)
    mean = float(np.sum(weight * d)) / total
    absolute, square = float(np.sum(weight * np.abs(d))) / total, float(np.sum(weight * d**2)) / total
    n = counts.effective_paired(d, a.denominator, group.rows, p, square=square)
    scale = (n * square + IMAGINED) / (n * absolute + IMAGINED)
    return mean, absolute / scale, scale, n


def _correlation(flat: list[tuple[Observed, Group]], predictions: Predictions) -> FloatArray:
    """[P, P] correlation of rates; a rate whose rows all agree is taken as uncorrelated with the others."""
    size = len(predictions.label)
    spread = np.zeros((len(flat), size))
    for row, (o, g) in enumerate(flat):
        spread[row, g.rows] = o.influence
    covariance = counts.covariance(spread, np.arange(size), predictions)
    deviation = np.sqrt(np.clip(np.diagonal(covariance), 0, None))
    known = deviation > 0
    scale = np.where(known, 1 / np.where(known, deviation, 1.0), 0.0)
    correlation = np.clip(covariance * scale[:, None] * scale[None, :], -1, 1)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)

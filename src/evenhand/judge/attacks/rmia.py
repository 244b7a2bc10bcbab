"""The robust membership inference attack (RMIA): a row's likelihood ratio against those of other rows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from evenhand.judge.attacks import AttackInfo, Evidence, Needs
from evenhand.spec.base import Frozen
from evenhand.tables.schema import FloatArray

INFO = AttackInfo(
    title="robust (RMIA)",
    reference="Zarifzadeh et al. 2024, https://arxiv.org/abs/2312.03262, equations 4 to 9",
)

#: Smallest probability, so that exp(-loss) does not underflow: losses above 690 are equivalent.
MIN_PROBABILITY = 1e-300


class Config(Frozen):
    """Options.

    Attributes:
        mode: `online` averages a row's probability over all references, `offline` over those that were not
            trained on it.
        gamma: factor by which a ratio must exceed another row's to count.
        a: for `offline`, the slope of the mean over all models on the mean over those without the row.
    """

    mode: Literal["online", "offline"] = "online"
    gamma: float = Field(default=2.0, ge=1, le=1000)
    a: float = Field(default=0.3, ge=0, le=1)


def needs(config: Config) -> Needs:
    """Losses, of models with and without the row, or without it only."""
    return Needs(("loss",), "both" if config.mode == "online" else "out")


def score(evidence: Evidence, config: Config) -> FloatArray:
    """[T, n] share of all rows whose likelihood ratio the row's exceeds by the factor gamma.

    The ratio is p(x | target) / p(x) with p(x | model) = exp(-loss), the loss being the mean over views, and
    p(x) the mean over references, or ((1 + a) p_out(x) + (1 - a)) / 2 offline. The rows themselves serve
    as the population, because only their signals are available.
    """
    ratio = np.empty((len(evidence.targets), evidence.member.shape[1]))
    for rows in evidence.chunks():
        ratio[:, rows] = _likelihood_ratio(evidence, rows, config)
    result = np.full_like(ratio, np.nan)
    for of_target, target_ratio in zip(result, ratio, strict=True):
        known = np.isfinite(target_ratio)
        of_target[known] = dominated_share(target_ratio[known], target_ratio[known], config.gamma)
    return result


def _likelihood_ratio(evidence: Evidence, rows: slice, config: Config) -> FloatArray:
    """[T, c] likelihood ratios of some rows."""
    p = np.maximum(np.exp(-evidence.loss[:, rows].mean(axis=2)), MIN_PROBABILITY)
    at, targets = evidence.references, evidence.targets
    chosen = np.ones_like(p, dtype=bool) if config.mode == "online" else ~evidence.member[:, rows]
    total = np.broadcast_to((p[at] * chosen[at]).sum(axis=0), (len(targets), p.shape[1]))
    count = np.broadcast_to(chosen[at].sum(axis=0), total.shape)
    if evidence.shared:
        # The difference of two sums may cancel to rounding error, which could be negative.
        total = np.maximum(total - np.where(chosen[targets], p[targets], 0.0), 0.0)
        count = count - chosen[targets]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / np.where(count > 0, count, np.nan)
        if config.mode == "offline":
            mean = ((1 + config.a) * mean + (1 - config.a)) / 2
        return np.asarray(p[targets] / np.maximum(mean, MIN_PROBABILITY))


def dominated_share(ratio: FloatArray, population: FloatArray, gamma: float) -> FloatArray:
    """[n] share of the population z with ratio / z > gamma, by sorting instead of an n x m matrix.

    Args:
        ratio: [n] likelihood ratios.
        population: [m] likelihood ratios of other rows.
        gamma: the factor.
    """
    below = np.sort(population)
    order = np.argsort(ratio)
    counts = np.empty(len(ratio))
    # Sorted queries access the sorted population in sequence, which is faster than in random order.
    counts[order] = np.searchsorted(below, ratio[order] / gamma, side="left")
    return counts / len(population)

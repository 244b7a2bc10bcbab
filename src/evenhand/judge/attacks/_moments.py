"""Means and variances over reference models, for every attacked model at once.

A model that is attacked is no reference for itself. All leave-one-out sums follow from the sums over all
models: K - 1 = K - m, S1 - m x, S2 - m x^2, where x is the model's own value and m whether it is in the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand.judge.attacks import Evidence
from evenhand.tables.schema import BoolArray, FloatArray


@dataclass(frozen=True)
class Moments:
    """Of the references of each target, among members or among non-members.

    Attributes:
        count: [T, c, 1] references.
        mean: [T, c, views] of their values; NaN without any.
        squares: [T, c, views] sum of squared distances from the mean.
    """

    count: FloatArray
    mean: FloatArray
    squares: FloatArray


def centred(values: FloatArray, evidence: Evidence) -> tuple[FloatArray, FloatArray]:
    """[R, c, views] values less the mean over references, so that sums of squares lose no digits; the mean."""
    middle = values[evidence.references].mean(axis=0)
    return values - middle, middle


def moments(x: FloatArray, chosen: BoolArray, evidence: Evidence) -> Moments:
    """Moments over the references that are chosen.

    Args:
        x: [R, c, views] centred values.
        chosen: [R, c] whether a model counts for a row.
        evidence: which models are targets, which references.
    """
    at, targets = evidence.references, evidence.targets
    weight = chosen[at][:, :, None].astype(np.float64)
    part = x[at] * weight
    count, first, second = weight.sum(axis=0), part.sum(axis=0), (part * x[at]).sum(axis=0)
    if evidence.shared:
        own = chosen[targets][:, :, None]
        mine = np.where(own, x[targets], 0.0)
        count, first, second = count - own, first - mine, second - mine * mine
    else:
        shape = (len(targets), *first.shape)
        count = np.broadcast_to(count, (len(targets), *count.shape))
        first, second = np.broadcast_to(first, shape), np.broadcast_to(second, shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / np.where(count > 0, count, np.nan)
    squares = np.maximum(second - count * np.nan_to_num(mean) ** 2, 0.0)
    return Moments(np.asarray(count, dtype=np.float64), mean, squares)

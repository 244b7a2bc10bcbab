"""Means and variances over reference models, for every attacked model at once.

An attacked model is not a reference for itself. Its leave-one-out sums follow from the sums over all models
by subtraction: K - m, S1 - m x and S2 - m x^2, where x is the value of the attacked model and m is 1 if it is
in the sum and 0 if not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand.judge.attacks import Evidence
from evenhand.tables.schema import BoolArray, FloatArray


@dataclass(frozen=True)
class Moments:
    """Moments over the references of each target, among members or among non-members.

    Attributes:
        count: [T, c, 1] number of references.
        mean: [T, c, views] mean of their values; NaN without references.
        squares: [T, c, views] sum of squared deviations from the mean.
    """

    count: FloatArray
    mean: FloatArray
    squares: FloatArray


@dataclass(frozen=True)
class Centred:
    """Values of some rows minus their mean over references, so that sums of squares do not lose digits.

    Attributes:
        references: [K, c, views].
        targets: [T, c, views].
        middle: [c, views] the mean.
    """

    references: FloatArray
    targets: FloatArray
    middle: FloatArray


def centre(values: FloatArray, evidence: Evidence) -> Centred:
    """Centre [R, c, views] values."""
    if evidence.shared:
        mean = values.mean(axis=0)
        x = values - mean
        return Centred(x, x, mean)
    references = values[evidence.references]
    mean = references.mean(axis=0)
    references -= mean
    return Centred(references, values[evidence.targets] - mean, mean)


def compute_moments(x: Centred, member: BoolArray, evidence: Evidence) -> dict[bool, Moments]:
    """Compute moments over the references that are members (True) and over those that are not (False).

    Args:
        x: centred values of some rows.
        member: [R, c] mask: the row was in the model's training set.
        evidence: the targets and the references.
    """
    inside = member if evidence.shared else member[evidence.references]
    part = x.references * inside[:, :, None]
    count = inside.sum(axis=0, dtype=np.float64)[:, None]
    first, second = part.sum(axis=0), np.einsum("rcv,rcv->cv", part, x.references)
    all_second = np.einsum("rcv,rcv->cv", x.references, x.references)
    size = len(inside)
    is_member = member[evidence.targets][:, :, None]
    # The centred values of all references sum to 0, so the sum over non-members is minus that over members.
    return {
        True: _exclude_target(x.targets, is_member, (count, first, second), evidence),
        False: _exclude_target(x.targets, ~is_member, (size - count, -first, all_second - second), evidence),
    }


def _exclude_target(
    targets: FloatArray,
    included: BoolArray,
    sums: tuple[FloatArray, FloatArray, FloatArray],
    evidence: Evidence,
) -> Moments:
    """Compute moments from sums, without each target's value where the sums include it."""
    count, first, second = (np.broadcast_to(s, (len(targets), *s.shape)) for s in sums)
    if evidence.shared:
        target_part = np.where(included, targets, 0.0)
        count, first, second = count - included, first - target_part, second - target_part * target_part
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / np.where(count > 0, count, np.nan)
    squares = np.maximum(second - count * np.nan_to_num(mean) ** 2, 0.0)
    return Moments(np.asarray(count), mean, squares)

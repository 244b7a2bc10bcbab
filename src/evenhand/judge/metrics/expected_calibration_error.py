"""Expected calibration error: the distance of scores from frequencies, averaged over bins of equal width.

Sum over bins b of (n_b / n) |mean confidence in b - frequency in b|.

Source: Guo et al. 2017. Bins include their left edge and exclude their right one; the last bin includes
both, as in netcal (torchmetrics puts a score of exactly 1 into a separate bin).

Args:
    y_true: [n] labels.
    y_score: [n] P(positive), or [n, classes].
    bins: number of bins.
    kind: `binary`, P(positive) against the frequency of the positive label (default for two classes), or
        `top_label`, the largest score against accuracy (default for more).
    binning: bins of equal width, or of equal mass: equal shares of the rows; equal scores share a bin.
    sample_weight: [n] weights.
    pos_label: the positive label.

>>> round(expected_calibration_error([0, 0, 1, 1, 1], [0.25, 0.25, 0.55, 0.75, 0.75], bins=2), 12)
0.29
"""

from __future__ import annotations

import numpy as np

from evenhand.judge.metrics import NO_ROWS, Estimate, MetricInfo, Sample, undefined
from evenhand.tables.schema import FloatArray, IntArray

INFO = MetricInfo(
    title="expected calibration error",
    direction=-1,
    range=(0, 1),
    needs="score",
    classes="whole",
    inference="permutation",
    reference="Guo et al. 2017; torchmetrics BinaryCalibrationError(n_bins=15, norm='l1'); netcal ECE",
)

BINS = 15

# The value is larger in smaller groups even for a calibrated model (it sums absolute values of noisy gaps).
# Arms are therefore compared by swapping them within rows, and the verdict comes from the Brier score unless
# a margin is declared.


def compute(sample: Sample) -> Estimate:
    """Sum over bins of (weight of the bin / weight) |mean confidence - frequency|."""
    confidence, outcome = confidence_and_outcome(sample)
    return binned(sample, confidence, outcome, bin_of(confidence, BINS))


def binned(sample: Sample, confidence: FloatArray, outcome: FloatArray, index: IntArray) -> Estimate:
    """The calibration error of [n] confidences and 0/1 outcomes whose rows lie in [n] bins `index`."""
    total = float(sample.weight.sum())
    if not total > 0:
        return undefined(sample, NO_ROWS)
    gap = np.bincount(index, weights=sample.weight * (confidence - outcome))
    return Estimate(float(np.abs(gap).sum() / total), np.full(len(outcome), np.nan))


def confidence_and_outcome(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """[n] confidence and [n] 0/1 outcome: of the positive class for two classes, else of the top label."""
    if sample.proba.shape[1] == 2:
        return sample.score, sample.label.astype(np.float64)
    top = np.argmax(sample.proba, axis=1)
    return np.max(sample.proba, axis=1), (top == sample.true).astype(np.float64)


def bin_of(confidence: FloatArray, bins: int) -> IntArray:
    """[n] index of the equal-width bin: left edges belong to their bin, 1.0 to the last one.

    Compared with the edges k / bins themselves: 0.58 * 50 rounds to less than 29, and np.linspace (in netcal)
    to an edge above 0.6 of 10 bins.
    """
    edges = np.arange(1, bins) / bins
    return np.asarray(np.searchsorted(edges, confidence, side="right"), dtype=np.int64)


def equal_mass_bin_of(confidence: FloatArray, weight: FloatArray, bins: int) -> IntArray:
    """[n] index of the bin when each bin gets the same share of the weight; equal confidences share a bin.

    A row's bin follows from its mid-rank: the weight of smaller confidences plus half the weight of equal
    ones, as a share of the total weight.
    """
    _, rank = np.unique(confidence, return_inverse=True)
    mass = np.bincount(rank, weights=weight)
    middle = np.cumsum(mass) - mass / 2
    index = (middle * bins / max(float(weight.sum()), np.finfo(np.float64).tiny)).astype(np.int64)
    return np.asarray(np.minimum(index, bins - 1)[rank])

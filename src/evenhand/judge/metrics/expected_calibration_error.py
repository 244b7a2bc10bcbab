"""Expected calibration error: how far scores are from frequencies, averaged over bins of equal width.

Two classes: P(positive) against the frequency of the positive class. More: `top_label`, the score of the
predicted class against accuracy. The value grows as a group shrinks even for a calibrated model, so it is
compared by permutation and its verdict comes from the Brier score.
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


def compute(sample: Sample) -> Estimate:
    """Sum over bins of (weight of the bin / weight) |mean confidence - frequency|."""
    total = float(sample.weight.sum())
    if not total > 0:
        return undefined(sample, NO_ROWS)
    confidence, outcome = confidence_and_outcome(sample)
    gap = np.bincount(
        bin_of(confidence, BINS), weights=sample.weight * (confidence - outcome), minlength=BINS
    )
    return Estimate(float(np.abs(gap).sum() / total), np.full(len(outcome), np.nan))


def confidence_and_outcome(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """[n] confidence and [n] 0/1 outcome: of the positive class for two classes, else of the top label."""
    if sample.proba.shape[1] == 2:
        return sample.score, sample.label.astype(np.float64)
    top = np.argmax(sample.proba, axis=1)
    return np.max(sample.proba, axis=1), (top == sample.true).astype(np.float64)


def bin_of(confidence: FloatArray, bins: int) -> IntArray:
    """[n] index of the equal-width bin: left edges belong to their bin, 1.0 to the last one."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)

"""Metrics of one set of rows: rates, accuracies, and metrics of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evenhand import registry
from evenhand.errors import CallError
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics import expected_calibration_error as calibration
from evenhand.metrics.inputs import answers, check_choice, scores, with_top_label

Kind = Literal["binary", "top_label"]
Binning = Literal["equal_width", "equal_mass"]

METRICS = "evenhand.judge.metrics"


def selection_rate(
    y_true: object, y_pred: object, *, pos_label: object = None, sample_weight: object = None
) -> float:
    """P(prediction positive), whatever the label is (pass `y_pred` twice where there are no labels).

    Source: fairlearn.metrics.selection_rate.

    >>> selection_rate([0, 1, 1, 0], [1, 1, 1, 0])
    0.75
    """
    return _rate("selection_rate", y_true, y_pred, sample_weight, pos_label)


def true_positive_rate(
    y_true: object, y_pred: object, sample_weight: object = None, pos_label: object = None
) -> float:
    """P(prediction positive | label positive) = TP / (TP + FN); NaN without positive labels.

    Source: fairlearn.metrics.true_positive_rate.

    >>> true_positive_rate(["yes", "yes", "no"], ["yes", "no", "no"], pos_label="yes")
    0.5
    >>> true_positive_rate([0, 0], [1, 0])
    nan
    """
    return _rate("true_positive_rate", y_true, y_pred, sample_weight, pos_label)


def false_positive_rate(
    y_true: object, y_pred: object, sample_weight: object = None, pos_label: object = None
) -> float:
    """P(prediction positive | label negative) = FP / (FP + TN); NaN without negative labels.

    Source: fairlearn.metrics.false_positive_rate.
    """
    return _rate("false_positive_rate", y_true, y_pred, sample_weight, pos_label)


def true_negative_rate(
    y_true: object, y_pred: object, sample_weight: object = None, pos_label: object = None
) -> float:
    """P(prediction negative | label negative) = TN / (FP + TN); NaN without negative labels.

    Source: fairlearn.metrics.true_negative_rate.
    """
    return _rate("true_negative_rate", y_true, y_pred, sample_weight, pos_label)


def false_negative_rate(
    y_true: object, y_pred: object, sample_weight: object = None, pos_label: object = None
) -> float:
    """P(prediction negative | label positive) = FN / (TP + FN); NaN without positive labels.

    Source: fairlearn.metrics.false_negative_rate.
    """
    return _rate("false_negative_rate", y_true, y_pred, sample_weight, pos_label)


def accuracy(y_true: object, y_pred: object, *, sample_weight: object = None) -> float:
    """P(prediction = label), for any number of classes.

    Source: sklearn.metrics.accuracy_score.

    >>> accuracy(["a", "b", "c", "c"], ["a", "b", "c", "a"])
    0.75
    """
    return value_of("accuracy", answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False))


def balanced_accuracy(y_true: object, y_pred: object, *, sample_weight: object = None) -> float:
    """Mean over classes of P(prediction = class | label = class); NaN with labels of one class only.

    Source: sklearn.metrics.balanced_accuracy_score.

    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    return value_of(
        "balanced_accuracy", answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False)
    )


def precision(
    y_true: object, y_pred: object, *, pos_label: object = None, sample_weight: object = None
) -> float:
    """P(label positive | prediction positive) = TP / (TP + FP); NaN if no prediction is positive.

    Source: sklearn.metrics.precision_score.
    """
    return _rate("precision", y_true, y_pred, sample_weight, pos_label)


def f1(y_true: object, y_pred: object, *, pos_label: object = None, sample_weight: object = None) -> float:
    """2 TP / (2 TP + FP + FN); NaN if no label and no prediction is positive.

    Source: sklearn.metrics.f1_score.

    >>> f1([1, 1, 0], [1, 0, 1])
    0.5
    """
    return _rate("f1", y_true, y_pred, sample_weight, pos_label)


def roc_auc(
    y_true: object, y_score: object, *, pos_label: object = None, sample_weight: object = None
) -> float:
    """P(score of a positive row > score of a negative row) + P(equal) / 2; scores may be any numbers.

    Source: sklearn.metrics.roc_auc_score.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    sample = scores(
        y_true,
        y_score,
        sample_weight=sample_weight,
        pos_label=pos_label,
        probabilities=False,
        one_vs_rest=True,
    )
    return value_of("roc_auc", sample)


def log_loss(
    y_true: object,
    y_score: object,
    *,
    sample_weight: object = None,
    labels: Sequence[object] | None = None,
    pos_label: object = None,
) -> float:
    """Mean of -ln(score of the true class), in nats; scores are clipped to [2^-52, 1 - 2^-52].

    Source: sklearn.metrics.log_loss. `labels` names the classes of the columns of `y_score` in their order.

    >>> round(log_loss([1, 0], [0.5, 0.25]), 4)
    0.4904
    """
    return value_of(
        "log_loss", scores(y_true, y_score, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    )


def brier_score(
    y_true: object,
    y_score: object,
    *,
    sample_weight: object = None,
    labels: Sequence[object] | None = None,
    pos_label: object = None,
) -> float:
    """Mean squared error of the scores: (p - y)^2 for two classes, summed over classes for more.

    Source: sklearn.metrics.brier_score_loss, whose range is [0, 1] for two classes and [0, 2] for more.

    >>> brier_score([1, 0], [0.5, 0.25])
    0.15625
    """
    return value_of(
        "brier_score",
        scores(y_true, y_score, sample_weight=sample_weight, labels=labels, pos_label=pos_label),
    )


def expected_calibration_error(
    y_true: object,
    y_score: object,
    *,
    bins: int = 15,
    kind: Kind | None = None,
    binning: Binning = "equal_width",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """Sum over bins b of (n_b / n) |mean confidence in b - frequency in b|.

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
    check_bins(bins, kind, binning)
    return calibration_error(calibrated(y_true, y_score, kind, sample_weight, pos_label), bins, binning)


def value_of(name: str, sample: Sample) -> float:
    """Compute the metric called `name` with the judge's plug-in."""
    return float(registry.load(METRICS, name).compute(sample).value)


def _rate(name: str, y_true: object, y_pred: object, sample_weight: object, pos_label: object) -> float:
    return value_of(name, answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label))


def check_bins(bins: int, kind: str | None, binning: str) -> None:
    """Refuse invalid options of bins."""
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise CallError(f"bins: got {bins!r}; must be a whole number of at least 1.")
    check_choice("binning", binning, ("equal_width", "equal_mass"))
    if kind is not None:
        check_choice("kind", kind, ("binary", "top_label"))


def calibrated(
    y_true: object, y_score: object, kind: str | None, sample_weight: object, pos_label: object
) -> Sample:
    """Build rows from which the judge's plug-in derives the requested kind of confidence."""
    one_vs_rest = kind == "binary"
    sample = scores(
        y_true, y_score, sample_weight=sample_weight, pos_label=pos_label, one_vs_rest=one_vs_rest
    )
    return with_top_label(sample) if kind == "top_label" else sample


def calibration_error(sample: Sample, bins: int, binning: str) -> float:
    """Compute the expected calibration error with the judge's plug-in, in the requested bins."""
    confidence, outcome = calibration.confidence_and_outcome(sample)
    if binning == "equal_mass":
        index = calibration.equal_mass_bin_of(confidence, sample.weight, bins)
    else:
        index = calibration.bin_of(confidence, bins)
    return calibration.binned(sample, confidence, outcome, index).value

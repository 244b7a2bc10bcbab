"""Disparities: differences and ratios between groups."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from evenhand import registry
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics.expected_calibration_error import BINS
from evenhand.metrics.inputs import answers, check_choice, groups, take
from evenhand.metrics.rates import Binning, Kind, calibrated, calibration_error, check_bins, value_of

Method = Literal["between_groups", "to_overall"]
Agg = Literal["worst_case", "mean"]

DISPARITIES = "evenhand.judge.disparities"


def demographic_parity_difference(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """Largest minus smallest selection rate of the groups.

    Source: fairlearn.metrics.demographic_parity_difference.

    Args:
        y_true: [n] labels (their values are not used; pass `y_pred` if there are none).
        y_pred: [n] predicted labels.
        sensitive_features: the groups.
        method: `between_groups`, or `to_overall`: the largest distance of a group from the value of all rows.
        sample_weight: [n] weights.
        pos_label: the positive label.

    >>> demographic_parity_difference([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["a", "a", "b", "b"])
    0.5
    """
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(_info("demographic_parity_difference"), sample, sensitive_features, method)


def demographic_parity_ratio(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """Smallest selection rate of the groups over the largest; NaN when all are 0.

    Source: fairlearn.metrics.demographic_parity_ratio; LL144's impact ratio. `to_overall` compares each group
    with all rows, the smaller rate over the larger, and takes the smallest.

    >>> demographic_parity_ratio([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["a", "a", "b", "b"])
    0.5
    """
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(_info("demographic_parity_ratio"), sample, sensitive_features, method)


def equalized_odds_difference(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    agg: Agg = "worst_case",
    pos_label: object = None,
) -> float:
    """The larger (`worst_case`) or the mean of the gaps in true and in false positive rate.

    Source: fairlearn.metrics.equalized_odds_difference; Hardt et al. 2016. Only groups in which both rates
    are defined are compared.

    >>> a_and_b = ["a", "a", "b", "b", "b"]
    >>> equalized_odds_difference([1, 0, 1, 1, 0], [1, 0, 1, 0, 0], sensitive_features=a_and_b)
    0.5
    >>> equalized_odds_difference([1, 0, 1, 1, 0], [1, 0, 1, 0, 0], sensitive_features=a_and_b, agg="mean")
    0.25
    """
    check_choice("agg", agg, ("worst_case", "mean"))
    name = "equalized_odds_difference" if agg == "worst_case" else "equalized_odds_difference_mean"
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(_info(name), sample, sensitive_features, method)


def equalized_odds_difference_mean(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """`equalized_odds_difference` with `agg="mean"`, under its name in audits."""
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(_info("equalized_odds_difference_mean"), sample, sensitive_features, method)


def equalized_odds_ratio(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    agg: Agg = "worst_case",
    pos_label: object = None,
) -> float:
    """The smaller (`worst_case`) or the mean of the ratios in true and in false positive rate.

    Source: fairlearn.metrics.equalized_odds_ratio. A rate that is 0 in every group has no ratio.
    """
    check_choice("agg", agg, ("worst_case", "mean"))
    info = _info("equalized_odds_ratio")
    if agg == "mean":
        info = dataclasses.replace(info, combine="mean")
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(info, sample, sensitive_features, method)


def equal_opportunity_difference(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """Largest minus smallest true positive rate of the groups.

    Source: fairlearn.metrics.equal_opportunity_difference; Hardt et al. 2016.
    """
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(_info("equal_opportunity_difference"), sample, sensitive_features, method)


def equal_opportunity_ratio(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """Smallest true positive rate of the groups over the largest; NaN when all are 0.

    Source: fairlearn.metrics.equal_opportunity_ratio.
    """
    info = dataclasses.replace(_info("equalized_odds_ratio"), of=("true_positive_rate",))
    sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
    return _disparity(info, sample, sensitive_features, method)


def accuracy_difference(
    y_true: object,
    y_pred: object,
    *,
    sensitive_features: object,
    method: Method = "between_groups",
    sample_weight: object = None,
) -> float:
    """Largest minus smallest accuracy of the groups.

    Source: fairlearn.metrics.MetricFrame(metrics=accuracy_score).difference().
    """
    sample = answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False)
    return _disparity(_info("accuracy_difference"), sample, sensitive_features, method)


def worst_group_accuracy(
    y_true: object, y_pred: object, *, sensitive_features: object, sample_weight: object = None
) -> float:
    """Smallest accuracy of the groups.

    Source: Sagawa et al. 2020.

    >>> worst_group_accuracy([1, 0, 1, 0], [1, 0, 1, 1], sensitive_features=["a", "a", "b", "b"])
    0.5
    """
    sample = answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False)
    return _disparity(_info("worst_group_accuracy"), sample, sensitive_features)


def expected_calibration_error_difference(
    y_true: object,
    y_score: object,
    *,
    sensitive_features: object,
    bins: int = 15,
    kind: Kind | None = None,
    binning: Binning = "equal_width",
    sample_weight: object = None,
    pos_label: object = None,
) -> float:
    """Largest minus smallest expected calibration error of the groups.

    It grows as groups shrink, even for a calibrated model; the p-value of `evenhand audit` does not.
    Bins of equal mass are computed within each group.
    """
    check_bins(bins, kind, binning)
    sample = calibrated(y_true, y_score, kind, sample_weight, pos_label)
    info = _info("expected_calibration_error_difference")
    return _disparity(info, sample, sensitive_features, bins=bins, binning=binning)


def _info(name: str) -> DisparityInfo:
    info: DisparityInfo = registry.load(DISPARITIES, name).INFO
    return info


def _disparity(
    info: DisparityInfo,
    sample: Sample,
    sensitive_features: object,
    method: str = "between_groups",
    bins: int = BINS,
    binning: str = "equal_width",
) -> float:
    """Compare the groups' values of each metric in `info.of`, over the groups in which all are defined."""
    check_choice("method", method, ("between_groups", "to_overall"))

    def values(rows: Sample) -> list[float]:
        if info.form == "size_fair":
            return [calibration_error(rows, bins, binning)]
        return [value_of(metric, rows) for metric in info.of]

    by_group = [values(take(sample, rows)) for rows in groups(sensitive_features, len(sample.true))]
    known = np.array([v for v in by_group if not np.isnan(v).any()])
    if len(known) < 2:
        return float("nan")
    if method == "between_groups":
        parts = [info.apart(column) for column in known.T]
    else:
        furthest = min if info.form == "ratio" else max
        parts = [
            furthest(info.apart(np.array([v, overall])) for v in column)
            for column, overall in zip(known.T, values(sample), strict=True)
        ]
    return info.combined(parts)

"""Metrics as plain functions with fairlearn's signatures: labels, predictions or scores in, one number out.

`y_true`, `y_pred`, `y_score`, `sample_weight`: array-likes (lists, numpy, pandas, polars), one value per
row, no missing values. `y_score` is P(positive) of each row, or one column per class. `pos_label` names the
positive label; labels 0 and 1, or -1 and 1, do not need it. `sensitive_features` is one value per row, or
several columns (a dict, a data frame, a list of columns, [n, k] values), whose combinations are the groups.

Undefined values are NaN without a warning, where fairlearn and scikit-learn return 0: a group without
positive rows has no true positive rate. A disparity leaves out groups in which a rate that it needs is
undefined, and is NaN with fewer than two groups left. An invalid call raises `evenhand.errors.CallError`.

The values are computed by the same plug-ins in `evenhand.judge` as those of `evenhand audit`.
"""

from __future__ import annotations

from evenhand.metrics.disparities import (
    accuracy_difference,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equal_opportunity_ratio,
    equalized_odds_difference,
    equalized_odds_difference_mean,
    equalized_odds_ratio,
    expected_calibration_error_difference,
    worst_group_accuracy,
)
from evenhand.metrics.rates import (
    accuracy,
    balanced_accuracy,
    brier_score,
    expected_calibration_error,
    f1,
    false_negative_rate,
    false_positive_rate,
    log_loss,
    precision,
    roc_auc,
    selection_rate,
    true_negative_rate,
    true_positive_rate,
)

__all__ = [
    "accuracy",
    "accuracy_difference",
    "balanced_accuracy",
    "brier_score",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_difference_mean",
    "equalized_odds_ratio",
    "expected_calibration_error",
    "expected_calibration_error_difference",
    "f1",
    "false_negative_rate",
    "false_positive_rate",
    "log_loss",
    "precision",
    "roc_auc",
    "selection_rate",
    "true_negative_rate",
    "true_positive_rate",
    "worst_group_accuracy",
]

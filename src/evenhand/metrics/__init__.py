"""Metrics as plain functions with fairlearn's signatures: labels, predictions or scores in, one number out.

`y_true`, `y_pred`, `y_score`, `sample_weight`: array-likes (lists, numpy, pandas, polars), one value per
row, no missing values. `y_score` is P(positive) of each row, or one column per class. `pos_label` names the
positive label; labels 0 and 1, or -1 and 1, do not need it. `sensitive_features` is one value per row, or
several columns (a dict, a data frame, a list of columns, [n, k] values), whose combinations are the groups.

Undefined values are NaN without a warning, where fairlearn and scikit-learn return 0: a group without
positive rows has no true positive rate. A disparity leaves out groups in which a rate that it needs is
undefined, and is NaN with fewer than two groups left. An invalid call raises `evenhand.errors.CallError`.

Every metric and every disparity of `evenhand audit` is a function here, computed by the same plug-in.
"""

from __future__ import annotations

from evenhand import registry
from evenhand.errors import UnknownNameError
from evenhand.metrics.functions import DISPARITIES, METRICS, Function, build

__all__ = sorted(  # noqa: PLE0605  (the files in two folders)
    ["equal_opportunity_ratio", *registry.names(METRICS), *registry.names(DISPARITIES)]
)


def __getattr__(name: str) -> Function:
    """Build the function of a metric or a disparity when it is first used."""
    try:
        function = build(name)
    except UnknownNameError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return [*globals(), *__all__]

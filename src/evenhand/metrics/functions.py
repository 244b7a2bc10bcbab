"""Functions of one set of rows and of groups, each built from the plug-in of its name.

The facts of a plug-in determine the arguments: labels or scores, a positive label or all classes, groups. Its
formula is the judge's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Literal

import numpy as np

from evenhand import registry
from evenhand.errors import CallError, UnknownNameError
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics import expected_calibration_error as calibration
from evenhand.metrics.inputs import answers, check_choice, groups, scores, take, with_top_label

Function = Callable[..., float]
Kind = Literal["binary", "top_label"]
Binning = Literal["equal_width", "equal_mass"]
Method = Literal["between_groups", "to_overall"]
Agg = Literal["worst_case", "mean"]

METRICS, DISPARITIES = "evenhand.judge.metrics", "evenhand.judge.disparities"


def build(name: str) -> Function:
    """Build the function of a metric or a disparity.

    Its help is the plug-in's docstring after the first paragraph, which names the plug-in.

    Raises:
        UnknownNameError: no plug-in has this name.
    """
    if name == "equal_opportunity_ratio":
        return named(name, EQUAL_OPPORTUNITY_RATIO, _of_rates(_only_true_positives()))
    try:
        plugin = registry.load(METRICS, name)
        function = _metric(plugin)
    except UnknownNameError:
        plugin = registry.load(DISPARITIES, name)
        function = _disparity(plugin.INFO)
    return named(name, (plugin.__doc__ or "").partition("\n\n")[2], function)


def named(name: str, text: str, function: Function) -> Function:
    """Give a function its public name and its help."""
    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = "evenhand.metrics", text.strip() or None
    return function


def _metric(plugin: ModuleType) -> Function:
    """Choose the arguments of a metric."""
    info = plugin.INFO
    if plugin is calibration:
        return _calibrated()
    if info.needs == "score":
        return _ranked(plugin) if info.classes == "one_vs_rest" else _scored(plugin)
    if info.classes == "whole":
        return _classified(plugin)
    # fairlearn's functions of rates that have a complement take weights by position.
    return _rate(plugin) if info.complement else _decided(plugin)


def _decided(plugin: ModuleType) -> Function:
    def function(
        y_true: object, y_pred: object, *, pos_label: object = None, sample_weight: object = None
    ) -> float:
        return _value(plugin, answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label))

    return function


def _rate(plugin: ModuleType) -> Function:
    def function(
        y_true: object, y_pred: object, sample_weight: object = None, pos_label: object = None
    ) -> float:
        return _value(plugin, answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label))

    return function


def _classified(plugin: ModuleType) -> Function:
    def function(y_true: object, y_pred: object, *, sample_weight: object = None) -> float:
        return _value(plugin, answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False))

    return function


def _ranked(plugin: ModuleType) -> Function:
    def function(
        y_true: object, y_score: object, *, pos_label: object = None, sample_weight: object = None
    ) -> float:
        sample = scores(
            y_true,
            y_score,
            sample_weight=sample_weight,
            pos_label=pos_label,
            probabilities=False,
            one_vs_rest=True,
        )
        return _value(plugin, sample)

    return function


def _scored(plugin: ModuleType) -> Function:
    def function(
        y_true: object,
        y_score: object,
        *,
        sample_weight: object = None,
        labels: Sequence[object] | None = None,
        pos_label: object = None,
    ) -> float:
        sample = scores(y_true, y_score, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
        return _value(plugin, sample)

    return function


def _calibrated() -> Function:
    def function(
        y_true: object,
        y_score: object,
        *,
        bins: int = 15,
        kind: Kind | None = None,
        binning: Binning = "equal_width",
        sample_weight: object = None,
        pos_label: object = None,
    ) -> float:
        check_bins(bins, kind, binning)
        return calibration_error(confidences(y_true, y_score, kind, sample_weight, pos_label), bins, binning)

    return function


def _disparity(info: DisparityInfo) -> Function:
    """Choose the arguments of a disparity."""
    if info.of == ("expected_calibration_error",):
        return _of_calibration(info)
    one_vs_rest = any(registry.load(METRICS, m).INFO.classes == "one_vs_rest" for m in info.of)
    if info.form == "worst":
        return _worst(info) if one_vs_rest else _worst_classified(info)
    if not one_vs_rest:
        return _of_classified(info)
    return _of_rates(info) if len(info.of) == 1 or info.combine == "mean" else _of_several(info)


def _of_rates(info: DisparityInfo) -> Function:
    def function(
        y_true: object,
        y_pred: object,
        *,
        sensitive_features: object,
        method: Method = "between_groups",
        sample_weight: object = None,
        pos_label: object = None,
    ) -> float:
        sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
        return _compare(info, sample, sensitive_features, method)

    return function


def _of_several(info: DisparityInfo) -> Function:
    def function(
        y_true: object,
        y_pred: object,
        *,
        sensitive_features: object,
        method: Method = "between_groups",
        sample_weight: object = None,
        agg: Agg = "worst_case",
        pos_label: object = None,
    ) -> float:
        check_choice("agg", agg, ("worst_case", "mean"))
        sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
        chosen = replace(info, combine="mean") if agg == "mean" else info
        return _compare(chosen, sample, sensitive_features, method)

    return function


def _of_classified(info: DisparityInfo) -> Function:
    def function(
        y_true: object,
        y_pred: object,
        *,
        sensitive_features: object,
        method: Method = "between_groups",
        sample_weight: object = None,
    ) -> float:
        sample = answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False)
        return _compare(info, sample, sensitive_features, method)

    return function


def _worst(info: DisparityInfo) -> Function:
    def function(
        y_true: object,
        y_pred: object,
        *,
        sensitive_features: object,
        sample_weight: object = None,
        pos_label: object = None,
    ) -> float:
        sample = answers(y_true, y_pred, sample_weight=sample_weight, pos_label=pos_label)
        return _compare(info, sample, sensitive_features)

    return function


def _worst_classified(info: DisparityInfo) -> Function:
    def function(
        y_true: object, y_pred: object, *, sensitive_features: object, sample_weight: object = None
    ) -> float:
        sample = answers(y_true, y_pred, sample_weight=sample_weight, one_vs_rest=False)
        return _compare(info, sample, sensitive_features)

    return function


def _of_calibration(info: DisparityInfo) -> Function:
    def function(
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
        check_bins(bins, kind, binning)
        sample = confidences(y_true, y_score, kind, sample_weight, pos_label)
        measure = partial(calibration_error, bins=bins, binning=binning)
        return _compare(info, sample, sensitive_features, measure=measure)

    return function


def _compare(
    info: DisparityInfo,
    sample: Sample,
    sensitive_features: object,
    method: str = "between_groups",
    measure: Callable[[Sample], float] | None = None,
) -> float:
    """Compare the groups' values of each metric in `info.of`, over the groups in which all are defined."""
    check_choice("method", method, ("between_groups", "to_overall"))

    def values(rows: Sample) -> list[float]:
        return [measure(rows)] if measure else [_value(registry.load(METRICS, m), rows) for m in info.of]

    by_group = [values(take(sample, rows)) for rows in groups(sensitive_features, len(sample.true))]
    known = np.array([v for v in by_group if not np.isnan(v).any()])
    if len(known) < 2:
        return float("nan")
    if method == "between_groups":
        return info.combined([info.apart(column) for column in known.T])
    furthest = min if info.form == "ratio" else max
    overall = zip(known.T, values(sample), strict=True)
    return info.combined(
        [furthest(info.apart(np.array([v, all_rows])) for v in c) for c, all_rows in overall]
    )


def _value(plugin: ModuleType, sample: Sample) -> float:
    return float(plugin.compute(sample).value)


def check_bins(bins: int, kind: str | None, binning: str) -> None:
    """Refuse invalid options of bins."""
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise CallError(f"bins: got {bins!r}; must be a whole number of at least 1.")
    check_choice("binning", binning, ("equal_width", "equal_mass"))
    if kind is not None:
        check_choice("kind", kind, ("binary", "top_label"))


def confidences(
    y_true: object, y_score: object, kind: str | None, sample_weight: object, pos_label: object
) -> Sample:
    """Build rows from which the judge's plug-in derives the requested kind of confidence."""
    weight, one_vs_rest = sample_weight, kind == "binary"
    sample = scores(y_true, y_score, sample_weight=weight, pos_label=pos_label, one_vs_rest=one_vs_rest)
    return with_top_label(sample) if kind == "top_label" else sample


def calibration_error(sample: Sample, bins: int, binning: str) -> float:
    """Compute the expected calibration error with the judge's plug-in, in the requested bins."""
    confidence, outcome = calibration.confidence_and_outcome(sample)
    if binning == "equal_mass":
        index = calibration.equal_mass_bin_of(confidence, sample.weight, bins)
    else:
        index = calibration.bin_of(confidence, bins)
    return calibration.binned(sample, confidence, outcome, index).value


def _only_true_positives() -> DisparityInfo:
    """Return the facts of fairlearn's ratio of one rate, which is not a disparity of an audit."""
    info: DisparityInfo = registry.load(DISPARITIES, "equalized_odds_ratio").INFO
    return replace(info, of=("true_positive_rate",))


EQUAL_OPPORTUNITY_RATIO = """Smallest true positive rate of the groups over the largest; NaN when all are 0.

Source: fairlearn.metrics.equal_opportunity_ratio.
"""

"""Trends of a metric along an option, and interactions of methods with base models.

Both are linear contrasts over arms (`contrasts`), each kind one family of simultaneous intervals over all
groups, primary metrics and methods. They have intervals and p-values, and no verdicts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenhand.errors import CallError, nearest
from evenhand.judge.across_arms.contrasts import Contrast, contrast_rows, needs_scores
from evenhand.judge.rows import ComparisonRow
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Columns, Predictions

#: Minimum values of an option for a slope: a line through two points always fits.
MIN_VALUES = 3

#: Fields that every row copies from its contrast.
CONTRAST_FIELDS = (
    "low",
    "high",
    "level",
    "interval",
    "p_value",
    "p_adjusted",
    "n",
    "runs",
    "unit",
    "status",
    "reason",
)


@dataclass(frozen=True)
class Series:
    """Arms that differ in one numeric option only.

    Attributes:
        method: what the arms share: the method, with its other varied options in brackets.
        parameter: the option.
        values: its values, rising.
        arms: the arm of each value.
    """

    method: str
    parameter: str
    values: tuple[float, ...]
    arms: tuple[str, ...]


def trends(predictions: Predictions, series: Sequence[Series], settings: Settings) -> list[dict[str, Any]]:
    """Estimate the trend of each primary metric along an option such as the rank, in every group.

    The slope of the metric against log2 of the option's value, by least squares over the arms of a series:
    the change per doubling. Its weights sum to 0, so the slope of the metric is also the slope of its
    difference to any reference. Values of 0 and below have no logarithm and are left out, as `reason`
    states. A series with fewer than three different values above 0 has no trend, and no rows.

    Args:
        predictions: all arms of the series, over the same rows.
        series: arms along an option.
        settings: primary metrics, level, smallest group and seed.

    Returns:
        Rows with `method`, `parameter`, `values`, `slope` and its simultaneous interval.

    Raises:
        CallError: a series names an unknown arm, or needed scores are missing.
    """
    _refuse_unknown([arm for s in series for arm in s.arms], predictions)
    by_name: dict[str, tuple[Series, Contrast, list[float]]] = {}
    for arms_along in series:
        usable = [(v, arm) for v, arm in zip(arms_along.values, arms_along.arms, strict=True) if v > 0]
        if len({v for v, _ in usable}) >= MIN_VALUES:
            x = np.log2([v for v, _ in usable])
            centred = x - x.mean()
            weights = centred / np.sum(centred**2)
            arms = [arm for _, arm in usable]
            contrast = Contrast(
                f"{len(by_name)}: {arms_along.method} {arms_along.parameter}",
                dict(zip(arms, weights, strict=True)),
            )
            by_name[contrast.name] = (arms_along, contrast, [v for v, _ in usable])
    rows = []
    for contrast, row in contrast_rows(predictions, [c for _, c, _ in by_name.values()], settings):
        arms_along, _, values = by_name[contrast.name]
        left_out = [f"{arms_along.parameter} {v:g} has no logarithm" for v in arms_along.values if v <= 0]
        reason = "; ".join(r for r in (row.reason, *left_out) if r)
        rows.append(
            _group_fields(row)
            | {"method": arms_along.method, "parameter": arms_along.parameter, "values": values}
            | {"slope": row.difference, **_contrast_fields(row), "reason": reason}
        )
    return rows


def load_bases(
    files: Mapping[str, Mapping[str, Sequence[Path]]],
    columns: Columns,
    settings: Settings,
    class_names: Sequence[str] = (),
) -> tuple[Predictions, dict[str, dict[str, str]]]:
    """Load the runs of several models as arms of one `Predictions`, for `interactions`.

    Rows of two `Predictions` cannot be joined (equal rows are aggregated and have no ids), so all are loaded
    together.

    Args:
        files: model -> arm -> its runs' files, each with the run's name in `columns.run`.
        columns: names of the columns; `columns.arm` is not used.
        settings: determine whether scores are needed.
        class_names: names of classes that the files contain as numbers.

    Returns:
        The predictions, and for each model the name that each of its arms has there.

    Raises:
        InputError: the files cannot be read as predictions of the same examples.
    """
    from evenhand.tables.predictions.read import load  # noqa: PLC0415  (duckdb)

    names = {m: {arm: f"{m} / {arm}" for arm in arms} for m, arms in files.items()}
    source = {names[m][arm]: list(paths) for m, arms in files.items() for arm, paths in arms.items()}
    unnamed = dataclasses.replace(columns, arm=None)
    return load(source, unnamed, need_scores=needs_scores(settings), class_names=class_names), names


def interactions(
    predictions: Predictions, models: Mapping[str, Mapping[str, str]], settings: Settings
) -> list[dict[str, Any]]:
    """Estimate whether a method differs from the reference more on one base model than on another, by group.

    For each candidate arm that the first model and a later one have: (arm - reference) on the later model
    minus (arm - reference) on the first, a contrast of four arms over the same rows.

    Args:
        predictions: the arms of all models as arms of one `Predictions`, from `load_bases`.
        models: for each model, in the study's order, the name in `predictions` of each of its arms.
        settings: reference (an arm as the study names it; None is the first model's first), primary
            metrics, level, smallest group and seed.

    Returns:
        Rows with `arm`, `reference`, `model_low` (the first model), `model_high`, `difference` and its
        simultaneous interval.

    Raises:
        CallError: an arm is unknown, or needed scores are missing.
    """
    _refuse_unknown([name for arms in models.values() for name in arms.values()], predictions)
    if len(models) < 2:
        return []
    low, *others = models
    known = list(dict.fromkeys(arm for arms in models.values() for arm in arms))
    reference = settings.reference or known[0]
    if reference not in known:
        raise CallError(f"no arm is called {reference!r}; {nearest(reference, known)}")
    key: dict[str, tuple[str, str]] = {}
    contrasts: list[Contrast] = []
    for high in others:
        arms_low, arms_high = models[low], models[high]
        both = [arm for arm in arms_low if arm in arms_high]
        for arm in (a for a in both if a != reference and reference in both):
            weights = {
                arms_high[arm]: 1.0,
                arms_high[reference]: -1.0,
                arms_low[arm]: -1.0,
                arms_low[reference]: 1.0,
            }
            contrasts.append(Contrast(f"{len(contrasts)}: {arm} {high}", weights))
            key[contrasts[-1].name] = (arm, high)
    rows = []
    for contrast, row in contrast_rows(predictions, contrasts, settings):
        arm, high = key[contrast.name]
        rows.append(
            _group_fields(row)
            | {"arm": arm, "reference": reference, "model_low": low, "model_high": high}
            | {"difference": row.difference, **_contrast_fields(row)}
        )
    return rows


def _group_fields(row: ComparisonRow) -> dict[str, Any]:
    return {k: v for k, v in row.to_dict().items() if k in ("attribute", "group", "class", "metric")}


def _contrast_fields(row: ComparisonRow) -> dict[str, Any]:
    return {k: getattr(row, k) for k in CONTRAST_FIELDS}


def _refuse_unknown(names: Sequence[str], predictions: Predictions) -> None:
    known = [arm.name for arm in predictions.arms]
    unknown = [n for n in dict.fromkeys(names) if n not in known]
    if unknown:
        raise CallError([f"no arm is called {n!r}; {nearest(n, known)}" for n in unknown])

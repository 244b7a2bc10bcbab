"""Linear contrasts over arms: sum_k w_k metric(arm_k), in every group, at one simultaneous level.

A difference of two arms is the contrast (+1, -1). Rows enter by the weighted sum of the arms' influence
values, runs by the contrast of each run: seeds are paired where all arms have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.errors import CallError
from evenhand.judge.core import families
from evenhand.judge.core.estimates import (
    MIN_DISCORDANT_ROWS,
    Group,
    Observed,
    classes_of,
    collapse_equal_rows,
    groups_of,
    observe,
    row_dof,
    row_variance,
    shortage,
)
from evenhand.judge.core.pairs import PairedEstimate, module_name
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.tables.schema import BoolArray, FloatArray, Predictions

#: Weighted answers that cancel leave a rounding error; smaller values than this count as 0.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Contrast:
    """Weights of arms that sum to 0, so that what all arms share cancels.

    Attributes:
        name: its name within a family.
        weights: by the arms' names; other arms have weight 0.
    """

    name: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class ArmEstimates:
    """Observations of every arm for one metric in one group."""

    metric: ModuleType
    class_name: str | None
    group: Group
    by_arm: Mapping[str, Observed]
    predictions: Predictions


def judged_metrics(settings: Settings) -> tuple[str, ...]:
    """Return the primary metrics for which contrasts are defined.

    Disparities are not linear in the arms, and a calibration error depends on the number of rows.
    """
    known = [name for name in settings.declared if name in registry.names(METRICS)]
    return tuple(n for n in known if registry.load(METRICS, n).INFO.inference != "permutation")


def needs_scores(settings: Settings) -> bool:
    """Return True when one of these metrics needs scores, so that predictions must be loaded with them."""
    return any(registry.load(METRICS, n).INFO.needs == "score" for n in judged_metrics(settings))


def contrast_rows(
    predictions: Predictions, contrasts: Sequence[Contrast], settings: Settings
) -> list[tuple[Contrast, dict[str, Any]]]:
    """Estimate every contrast of every primary metric in every group and over all rows, as one family.

    Args:
        predictions: all arms that the contrasts name, over the same rows.
        contrasts: the contrasts to estimate.
        settings: primary metrics, level, smallest group and seed.

    Returns:
        Each with a row as in `comparisons`, whose `difference` is the contrast.

    Raises:
        CallError: a primary metric needs scores that an arm does not have.
    """
    if not contrasts:
        return []
    scored = needs_scores(settings)
    if scored and any(arm.score is None for arm in predictions.arms):
        raise CallError("a primary metric needs scores, and not every arm has them")
    rows_used = predictions if scored else collapse_equal_rows(predictions)
    pairs = [
        (c, _build_pair(c, estimates, settings))
        for estimates in _estimate_arms(rows_used, settings)
        for c in contrasts
    ]
    rows = families.adjust_family([pair for _, pair in pairs], rows_used, settings, "contrast", "")
    return [(contrast, row) for (contrast, _), row in zip(pairs, rows, strict=True)]


def _estimate_arms(predictions: Predictions, settings: Settings) -> Iterator[ArmEstimates]:
    for name in judged_metrics(settings):
        metric = registry.load(METRICS, name)
        for class_name, positive in classes_of(metric.INFO, predictions):
            for attribute in (None, *predictions.attributes):
                for group in groups_of(attribute, predictions):
                    by_arm = {
                        arm.name: observe(metric, arm, group, predictions, positive)
                        for arm in predictions.arms
                    }
                    yield ArmEstimates(metric, class_name, group, by_arm, predictions)


def _build_pair(contrast: Contrast, estimates: ArmEstimates, settings: Settings) -> PairedEstimate:
    """Build the paired estimate of one contrast, with its variances over rows and over runs."""
    info, group = estimates.metric.INFO, estimates.group
    name = module_name(estimates.metric)
    fewest = min(len(estimates.by_arm[arm].values) for arm in contrast.weights)
    value = sum(w * estimates.by_arm[arm].value for arm, w in contrast.weights.items())
    base: dict[str, Any] = {
        "candidate": contrast.name,
        "attribute": group.attribute,
        "group": group.name,
        "class_name": estimates.class_name,
        "metric": name,
        "complement_key": min(name, info.complement or name),
        "direction": info.direction,
        "margin_rule": False,
        "span": info.range[1] - info.range[0],
        "inference": "wald",
        "n": group.n,
        "runs": fewest,
        "unit": "rows and runs" if fewest >= MIN_RUNS else "rows",
        "right_to_wrong": np.nan,
        "wrong_to_right": np.nan,
        "difference": float(value),
        "rows": group.rows,
    }
    if np.isnan(value):
        reasons = dict.fromkeys(estimates.by_arm[arm].reason for arm in contrast.weights)
        return PairedEstimate(**base, status="undefined", reason="; ".join(r for r in reasons if r))
    if group.n < settings.min_group_size:
        reason = shortage(group.n, settings.min_group_size)
        return PairedEstimate(**base, status="too_small", reason=reason)
    return PairedEstimate(**base, **_variances(contrast, estimates))


def _variances(contrast: Contrast, estimates: ArmEstimates) -> dict[str, Any]:
    """Compute the variances over rows and runs, or a reason why they cannot be estimated."""
    p, rows = estimates.predictions, estimates.group.rows
    changed = round(float(p.count[rows] @ _rows_that_differ(contrast, estimates)))
    if changed < MIN_DISCORDANT_ROWS:
        reason = f"the arms differ on {shortage(changed, int(MIN_DISCORDANT_ROWS))}: too few for an interval"
        return {"status": "too_small", "reason": reason}
    influence = _weighted_sum(contrast, {arm: o.influence for arm, o in estimates.by_arm.items()})
    run_var, run_dof = _run_variance(contrast, estimates)
    return {
        "status": "ok",
        "reason": "",
        "row_variance": row_variance(influence, rows, p),
        "row_dof": min(row_dof(rows, p), changed - 1.0),
        "run_variance": run_var,
        "run_dof": run_dof,
        "influence": influence,
    }


def _rows_that_differ(contrast: Contrast, estimates: ArmEstimates) -> BoolArray:
    """[n] rows whose answers do not cancel; the variance over rows is estimated from these alone."""
    if estimates.metric.INFO.inference == "score":
        shares = {arm: o.numerator for arm, o in estimates.by_arm.items() if o.numerator is not None}
    elif estimates.metric.INFO.needs == "prediction":
        shares = {arm: o.right for arm, o in estimates.by_arm.items()}
    else:
        shares = {arm: o.influence * estimates.group.n for arm, o in estimates.by_arm.items()}
    return np.asarray(np.abs(_weighted_sum(contrast, shares)) > ROUNDING)


def _weighted_sum(contrast: Contrast, values: Mapping[str, FloatArray]) -> FloatArray:
    return np.asarray(sum(w * values[arm] for arm, w in contrast.weights.items()))


def _run_variance(contrast: Contrast, estimates: ArmEstimates) -> tuple[float, float]:
    """Variance of the contrast over runs and its degrees of freedom; 0 and infinite below five runs.

    Runs of the same names share their seeds: then the contrast of each run is one draw. Other runs vary
    independently of each other.
    """
    arms = [a for a in estimates.predictions.arms if a.name in contrast.weights]
    values = {a.name: estimates.by_arm[a.name].values for a in arms}
    fewest = min(len(v) for v in values.values())
    if fewest < MIN_RUNS:
        return 0.0, np.inf
    if all(a.runs == arms[0].runs for a in arms):
        return float(np.var(_weighted_sum(contrast, values), ddof=1) / fewest), fewest - 1.0
    spread = sum(contrast.weights[a] ** 2 * np.var(v, ddof=1) / len(v) for a, v in values.items())
    return float(spread), fewest - 1.0

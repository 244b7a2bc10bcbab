"""Linear contrasts over arms: sum_k w_k metric(arm_k), in every group, at one simultaneous level.

A difference of two arms is the contrast (+1, -1). Rows enter by the weighted sum of the arms' influence
values, runs by the contrast of each run: seeds are paired where all arms have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

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
from evenhand.judge.core.evidence import Identity, Missing, PairedEstimate, RowInfluence, Wald, wald
from evenhand.judge.core.flips import NO_FLIPS
from evenhand.judge.core.pairs import module_name, too_few_differ
from evenhand.judge.rows import ComparisonRow
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.combine import Variation, variance_over_runs
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
) -> list[tuple[Contrast, ComparisonRow]]:
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
    fewest = min(len(estimates.by_arm[arm].values) for arm in contrast.weights)
    value = float(sum(w * estimates.by_arm[arm].value for arm, w in contrast.weights.items()))
    name = module_name(estimates.metric)
    identity = Identity.of(contrast.name, (group.attribute, group.name), estimates.class_name, name, info)
    evidence: Missing | Wald
    if np.isnan(value):
        reasons = dict.fromkeys(estimates.by_arm[arm].reason for arm in contrast.weights)
        evidence = Missing("undefined", "; ".join(r for r in reasons if r))
    elif group.n < settings.min_group_size:
        evidence = Missing("too_small", shortage(group.n, settings.min_group_size))
    else:
        evidence = _evidence(contrast, estimates, value)
    return PairedEstimate(replace(identity, margin_rule=False), value, group.n, fewest, NO_FLIPS, evidence)


def _evidence(contrast: Contrast, estimates: ArmEstimates, value: float) -> Missing | Wald:
    """Compute the variances over rows and runs, or a reason why they cannot be estimated."""
    p, rows = estimates.predictions, estimates.group.rows
    changed = round(float(p.count[rows] @ _rows_that_differ(contrast, estimates)))
    if changed < MIN_DISCORDANT_ROWS:
        return Missing("too_small", too_few_differ(changed))
    influence = _weighted_sum(contrast, {arm: o.influence for arm, o in estimates.by_arm.items()})
    variation = Variation(min(row_dof(rows, p), changed - 1.0), *_run_variance(contrast, estimates))
    return Wald(wald(value, row_variance(influence, rows, p), variation), RowInfluence(rows, influence))


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


def _run_variance(contrast: Contrast, estimates: ArmEstimates) -> tuple[FloatArray, float]:
    """Variance of the contrast over runs and its degrees of freedom; 0 and infinite below five runs.

    Runs of the same names share their seeds: then the contrast of each run is one draw. Other runs vary
    independently of each other.
    """
    arms = [a for a in estimates.predictions.arms if a.name in contrast.weights]
    values = [w * estimates.by_arm[arm].values for arm, w in contrast.weights.items()]
    if all(a.runs == arms[0].runs for a in arms):
        return variance_over_runs(np.asarray(sum(values)))
    return variance_over_runs(*values)

"""Families of comparisons: simultaneous intervals, adjusted p-values, verdicts, and rows of the result."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.judge.core.disparities.bounds import bound_and_test_maxima
from evenhand.judge.core.estimates import row_covariance
from evenhand.judge.core.pairs import PairedEstimate
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.combine import Variation, row_part
from evenhand.judge.stats.family import Family, correlated, holm, independent
from evenhand.judge.stats.paired import ScorePaired, WaldPaired
from evenhand.judge.stats.permutation import true_size
from evenhand.judge.stats.quantiles import z_of
from evenhand.judge.stats.verdict import judge, minimum_detectable, more_needed, settling_half_width
from evenhand.tables.schema import FloatArray, Predictions

#: Maximum elements of the matrix of influence values; larger families use Sidak's critical value.
MAX_MATRIX_ELEMENTS = 30_000_000

METHODS = {
    "score": "paired score (Tango)",
    "wald": "paired influence values",
    "maximum": "simultaneous contrasts",
    "swap": "arms swapped within rows",
}


@dataclass(frozen=True)
class Limits:
    """Simultaneous limits and p-values of one pair."""

    low: float
    high: float
    p: float
    adjusted: float
    row_half: float
    run_half: float
    critical: float


def adjust_all(
    pairs: list[PairedEstimate],
    cells: Predictions,
    predictions: Predictions,
    reference: int,
    settings: Settings,
) -> list[dict[str, Any]]:
    """Sort the pairs into the primary family and one exploratory family per metric, and adjust each.

    Args:
        pairs: all comparisons.
        cells: the rows that prediction metrics were computed on.
        predictions: the rows that score metrics were computed on.
        reference: index of the reference arm.
        settings: what is primary, level, margins and seed.
    """
    sorted_pairs: dict[str, list[PairedEstimate]] = defaultdict(list)
    for p in pairs:
        judged = p.attribute is not None or not cells.attributes
        sorted_pairs["" if p.metric in settings.declared and judged else p.metric].append(p)
    rows: list[dict[str, Any]] = []
    for metric, members in sorted_pairs.items():
        scored = [p.inference != "maximum" and _needs_scores(p.metric) for p in members]
        rows_used = predictions if all(scored) else cells
        # Influence values of scores refer to single rows, those of rates to aggregated rows, so these have no
        # correlation: in a mixed family those of scores are dropped, which treats them as independent.
        family = [
            dataclasses.replace(p, influence=None) if s and not all(scored) else p
            for p, s in zip(members, scored, strict=True)
        ]
        kind = "exploratory" if metric else "primary"
        rows += adjust_family(family, rows_used, settings, kind, predictions.arms[reference].name)
    return sorted(rows, key=lambda r: r["family"] != "primary")


def _needs_scores(name: str) -> bool:
    return name in registry.names(METRICS) and registry.load(METRICS, name).INFO.needs == "score"


def adjust_family(
    pairs: list[PairedEstimate], predictions: Predictions, settings: Settings, family: str, reference: str
) -> list[dict[str, Any]]:
    """Rows of the result for one family of comparisons.

    Args:
        pairs: all comparisons of the family, undefined and too small ones included.
        predictions: the rows that their influence values lie on.
        settings: level, margins and seed.
        family: `primary` (rows get verdicts) or `exploratory`.
        reference: name of the reference arm.
    """
    resolvable = [i for i, p in enumerate(pairs) if p.status == "ok" and p.inference != "permutation"]
    limits: dict[int, Limits] = {}
    joint = independent(1)
    if resolvable:
        joint = _joint_distribution([pairs[i] for i in resolvable], predictions, settings.rng)
        limits = dict(
            zip(
                resolvable,
                _compute_limits([pairs[i] for i in resolvable], joint, settings.alpha),
                strict=True,
            )
        )
    permuted = [i for i, p in enumerate(pairs) if p.inference == "permutation"]
    adjusted = holm(np.array([pairs[i].p_value for i in permuted]))
    by_permutation = {i: (pairs[i].p_value, float(a)) for i, a in zip(permuted, adjusted, strict=True)}
    return [
        _build_row(
            pair,
            limits.get(i),
            by_permutation.get(i),
            settings,
            family,
            reference,
            (joint.size, predictions.resplit),
        )
        for i, pair in enumerate(pairs)
    ]


def _joint_distribution(pairs: list[PairedEstimate], predictions: Predictions, seed: int) -> Family:
    """Return the joint distribution of a family's statistics.

    A rate and its complement (true positive and false negative rate) are the same test and count once:
    counting both would widen every interval of the family for no protection.
    """
    first: dict[tuple[object, ...], PairedEstimate] = {}
    for p in pairs:
        first.setdefault((p.candidate, p.attribute, p.group, p.class_name, p.complement_key), p)
    members = list(first.values())
    rows = len(predictions.label)
    if len(members) < 2 or len(members) * rows > MAX_MATRIX_ELEMENTS:
        return independent(len(members))
    influence = np.zeros((len(members), rows))
    for i, p in enumerate(members):
        if p.influence is not None and p.maximum is None:
            influence[i, p.rows] = p.influence
    covariance = row_covariance(influence, np.arange(rows), predictions)
    # Runs add variance that is independent between comparisons: it shrinks their correlation, which can only
    # raise the critical value. Comparisons without influence values have rows of zeros: independent.
    total = np.diagonal(covariance) + np.array([p.run_variance for p in members])
    scale = np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)
    correlation = np.clip(covariance * scale[:, None] * scale[None, :], -1, 1)
    np.fill_diagonal(correlation, 1.0)
    return correlated(correlation, np.random.default_rng((seed, 1)))


def _compute_limits(pairs: list[PairedEstimate], joint: Family, alpha: float) -> list[Limits]:
    """Compute simultaneous limits and p-values of every pair.

    The family fixes one pointwise level; each kind of inference then uses its own formula at that level, so
    that all intervals hold at once and a p-value below alpha agrees with an interval that excludes 0.
    """
    pointwise = joint.pointwise(alpha)
    z = float(z_of(pointwise))
    size = len(pairs)
    low, high, p = np.full(size, np.nan), np.full(size, np.nan), np.full(size, np.nan)
    run_half, critical = np.zeros(size), np.full(size, z)
    for kind, build in (("score", _score_problem), ("wald", _wald_problem), ("swap", _wald_problem)):
        at = np.array([i for i, q in enumerate(pairs) if q.inference == kind], dtype=np.int64)
        if len(at):
            estimates = build([pairs[i] for i in at])
            low[at], high[at] = estimates.interval(pointwise)
            p[at] = estimates.p_values()
            run_half[at] = estimates.variation.run_distance(z)
    at = np.array([i for i, q in enumerate(pairs) if q.inference == "maximum"], dtype=np.int64)
    bounds = bound_and_test_maxima([pairs[i].maximum for i in at], pointwise)
    low[at], high[at], critical[at], p[at] = bounds
    adjusted = joint.adjust(p)
    low, high = _widen_by_noise(low, high, _read_field(pairs, "noise"))
    half = (high - low) / 2
    row_half = row_part(half, run_half)
    columns = (low, high, p, adjusted, row_half, run_half, critical)
    return [Limits(*(float(c[i]) for c in columns)) for i in range(size)]


def _widen_by_noise(low: FloatArray, high: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Widen the side of an interval that crosses 0 by the calibration error that noise can hide."""
    if not (noise > 0).any():
        return low, high
    down, up = true_size(np.maximum(-low, 0.0), noise), true_size(np.maximum(high, 0.0), noise)
    return np.where((noise > 0) & (low < 0), -down, low), np.where((noise > 0) & (high > 0), up, high)


def _read_field(pairs: list[PairedEstimate], name: str) -> FloatArray:
    return np.array([getattr(p, name) for p in pairs], dtype=np.float64)


def _score_problem(pairs: list[PairedEstimate]) -> ScorePaired:
    difference, absolute, square, n, better, worse = (
        _read_field(pairs, name)
        for name in ("difference", "absolute", "square", "n_effective", "better", "worse")
    )
    return ScorePaired(difference, absolute, square, n, _variation(pairs), better, worse)


def _wald_problem(pairs: list[PairedEstimate]) -> WaldPaired:
    return WaldPaired(_read_field(pairs, "difference"), _read_field(pairs, "row_variance"), _variation(pairs))


def _variation(pairs: list[PairedEstimate]) -> Variation:
    return Variation(*(_read_field(pairs, n) for n in ("row_dof", "run_variance", "run_dof")))


def margin_of(pair: PairedEstimate, settings: Settings) -> float | None:
    """Return the margin of a metric: its own, else the default where it applies, else None."""
    if pair.metric in settings.margins:
        return settings.margins[pair.metric]
    return settings.margin if pair.margin_rule else None


def _build_row(
    pair: PairedEstimate,
    limits: Limits | None,
    permuted: tuple[float, float] | None,
    settings: Settings,
    family: str,
    reference: str,
    family_size: tuple[int, bool],
) -> dict[str, Any]:
    """One row of `comparisons`; `family_size` is (size, whether runs have their own rows)."""
    size, resplit = family_size
    margin = margin_of(pair, settings)
    row: dict[str, Any] = {
        "reference": reference,
        "candidate": pair.candidate,
        "attribute": pair.attribute,
        "group": pair.group,
        "class": pair.class_name,
        "metric": pair.metric,
        "family": family,
        "difference": pair.difference,
        "low": float("nan"),
        "high": float("nan"),
        "level": 1 - settings.alpha,
        "interval": None,
        "p_value": float("nan"),
        "p_adjusted": float("nan"),
        "margin": margin,
        "verdict": None,
        "equivalent": None,
        "beyond_margin": None,
        "minimum_detectable": float("nan"),
        "rows_to_settle": None,
        "runs_to_settle": None,
        "n": pair.n,
        "n_right_to_wrong": round(pair.right_to_wrong, 6),
        "n_wrong_to_right": round(pair.wrong_to_right, 6),
        "n_right_to_wrong_between_runs": round(pair.between_runs, 6),
        "runs": pair.runs,
        "unit": pair.unit,
        "status": pair.status,
        "reason": pair.reason,
    }
    if permuted is not None:
        row["interval"] = "none: depends on the group's size; p-value by permutation, verdict by brier_score"
        row["p_value"], row["p_adjusted"] = permuted
    if limits is None:
        return row
    row["low"], row["high"] = limits.low, limits.high
    row["p_value"], row["p_adjusted"] = limits.p, limits.adjusted
    by_run = ", rows by run" if resplit else ""
    row["interval"] = f"{METHODS[pair.inference]}{by_run}, simultaneous over {size}"
    detectable = minimum_detectable((limits.high - limits.low) / 2, limits.critical)
    # A difference larger than the metric's range is not detectable at any true value.
    row["minimum_detectable"] = detectable if detectable <= pair.span else float("nan")
    verdict = judge(limits.low, limits.high, pair.direction, margin)
    row["equivalent"], row["beyond_margin"] = verdict.equivalent, verdict.beyond_margin
    if family != "primary":
        return row
    row["verdict"] = verdict.word
    if verdict.word == "undecided":
        target = settling_half_width(pair.difference, pair.direction, margin)
        row["rows_to_settle"], row["runs_to_settle"] = _to_settle(pair, limits, target)
    return row


def _to_settle(pair: PairedEstimate, limits: Limits, target: float) -> tuple[int | None, int | None]:
    """Return the rows or runs that would settle a pair: one of them if it suffices alone, else both."""
    rows = more_needed(limits.row_half, limits.run_half, target, pair.n)
    if pair.unit == "rows":
        return rows, None
    runs = more_needed(limits.run_half, limits.row_half, target, pair.runs)
    if rows is None and runs is None:
        half = (limits.high - limits.low) / 2
        return more_needed(half, 0.0, target, pair.n), more_needed(half, 0.0, target, pair.runs)
    return rows, runs

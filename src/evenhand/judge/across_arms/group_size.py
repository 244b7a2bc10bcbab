"""Association of the difference between two methods with the size of a group.

Small groups have noisy differences, so the largest differences occur in them even where size does not matter:
a plot of |difference| against size is not evidence, and a plain regression, or a permutation of plain
differences, detects a trend in up to 40 % of studies without one. Instead each difference is divided by its
standard deviation, and ranks are compared (the rank test for small-study effects: Begg and Mazumdar 1994).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from evenhand.judge.stats.verdict import POWER
from evenhand.tables.schema import FloatArray, IntArray

#: Minimum number of groups: with four, the smallest two-sided p-value of the 24 orders is 2 / 24.
MIN_GROUPS = 5

METHOD = "slopes not rejected by a permutation test of the ranks of standardised differences, pointwise"

#: Up to so many groups all orders are enumerated; with more, so many random orders are drawn.
_MAX_ENUMERATED, _N_DRAWS = 7, 9_999

#: Trial slopes on either side of the estimate, and bisection steps that refine an end.
_N_TRIALS, _HALVINGS = 400, 30


@dataclass(frozen=True)
class _Series:
    """The groups of one attribute in which one candidate was compared by one metric.

    Attributes:
        first: its first row, for the fields that all rows share.
        groups: names of the usable groups.
        size: [k] log2 of their rows.
        difference: [k] candidate minus reference.
        spread: [k] standard deviation of each difference.
        total: groups, the unusable ones included.
    """

    first: Mapping[str, Any]
    groups: tuple[str, ...]
    size: FloatArray
    difference: FloatArray
    spread: FloatArray
    total: int


def size_trends(comparisons: Sequence[Mapping[str, Any]], *, seed: int = 0) -> list[dict[str, Any]]:
    """Test whether differences of the primary family rise or fall with the size of the group.

    Null hypothesis: the groups' true differences are independent of their sizes; they may be equal or vary
    among groups. Each difference is centred at their weighted mean and divided by its standard deviation
    (within groups, and between them: DerSimonian and Laird 1986). The standardised differences are
    exchangeable, so Spearman's rank correlation with size is compared with its values over the orders of the
    groups. That is valid with few groups, where a bootstrap is not: it would have few points to resample. The
    interval reaches from the lowest to the highest slope that the same test does not reject; with five groups
    one end is often far away. Groups that share rows (memberships) make all this an approximation.

    Args:
        comparisons: rows of `comparisons` of an audit.
        seed: seed of the drawn orders, when there are too many to enumerate.

    Returns:
        Rows with `slope`, the change of the difference per doubling of a group's rows by weighted least
        squares, its pointwise interval, `p_value`, and `p_adjusted` over all metrics and candidates. With
        fewer than five usable groups, or sizes too equal, they are None and `reason` explains it.
    """
    grouped: dict[tuple[object, ...], list[Mapping[str, Any]]] = {}
    for row in comparisons:
        if row["family"] == "primary" and row["group"] is not None:
            key = (row["candidate"], row["attribute"], row["class"], row["metric"])
            grouped.setdefault(key, []).append(row)
    series = [_select_usable(rows) for rows in grouped.values()]
    blocks: dict[tuple[object, ...], list[int]] = {}
    for i, member in enumerate(series):
        if len(member.groups) >= MIN_GROUPS:
            blocks.setdefault((member.first["attribute"], member.groups), []).append(i)
    estimates: dict[int, dict[str, Any] | None] = {}
    for members in blocks.values():
        estimates |= dict(
            zip(members, _test_block([series[i] for i in members], len(blocks), seed), strict=True)
        )
    return [_build_row(member, estimates.get(i)) for i, member in enumerate(series)]


def _select_usable(rows: Sequence[Mapping[str, Any]]) -> _Series:
    """Select the groups with an interval, and recover the standard deviations of their differences.

    half width = critical * sd and minimum detectable = half width * (critical + POWER) / critical, so
    POWER / critical = (minimum detectable - half width) / half width, with one critical value per family.
    """
    usable = [r for r in rows if r["status"] == "ok" and _finite(r["low"]) and _finite(r["high"])]
    half = np.array([(r["high"] - r["low"]) / 2 for r in usable])
    known = [
        h / (r["minimum_detectable"] - h)
        for h, r in zip(half, usable, strict=True)
        if _finite(r["minimum_detectable"]) and r["minimum_detectable"] > h > 0
    ]
    if not known:
        usable, half = [], np.zeros(0)
    # One critical value serves the family: half width = critical * standard deviation.
    spread = half / (POWER * float(np.median(known))) if known else half
    return _Series(
        rows[0],
        tuple(str(r["group"]) for r in usable),
        np.log2([float(r["n"]) for r in usable]),
        np.array([float(r["difference"]) for r in usable]),
        spread,
        len(rows),
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _test_block(members: Sequence[_Series], blocks: int, seed: int) -> list[dict[str, Any] | None]:
    """Test the metrics and candidates of the same groups, with the same permutations for all.

    Shared permutations keep the correlation between metrics, so the single-step adjustment by the largest
    statistic (Westfall and Young 1993) is not conservative. Blocks of different groups: Bonferroni.
    """
    rank = _centred_ranks(members[0].size)
    orders = _orders(len(rank), seed)
    shuffled = rank[orders].T
    # Null distribution for one series: without ties its ranks are 1 to k whatever its values.
    null = np.sort(np.abs(_centred_ranks(np.arange(len(rank), dtype=np.float64)) @ shuffled))
    alpha = 1 - float(members[0].first["level"])
    if _p_value(null, float(null[-1])) > alpha:
        return [None] * len(members)
    values = np.stack([_centred_ranks(_standardise(m.difference, m.spread)) for m in members])
    largest = np.sort(np.abs(values @ shuffled).max(axis=0))
    results: list[dict[str, Any] | None] = []
    for member, observed in zip(members, np.abs(values @ rank), strict=True):
        slope = _slope(member)
        low, high = _invert_test(member, rank, null, slope, alpha)
        p = _p_value(null, float(observed))
        adjusted = min(max(blocks * _p_value(largest, float(observed)), p), 1.0)
        results.append({"slope": slope, "low": low, "high": high, "p_value": p, "p_adjusted": adjusted})
    return results


def _orders(k: int, seed: int) -> IntArray:
    """[m, k] every order of k groups, or many random ones and the observed one.

    The observed order counts among the drawn ones, or a p-value could be 0 (Phipson and Smyth 2010).
    """
    if k <= _MAX_ENUMERATED:
        return np.array(list(permutations(range(k))), dtype=np.int64)
    rng = np.random.default_rng(seed)
    return np.vstack([np.arange(k), rng.permuted(np.tile(np.arange(k), (_N_DRAWS, 1)), axis=1)])


def _p_value(null: FloatArray, observed: float) -> float:
    """Share of a sorted null distribution at or above the observed statistic."""
    return float(1 - np.searchsorted(null, observed - 1e-9) / len(null))


def _standardise(difference: FloatArray, spread: FloatArray) -> FloatArray:
    """[..., k] differences minus their weighted mean, over standard deviations within and between groups.

    The variance between groups is the moment estimate of DerSimonian and Laird (1986).
    """
    weight = 1 / np.maximum(spread, 1e-12) ** 2
    total = weight.sum()
    mean = (difference * weight).sum(axis=-1, keepdims=True) / total
    excess = (weight * (difference - mean) ** 2).sum(axis=-1, keepdims=True) - (len(weight) - 1)
    between = np.maximum(excess, 0) / (total - (weight**2).sum() / total)
    weight = 1 / (1 / weight + between)
    mean = (difference * weight).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)
    # Values that differ by rounding only must tie, so that ranks do not depend on the platform.
    return np.asarray(np.round((difference - mean) * np.sqrt(weight), 9))


def _centred_ranks(values: FloatArray) -> FloatArray:
    """[..., k] centred ranks of length 1 (ties share theirs): their products are Spearman's correlations."""
    below = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    rank = below + (equal - 1) / 2
    centred = rank - rank.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 0))


def _slope(series: _Series) -> float:
    """Weighted least squares of the difference on log2 of the rows, with the standardisation's weights."""
    weight = 1 / np.maximum(series.spread, 1e-12) ** 2
    x = series.size - np.average(series.size, weights=weight)
    first = float((weight * x * series.difference).sum() / (weight * x**2).sum())
    residual = _residual_variance(series.difference - first * series.size, weight)
    weight = 1 / (1 / weight + residual)
    x = series.size - np.average(series.size, weights=weight)
    return float((weight * x * series.difference).sum() / (weight * x**2).sum())


def _residual_variance(residual: FloatArray, weight: FloatArray) -> float:
    """Variance between groups that sampling does not explain."""
    total = weight.sum()
    excess = float((weight * (residual - np.average(residual, weights=weight)) ** 2).sum()) - (
        len(weight) - 1
    )
    return max(excess, 0.0) / float(total - (weight**2).sum() / total)


def _invert_test(
    series: _Series, rank: FloatArray, null: FloatArray, slope: float, alpha: float
) -> tuple[float, float]:
    """Invert the test: the lowest and highest slope whose removal leaves no significant trend.

    A grid brackets both ends (the set of accepted slopes need not be convex), and bisection refines them.
    """

    def accepted(trial: FloatArray) -> FloatArray:
        residual = series.difference - trial[:, None] * series.size
        observed = np.abs(_centred_ranks(_standardise(residual, series.spread)) @ rank)
        return np.asarray(1 - np.searchsorted(null, observed - 1e-9) / len(null) > alpha)

    reach = 4 * float(np.abs(series.difference - series.difference.mean()).max() + series.spread.max())
    unit = reach / float(np.ptp(series.size))
    for _ in range(_HALVINGS):
        # 0 is always a trial slope, so that the interval and the p-value agree.
        slopes = np.sort(np.append(slope + unit * np.linspace(-1, 1, 2 * _N_TRIALS + 1), 0.0))
        inside = accepted(slopes)
        if not (inside[0] or inside[-1]):
            break
        unit *= 2
    else:
        return float("nan"), float("nan")
    trial = np.flatnonzero(inside)
    if not len(trial):
        return slope, slope
    ends = []
    for i, step in ((trial[0], -1), (trial[-1], 1)):
        good, bad = float(slopes[i]), float(slopes[i + step])
        for _ in range(_HALVINGS):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if accepted(np.array([middle]))[0] else (good, middle)
        ends.append(good)
    return ends[0], ends[1]


def _build_row(series: _Series, estimates: Mapping[str, Any] | None) -> dict[str, Any]:
    """Build one row of `sizes`."""
    keys = ("reference", "candidate", "attribute", "class", "metric")
    usable = len(series.groups)
    reason = ""
    if usable < MIN_GROUPS:
        reason = f"{usable} of {series.total} groups can be used; at least {MIN_GROUPS} are needed"
    elif estimates is None:
        reason = "the groups' sizes are too similar"
    shown = estimates or dict.fromkeys(("slope", "low", "high", "p_value", "p_adjusted"))
    numbers = {k: v if v is not None and math.isfinite(v) else None for k, v in shown.items()}
    return {
        **{k: series.first[k] for k in keys},
        "groups": usable,
        **numbers,
        "level": series.first["level"],
        "interval": METHOD if estimates else None,
        "status": "ok" if estimates else "undefined",
        "reason": reason,
    }

"""Whether the difference between two methods goes with the size of a group.

Small groups have noisy differences, so the largest ones are found among them even where size does not matter:
|difference| against size is no evidence, and a plain regression, or a permutation of plain differences, calls
it a trend in up to 40 % of studies without one. Instead each difference is divided by its own standard
deviation, and ranks are compared (the rank test for small-study effects: Begg and Mazumdar 1994).
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

#: With four groups even the clearest of 24 orders has a two-sided p-value of 2 / 24.
MIN_GROUPS = 5

METHOD = "slopes that a permutation of the ranks of standardised differences does not refuse, pointwise"

#: Up to so many groups all orders are counted, above that many are drawn.
_MAX_ENUMERATED, _N_DRAWS = 7, 9_999

#: Slopes that are tried on either side of the estimate, and halvings that refine an end.
_N_TRIALS, _HALVINGS = 400, 30


@dataclass(frozen=True)
class _Series:
    """The groups of one attribute in which one candidate was compared by one metric.

    Attributes:
        first: its first row, for what all have in common.
        groups: names of the usable groups.
        size: [k] log2 of their rows.
        difference: [k] candidate less reference.
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
    """Whether differences of the primary family rise or fall with the size of the group.

    The hypothesis: the groups' true differences have nothing to do with their sizes; they may be equal or
    vary among groups. Each difference is centred at their weighted mean and divided by its standard deviation
    (within groups, and between them: DerSimonian and Laird 1986); what is left is exchangeable, so Spearman's
    rank correlation with size is referred to the orders of the groups. That is valid with few groups, where a
    bootstrap is not: it would have three or four points to draw from. The interval reaches from the lowest to
    the highest slope that the same test does not refuse; with five groups one end is often far away. Groups
    that share rows (memberships) make all this an approximation.

    Args:
        comparisons: rows of `comparisons` of an audit.
        seed: of the orders that are drawn when there are too many to count.

    Returns:
        Rows with `slope`, the change of the difference per doubling of a group's rows by weighted least
        squares, its pointwise interval, `p_value`, and `p_adjusted` over all metrics and candidates. With
        fewer than five usable groups, or sizes too equal, they are None and `reason` says why.
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
    """Take the groups with an interval. Standard deviations are told by what could have been detected."""
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
    """Judge the metrics and candidates of the same groups: one order of the groups serves them all."""
    rank = _centred_ranks(members[0].size)
    orders = _orders(len(rank), seed)
    shuffled = rank[orders].T
    # Of one series: whatever its values are, their ranks are 1 to k.
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
    """[m, k] every order of k groups, or many drawn ones and the observed one."""
    if k <= _MAX_ENUMERATED:
        return np.array(list(permutations(range(k))), dtype=np.int64)
    rng = np.random.default_rng(seed)
    return np.vstack([np.arange(k), rng.permuted(np.tile(np.arange(k), (_N_DRAWS, 1)), axis=1)])


def _p_value(null: FloatArray, observed: float) -> float:
    """Share of a sorted law at or above what was observed."""
    return float(1 - np.searchsorted(null, observed - 1e-9) / len(null))


def _standardise(difference: FloatArray, spread: FloatArray) -> FloatArray:
    """[..., k] differences less their weighted mean, in standard deviations within and between groups."""
    weight = 1 / np.maximum(spread, 1e-12) ** 2
    total = weight.sum()
    mean = (difference * weight).sum(axis=-1, keepdims=True) / total
    excess = (weight * (difference - mean) ** 2).sum(axis=-1, keepdims=True) - (len(weight) - 1)
    between = np.maximum(excess, 0) / (total - (weight**2).sum() / total)
    weight = 1 / (1 / weight + between)
    mean = (difference * weight).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)
    # What differs by rounding only is tied.
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
    """The lowest and highest slope that, taken out of the differences, leaves nothing to refuse."""

    def accepted(trial: FloatArray) -> FloatArray:
        residual = series.difference - trial[:, None] * series.size
        observed = np.abs(_centred_ranks(_standardise(residual, series.spread)) @ rank)
        return np.asarray(1 - np.searchsorted(null, observed - 1e-9) / len(null) > alpha)

    reach = 4 * float(np.abs(series.difference - series.difference.mean()).max() + series.spread.max())
    unit = reach / float(np.ptp(series.size))
    for _ in range(_HALVINGS):
        # 0 is always among them, so that the interval and the p-value agree.
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
    """One row of `size_trends`."""
    keys = ("reference", "candidate", "attribute", "class", "metric")
    usable = len(series.groups)
    reason = ""
    if usable < MIN_GROUPS:
        reason = f"{usable} of {series.total} groups can be used; it takes {MIN_GROUPS}"
    elif estimates is None:
        reason = "the groups' sizes are too much alike"
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

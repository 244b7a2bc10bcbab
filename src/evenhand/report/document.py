"""Access to an `evenhand.audit/1` document: its rows, the direction of harm, the order by harm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from evenhand.errors import UnknownNameError
from evenhand.judge import result

Document = Mapping[str, Any]
Row = Mapping[str, Any]

#: In reading order: shown harm first, then open questions, then good results.
VERDICTS = ("harm", "undecided", "help", "harmless")


@cache
def facts(metric: str) -> Any | None:  # noqa: ANN401  (the INFO of a metric or of a disparity)
    """Return the INFO of a metric, a disparity or an attack metric; None if the name is unknown."""
    try:
        return result.facts(metric)
    except UnknownNameError:
        from evenhand.judge.privacy.settings import measure  # noqa: PLC0415  (not needed by a page of an audit)

        return measure(metric)


def direction(row: Row) -> int:
    """Return whether higher is better (+1), worse (-1) or depends on the context (0) for a row's metric."""
    stored = row.get("direction")
    if stored is not None:
        return int(stored)
    known = facts(str(row["metric"]))
    return int(known.direction) if known else 0


def number(row: Row, key: str) -> float | None:
    """Return a field as a finite number; None for null, NaN and a missing field alike."""
    value = row.get(key)
    if value is None or isinstance(value, str):
        return None
    return float(value) if math.isfinite(value) else None


def harm_bounds(row: Row) -> tuple[float, float] | None:
    """Return the interval of a comparison, signed so that positive is worse; None without one."""
    low, high = number(row, "low"), number(row, "high")
    if low is None or high is None:
        return None
    return (-high, -low) if direction(row) > 0 else (low, high)


def verdict_of(row: Row) -> str | None:
    """Return the verdict of a comparison; None without one."""
    verdict = row.get("verdict")
    return verdict if verdict in VERDICTS else None


def worst_first(rows: Iterable[Row]) -> list[Row]:
    """Sort comparisons: harm, undecided (nearest to harm first), help, harmless, then without a verdict."""

    def key(row: Row) -> tuple[int, bool, float]:
        verdict = verdict_of(row)
        rank = VERDICTS.index(verdict) if verdict else len(VERDICTS)
        bounds = harm_bounds(row)
        # Within a verdict, the interval with the largest lower bound on harm comes first.
        return rank, not row.get("beyond_margin"), -bounds[0] if bounds else math.inf

    return sorted(rows, key=key)


def primary(document: Document) -> list[Row]:
    """Return the comparisons of the primary family, in the document's order."""
    return [r for r in document["comparisons"] if r["family"] == "primary"]


def exploratory(document: Document) -> list[Row]:
    """Return the other comparisons, in the document's order."""
    return [r for r in document["comparisons"] if r["family"] != "primary"]


def unique(rows: Iterable[Row], key: str) -> list[Any]:
    """List the distinct values of a field, in order of first appearance."""
    return list(dict.fromkeys(row.get(key) for row in rows))


def groups_left_out(row: Row) -> list[tuple[str, str]]:
    """List the groups that a disparity leaves out, each with the reason (may be empty)."""
    gone = row.get("groups_left_out") or ()
    pairs = [(g["group"], g.get("reason") or "") if isinstance(g, Mapping) else (g, "") for g in gone]
    return [(str(group), str(reason)) for group, reason in pairs]


def arms(document: Document) -> list[str]:
    """Name the arms, the reference first if there is one."""
    named = [*unique(document["comparisons"], "reference"), *unique(document["rates"], "input")]
    return [str(name) for name in dict.fromkeys(named)]


def key_metrics(document: Document, most: int = 3) -> list[str]:
    """Name the metrics to show first: the primary ones with rates, or the first in the document."""
    there = unique(document["rates"], "metric")
    declared: Sequence[str] = document.get("settings", {}).get("primary") or ()
    return [m for m in declared if m in there] or there[:most]


def requested(document: Document) -> list[str]:
    """Name the metrics that the call requested."""
    return [str(m) for m in document.get("settings", {}).get("requested") or ()]

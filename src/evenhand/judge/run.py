"""An audit from files to result, on one page.

load -> observe every metric in every group -> rates, pairs -> disparities -> families -> verdict
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.errors import CallError, nearest
from evenhand.judge import compare, counts, families
from evenhand.judge.compare import Matched, Pair
from evenhand.judge.rates import rate_row
from evenhand.judge.result import AuditResult, document
from evenhand.judge.settings import Settings
from evenhand.judge.tabulate import Seen, Table, rows_and_pairs
from evenhand.tables.schema import Columns, Predictions, Source

METRICS = "evenhand.judge.metrics"
DISPARITIES = "evenhand.judge.disparities"


def run_audit(source: Source, columns: Columns, settings: Settings) -> AuditResult:
    """Audit predictions.

    Args:
        source: files, globs or tables in memory.
        columns: what their columns mean.
        settings: what to judge and how strictly.

    Raises:
        InputError: the call or a table is wrong; every complaint at once.
    """
    from evenhand.tables.read import load  # noqa: PLC0415  (duckdb, which a refused call never needs)

    needed = _needed(settings)
    scores = any(registry.load(METRICS, name).INFO.needs == "score" for name in needed)
    return judge_predictions(load(source, columns, need_scores=scores), columns, settings)


def judge_predictions(predictions: Predictions, columns: Columns, settings: Settings) -> AuditResult:
    """Audit predictions that are already checked and aligned."""
    reference = _reference(predictions, settings)
    cells = counts.compress(predictions)
    scored = all(arm.score is not None for arm in predictions.arms)
    _refuse_without_scores(settings, scored=scored)
    table: Table = {}
    rate_rows: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    for name in _needed(settings):
        metric = registry.load(METRICS, name)
        if metric.INFO.needs == "score" and not scored:
            continue
        on = predictions if metric.INFO.needs == "score" else cells
        for class_name, positive in counts.classes_of(metric.INFO, on):
            for attribute in (None, *on.attributes):
                groups = counts.groups_of(attribute, on)
                arms = [[counts.observe(metric, a, g, on, positive) for g in groups] for a in on.arms]
                if attribute is not None:
                    table[name, class_name, attribute.name] = Seen(on, groups, arms)
                if name not in settings.chosen_metrics:
                    continue
                for arm, seen in zip(on.arms, arms, strict=True):
                    for group, observed in zip(groups, seen, strict=True):
                        rate_rows.append(rate_row(metric, arm, class_name, group, observed, on, settings))
                pairs += _pairs(name, class_name, Seen(on, groups, arms), reference, settings)
    gap_rows, gap_pairs = _disparities(table, cells, reference, settings)
    comparisons = _families([*pairs, *gap_pairs], cells, predictions, reference, settings)
    return AuditResult(document(predictions, columns, settings, rate_rows, gap_rows, comparisons, reference))


def _needed(settings: Settings) -> tuple[str, ...]:
    """Metrics to compute: the chosen ones and those that the chosen disparities look at."""
    of = {m for d in settings.chosen_disparities for m in registry.load(DISPARITIES, d).INFO.of}
    return tuple(n for n in registry.names(METRICS) if n in of or n in settings.chosen_metrics)


def _reference(predictions: Predictions, settings: Settings) -> int:
    names = [arm.name for arm in predictions.arms]
    if settings.reference is None:
        return 0
    if settings.reference not in names:
        near = nearest(settings.reference, names)
        raise CallError(f"--reference: no arm is called {settings.reference!r}: {near}")
    return names.index(settings.reference)


def _refuse_without_scores(settings: Settings, *, scored: bool) -> None:
    """A metric asked for by name that cannot be computed is an error; one of the default is left out."""
    if scored:
        return
    asked = [n for n in dict.fromkeys((*settings.metrics, *settings.primary)) if n in registry.names(METRICS)]
    lacking = [n for n in asked if registry.load(METRICS, n).INFO.needs == "score"]
    if lacking:
        what = ", ".join(lacking)
        raise CallError(f"{what}: needs scores, and not every table has them; --score names their column.")


def _pairs(name: str, class_name: str | None, seen: Seen, reference: int, settings: Settings) -> list[Pair]:
    """Every candidate against the reference, in every group."""
    metric, arms = registry.load(METRICS, name), seen.predictions.arms
    found = []
    for candidate in (i for i in range(len(arms)) if i != reference):
        for g, group in enumerate(seen.groups):
            matched = Matched(
                name=name,
                info=metric.INFO,
                class_name=class_name,
                group=group,
                reference=seen.arms[reference][g],
                candidate=seen.arms[candidate][g],
                reference_arm=arms[reference],
                candidate_arm=arms[candidate],
                predictions=seen.predictions,
            )
            found.append(
                compare.pair(matched, settings.min_group_size, np.random.default_rng((settings.rng, g)))
            )
    return found


def _disparities(
    table: Table, cells: Predictions, reference: int, settings: Settings
) -> tuple[list[dict[str, Any]], list[Pair]]:
    rows, pairs = [], []
    for name in settings.chosen_disparities:
        disparity = registry.load(DISPARITIES, name)
        for attribute in cells.attributes:
            for class_name in dict.fromkeys(c for m, c, _ in table if m == disparity.INFO.of[0]):
                seen = [table.get((m, class_name, attribute.name)) for m in disparity.INFO.of]
                if all(s is not None for s in seen):
                    known = [s for s in seen if s is not None]
                    new = rows_and_pairs(disparity, attribute.name, class_name, known, reference, settings)
                    rows += new[0]
                    pairs += new[1]
    return rows, pairs


def _families(
    pairs: list[Pair], cells: Predictions, predictions: Predictions, reference: int, settings: Settings
) -> list[dict[str, Any]]:
    """Sort the pairs into the primary family and one exploratory family per metric, and settle each."""
    sorted_pairs: dict[str, list[Pair]] = defaultdict(list)
    for p in pairs:
        judged = p.attribute is not None or not cells.attributes
        sorted_pairs["" if p.metric in settings.declared and judged else p.metric].append(p)
    rows: list[dict[str, Any]] = []
    for metric, members in sorted_pairs.items():
        scored = [p.inference != "maximum" and _scored(p.metric) for p in members]
        on = predictions if all(scored) else cells
        # Influence values of scores lie on single rows, those of rates on cells: only one kind correlates.
        kept = [
            dataclasses.replace(p, influence=None) if s and not all(scored) else p
            for p, s in zip(members, scored, strict=True)
        ]
        kind = "exploratory" if metric else "primary"
        rows += families.settle(kept, on, settings, kind, predictions.arms[reference].name)
    return sorted(rows, key=lambda r: r["family"] != "primary")


def _scored(name: str) -> bool:
    return name in registry.names(METRICS) and registry.load(METRICS, name).INFO.needs == "score"

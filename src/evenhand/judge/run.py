"""An audit from files to result, on one page.

load -> observe every metric in every group -> rates, pairs -> disparities -> families -> verdict
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand import registry
from evenhand.errors import CallError, nearest
from evenhand.judge.core import estimates as counts
from evenhand.judge.core import families
from evenhand.judge.core import pairs as compare
from evenhand.judge.core.disparities import rows as tabulate
from evenhand.judge.core.disparities.rows import Seen, Table
from evenhand.judge.core.pairs import Pair
from evenhand.judge.core.rates import rate_row
from evenhand.judge.result import AuditResult, document
from evenhand.judge.settings import DISPARITIES, METRICS, Settings, disparity_names, metric_names
from evenhand.tables.schema import Columns, Predictions, Source


def run_audit(source: Source, columns: Columns, settings: Settings) -> AuditResult:
    """Audit predictions.

    Args:
        source: files, globs or tables in memory.
        columns: what their columns mean.
        settings: what to judge and how strictly.

    Raises:
        InputError: the call or a table is wrong; every complaint at once.
    """
    from evenhand.tables.predictions.read import load  # noqa: PLC0415  (duckdb, which a refused call never needs)

    settings.refuse_names((*metric_names(), *disparity_names()), "predictions")
    needed = _needed(settings)
    scores = any(registry.load(METRICS, name).INFO.needs == "score" for name in needed)
    optional = not _named_scores(settings)
    return judge_predictions(
        load(source, columns, need_scores=scores, optional_scores=optional), columns, settings
    )


def judge_predictions(predictions: Predictions, columns: Columns, settings: Settings) -> AuditResult:
    """Audit predictions that are already checked and aligned."""
    reference = reference_of([arm.name for arm in predictions.arms], settings)
    cells = counts.compress(predictions)
    scored = all(arm.score is not None for arm in predictions.arms)
    _refuse_without_scores(settings, scored=scored)
    looked_at = {m for d in settings.chosen_disparities for m in registry.load(DISPARITIES, d).INFO.of}
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
                if attribute is not None and name in looked_at:
                    table[name, class_name, attribute.name] = Seen(on, groups, arms)
                if name not in settings.chosen_metrics:
                    continue
                for arm, seen in zip(on.arms, arms, strict=True):
                    for group, observed in zip(groups, seen, strict=True):
                        rate_rows.append(rate_row(metric, arm, class_name, group, observed, on, settings))
                pairs += compare.against(metric, class_name, on, (groups, arms), reference, settings)
    gap_rows, gap_pairs = tabulate.all_disparities(table, cells, reference, settings)
    comparisons = families.settle_all([*pairs, *gap_pairs], cells, predictions, reference, settings)
    return AuditResult(document(predictions, columns, settings, rate_rows, gap_rows, comparisons, reference))


def _needed(settings: Settings) -> tuple[str, ...]:
    """Metrics to compute: the chosen ones and those that the chosen disparities look at."""
    of = {m for d in settings.chosen_disparities for m in registry.load(DISPARITIES, d).INFO.of}
    return tuple(n for n in registry.names(METRICS) if n in of or n in settings.chosen_metrics)


def _named_scores(settings: Settings) -> bool:
    """Whether the call names a metric of scores, or a disparity of one."""
    named = {*settings.metrics, *settings.primary}
    of = {m for d in named & {*disparity_names()} for m in registry.load(DISPARITIES, d).INFO.of}
    metrics = (named | of) & {*metric_names()}
    return any(registry.load(METRICS, name).INFO.needs == "score" for name in metrics)


def reference_of(names: Sequence[str], settings: Settings) -> int:
    """Index of the reference among the arms.

    Raises:
        CallError: no arm is called so.
    """
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
    named = dict.fromkeys((*settings.metrics, *settings.primary, *settings.margins))
    asked = [n for n in named if n in registry.names(METRICS)]
    lacking = [n for n in asked if registry.load(METRICS, n).INFO.needs == "score"]
    if lacking:
        what = ", ".join(lacking)
        raise CallError(f"{what}: needs scores, and not every table has them; --score names their column.")

"""An audit from files to result, on one page.

`run_any` detects the kind of table; `run_audit` judges predictions:

load -> observe every metric in every group -> rates, pairs -> disparities -> families -> verdict
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand import registry
from evenhand.errors import CallError, TableError
from evenhand.judge.across_arms.averages import averages, too_few_arms
from evenhand.judge.across_arms.collective import collective_claims
from evenhand.judge.across_arms.shrunken import shrunken_differences
from evenhand.judge.core import families
from evenhand.judge.core.disparities.rows import GroupEstimates, Table, build_disparities
from evenhand.judge.core.estimates import classes_of, collapse_equal_rows, groups_of, observe
from evenhand.judge.core.evidence import PairedEstimate
from evenhand.judge.core.pairs import compare_with_reference
from evenhand.judge.core.rates import rate_row
from evenhand.judge.result import AuditResult, document
from evenhand.judge.rows import RateRow
from evenhand.judge.settings import (
    DISPARITIES,
    METRICS,
    SCORING,
    Settings,
    disparity_names,
    metric_names,
    needs_scores,
)
from evenhand.tables.schema import Columns, Predictions, Source

if TYPE_CHECKING:
    from evenhand.tables.detect import Kind


def run_any(source: Source, columns: Columns, settings: Settings, *, scoring: str = SCORING) -> AuditResult:
    """Detect the kind of table, and judge it.

    Args:
        source: files, globs or tables in memory, all of one kind.
        columns: what their columns mean.
        settings: what to judge and how strictly.
        scoring: for likelihood tables, the scoring behind the headline numbers.

    Raises:
        InputError: the call or a table is wrong; all problems are reported together.
    """
    from evenhand.tables.detect import detect_kind, explain_kind  # noqa: PLC0415  (duckdb)
    from evenhand.tables.io.in_memory import read_once  # noqa: PLC0415

    source = read_once(source)  # a stream can be read only once, and is read here and again by `load`
    kind = detect_kind(source, columns)
    try:
        return _run(source, columns, settings, kind, scoring)
    except TableError as error:
        guess = explain_kind(source, columns, kind)
        raise TableError([*error.complaints, guess]) if guess else error from None


def _run(source: Source, columns: Columns, settings: Settings, kind: Kind, scoring: str) -> AuditResult:
    """Judge tables of a known kind."""
    if kind == "predictions":
        if scoring != SCORING:
            raise CallError(f"--scoring {scoring}: predictions have no options to score; leave it out.")
        return run_audit(source, columns, settings)
    from evenhand.judge.language.run import run_generative  # noqa: PLC0415

    return run_generative(source, columns, settings, kind=kind, scoring=scoring)


def run_audit(source: Source, columns: Columns, settings: Settings) -> AuditResult:
    """Audit predictions.

    Args:
        source: files, globs or tables in memory.
        columns: what their columns mean.
        settings: what to judge and how strictly.

    Raises:
        InputError: the call or a table is wrong; all problems are reported together.
    """
    from evenhand.tables.predictions.read import load  # noqa: PLC0415  (duckdb, which a refused call never needs)

    settings.refuse_names((*metric_names(), *disparity_names()), "predictions")
    scores = any(needs_scores(name) for name in settings.computed_metrics)
    predictions = load(source, columns, need_scores=scores, optional_scores=not settings.names_scores)
    names = [arm.name for arm in predictions.arms]
    settings.refuse_averages(names, settings.reference_index(names))
    return judge_predictions(predictions, columns, settings)


def judge_predictions(predictions: Predictions, columns: Columns, settings: Settings) -> AuditResult:
    """Audit predictions that are already checked and aligned."""
    reference = settings.reference_index([arm.name for arm in predictions.arms])
    aggregated = collapse_equal_rows(predictions)
    scored = all(arm.score is not None for arm in predictions.arms)
    if not scored:
        settings.refuse_scores()
    disparity_metrics = {
        m for d in settings.chosen_disparities for m in registry.load(DISPARITIES, d).INFO.of
    }
    table: Table = {}
    rate_rows: list[RateRow] = []
    pairs: list[PairedEstimate] = []
    for name in settings.computed_metrics:
        metric = registry.load(METRICS, name)
        if metric.INFO.needs == "score" and not scored:
            continue
        rows_used = predictions if metric.INFO.needs == "score" else aggregated
        for class_name, positive in classes_of(metric.INFO, rows_used):
            for attribute in (None, *rows_used.attributes):
                groups = groups_of(attribute, rows_used)
                arms = [[observe(metric, a, g, rows_used, positive) for g in groups] for a in rows_used.arms]
                if attribute is not None and name in disparity_metrics:
                    table[name, class_name, attribute.name] = GroupEstimates(rows_used, groups, arms)
                if name not in settings.chosen_metrics:
                    continue
                for arm, by_group in zip(rows_used.arms, arms, strict=True):
                    for group, observed in zip(groups, by_group, strict=True):
                        rate_rows.append(
                            rate_row(metric, arm, class_name, group, observed, rows_used, settings)
                        )
                pairs += compare_with_reference(
                    metric, class_name, rows_used, (groups, arms), reference, settings
                )
    gap_rows, gap_pairs = build_disparities(table, aggregated, reference, settings)
    comparisons = families.adjust_all([*pairs, *gap_pairs], aggregated, predictions, reference, settings)
    claims = collective_claims(pairs, comparisons, predictions, settings)
    shrunken = shrunken_differences(pairs, comparisons, predictions, settings)
    written = document(predictions, columns, settings, rate_rows, gap_rows, comparisons, reference)
    further = {
        "problems": [
            *written["problems"],
            *too_few_arms([arm.name for arm in predictions.arms], reference, settings),
        ],
        "collective": [row.to_dict() for row in claims],
        "averages": averages(predictions, reference, settings),
        "shrunken": [row.to_dict() for row in shrunken],
    }
    return AuditResult({**written, **further})

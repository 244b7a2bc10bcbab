"""A judgement of generations or likelihoods, on one page.

load -> measure every arm by group -> rates, comparisons, verdicts (as in any audit) -> further tables
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evenhand import registry
from evenhand.errors import CallError, MissingExtraError, nearest
from evenhand.judge.core import families
from evenhand.judge.core import pairs as compare
from evenhand.judge.core.evidence import PairedEstimate
from evenhand.judge.core.rates import rate_row
from evenhand.judge.generative import MetricByGroup, translation_gender, translation_quality
from evenhand.judge.language import tables as likelihood_tables
from evenhand.judge.language.result import build_result
from evenhand.judge.prompts.choices import choose_all, scoring_names
from evenhand.judge.result import AuditResult
from evenhand.judge.rows import ComparisonRow, RateRow
from evenhand.judge.settings import GENERATIVE, SCORING, Settings
from evenhand.tables.answers.generations import Generations, load_generations
from evenhand.tables.answers.likelihoods import Likelihoods, load_likelihoods
from evenhand.tables.answers.vocabulary import PREDISPOSITION
from evenhand.tables.schema import Columns, Source


def run_generative(
    source: Source, columns: Columns, settings: Settings, *, kind: str, scoring: str = SCORING
) -> AuditResult:
    """Judge generations or likelihoods.

    Args:
        source: files, globs or tables in memory.
        columns: the meaning of their columns.
        settings: the settings of the judgement; `metrics` and `primary` name measures.
        kind: `generations` or `likelihoods`, as `evenhand.tables.detect.detect_kind` detects it.
        scoring: for likelihoods, the scoring behind rates and comparisons (all scorings are compared).

    Raises:
        InputError: the call or a table is invalid; all complaints together.
    """
    chosen = settings_for(kind, settings, scoring)
    if kind == "generations":
        return judge_generations(load_generations(source, columns), columns, chosen)
    return judge_likelihoods(load_likelihoods(source, columns), columns, chosen, scoring=scoring)


def judge_generations(table: Generations, columns: Columns, settings: Settings) -> AuditResult:
    """Judge generations that are already validated and aligned."""
    reference = settings.reference_index(list(dict.fromkeys(a for a, _ in table.arm_runs)))
    problems = [*table.problems, *translation_gender.remarks(table)]
    shown = translation_gender.compute(table)
    signatures: dict[str, str] = {}
    try:
        quality = translation_quality.compute(table)
        signatures = translation_quality.signatures(table.references) if quality else {}
    except MissingExtraError as error:
        quality = []
        problems.append(str(error))
    rates, comparisons = build_rows([*shown, *quality], reference, settings)
    scores = translation_quality.INFO.measures
    parts = {
        "quality": {
            "signatures": signatures,
            "rates": [r for r in rates if r.metric in scores and r.attribute is None],
        },
        "shares": [
            r
            for r in rates
            if r.metric in translation_gender.SHARE_NAMES and r.attribute in (None, PREDISPOSITION)
        ],
    }
    return build_result(table, columns, settings, reference, (rates, comparisons), problems, parts)


def judge_likelihoods(
    table: Likelihoods, columns: Columns, settings: Settings, *, scoring: str = SCORING
) -> AuditResult:
    """Judge likelihoods that are already validated and aligned."""
    reference = settings.reference_index(list(dict.fromkeys(a for a, _ in table.arm_runs)))
    choices, lacking = choose_all(table)
    if scoring not in choices:
        raise CallError(f"--scoring {scoring}: {lacking[scoring]}.")
    plugins = [registry.load(GENERATIVE, name) for name in ("option_shares", "inversions")]
    shown = [s for plugin in plugins for s in plugin.compute(choices[scoring])]
    rates, comparisons = build_rows(shown, reference, settings)
    further = likelihood_tables.build_tables(choices, scoring, reference, settings)
    problems = [
        *table.problems,
        *(f"Scoring {name} is left out: {why}." for name, why in lacking.items()),
        *further.pop("problems"),
    ]
    parts = {"scoring": scoring, "scorings": likelihood_tables.scoring_rows(choices, lacking), **further}
    return build_result(table, columns, settings, reference, (rates, comparisons), problems, parts)


def build_rows(
    shown: Sequence[MetricByGroup], reference: int, settings: Settings
) -> tuple[list[RateRow], list[ComparisonRow]]:
    """Build the rows of `rates` and `comparisons`; each metric, and all primary ones together, form a family.

    Args:
        shown: numbers of every arm by group, all over the same rows.
        reference: index of the reference arm.
        settings: primary metrics, level, margins and smallest group.
    """
    rates: list[RateRow] = []
    pairs: list[PairedEstimate] = []
    for metric in (metric for metric in shown if metric.measure.name in settings.metrics):
        for arm, observed in zip(metric.predictions.arms, metric.observed, strict=True):
            for group, estimate in zip(metric.groups, observed, strict=True):
                row = rate_row(metric.measure, arm, None, group, estimate, metric.predictions, settings)
                rates.append(replace(row, class_name=metric.class_name))
        estimates = (metric.groups, metric.observed)
        pairs += compare.compare_with_reference(
            metric.measure, metric.class_name, metric.predictions, estimates, reference, settings
        )
    if not pairs:
        return rates, []
    rows = shown[0].predictions
    return rates, families.adjust_all(pairs, rows, rows, reference, settings)


def settings_for(kind: str, settings: Settings, scoring: str) -> Settings:
    """Return the settings with the measures of this kind.

    Raises:
        CallError: a measure is not one of this kind, or the scoring is unknown.
    """
    measures: dict[str, Any] = {}
    primary: tuple[str, ...] = ()
    for name in registry.names(GENERATIVE):
        info = registry.load(GENERATIVE, name).INFO
        if info.needs == kind:
            measures |= info.measures
            primary += info.primary
    settings.refuse_names(list(measures), kind)
    if scoring not in scoring_names():
        raise CallError(f"--scoring: unknown scoring {scoring!r}: {nearest(scoring, scoring_names())}")
    if kind == "generations" and scoring != SCORING:
        raise CallError(f"--scoring {scoring}: generations have no options to score; leave it out.")
    declared = settings.primary or primary
    computed = tuple(m for m in measures if not settings.metrics or m in (*settings.metrics, *declared))
    return replace(settings, metrics=computed, primary=declared)

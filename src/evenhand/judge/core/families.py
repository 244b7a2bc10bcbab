"""Families of comparisons: simultaneous intervals, adjusted p-values, verdicts, and rows of the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from evenhand import registry
from evenhand.judge.core.estimates import row_covariance
from evenhand.judge.core.evidence import (
    Identity,
    Missing,
    PairedEstimate,
    Permutation,
)
from evenhand.judge.core.limits import Limits, Members, compute_limits
from evenhand.judge.core.moderation import moderate
from evenhand.judge.planning.settling import settle
from evenhand.judge.rows import NAN, ComparisonRow, Status
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.family import Family, correlated, holm, independent
from evenhand.judge.stats.verdict import judge, minimum_detectable
from evenhand.tables.schema import Predictions

#: Maximum elements of the matrix of influence values; larger families use Sidak's critical value.
MAX_MATRIX_ELEMENTS = 30_000_000


#: The interval of numbers that depend on the number of rows.
PERMUTED = "none: depends on the group's size; p-value by permutation, verdict by brier_score"


def adjust_all(
    pairs: list[PairedEstimate],
    cells: Predictions,
    predictions: Predictions,
    reference: int,
    settings: Settings,
) -> list[ComparisonRow]:
    """Sort the pairs into the primary family and one exploratory family per metric, and adjust each.

    Args:
        pairs: all comparisons.
        cells: the rows that prediction metrics were computed on.
        predictions: the rows that score metrics were computed on.
        reference: index of the reference arm.
        settings: what is primary, level, margins and seed.

    Raises:
        CallError: a weight names no attribute.
    """
    shares = settings.alpha_shares([a.name for a in cells.attributes])
    by_metric: dict[str, list[PairedEstimate]] = defaultdict(list)
    for p in pairs:
        metric = p.identity.metric
        primary = metric in settings.declared and p.identity.attribute in shares
        by_metric["" if primary else metric].append(p)
    rows: list[ComparisonRow] = []
    for metric, members in by_metric.items():
        scored = [_needs_scores(p.identity.metric) for p in members]
        rows_used = predictions if all(scored) else cells
        # Influence values of scores refer to single rows, those of rates to aggregated rows, so these have no
        # correlation: in a mixed family those of scores are dropped, which treats them as independent.
        moderated = moderate(
            [
                p.without_influence() if s and not all(scored) else p
                for p, s in zip(members, scored, strict=True)
            ]
        )
        kind, families = "exploratory", [(1.0, moderated)]
        if not metric:
            kind, families = "primary", _split(moderated, shares if settings.attribute_weights else {})
        for share, family in families:
            level = replace(settings, alpha=share * settings.alpha)
            name = predictions.arms[reference].name
            rows += adjust_family(family, rows_used, level, kind, name, error_rate=settings.error_rate)
    return sorted(rows, key=lambda r: r.family != "primary")


def _split(
    pairs: list[PairedEstimate], shares: Mapping[str | None, float]
) -> list[tuple[float, list[PairedEstimate]]]:
    """Split the primary comparisons by attribute, each with its share of alpha; without shares, do not."""
    if not shares:
        return [(1.0, pairs)]
    parts = [(share, [p for p in pairs if p.identity.attribute == name]) for name, share in shares.items()]
    return [(share, part) for share, part in parts if part]


def _needs_scores(name: str) -> bool:
    return name in registry.names(METRICS) and registry.load(METRICS, name).INFO.needs == "score"


def adjust_family(
    pairs: list[PairedEstimate],
    predictions: Predictions,
    settings: Settings,
    family: str,
    reference: str,
    *,
    error_rate: str = "familywise",
) -> list[ComparisonRow]:
    """Rows of the result for one family of comparisons.

    Args:
        pairs: all comparisons of the family, undefined and too small ones included.
        predictions: the rows that their influence values lie on.
        settings: level, margins and seed.
        family: `primary` (rows get verdicts) or `exploratory`.
        reference: name of the reference arm.
        error_rate: of the family's claims; see `Settings`.
    """
    resolvable = [i for i, p in enumerate(pairs) if not isinstance(p.evidence, Missing | Permutation)]
    limits: dict[int, Limits] = {}
    tests = 1
    if resolvable:
        members = _members([pairs[i] for i in resolvable], settings, judged=family == "primary")
        joint = _joint_distribution(members, predictions, settings.rng)
        computed = compute_limits(members, joint, settings.alpha, error_rate=error_rate)
        limits, tests = dict(zip(resolvable, computed, strict=True)), joint.size
    p_values = {i: p.evidence.p_value for i, p in enumerate(pairs) if isinstance(p.evidence, Permutation)}
    adjusted = dict(zip(p_values, holm(np.array(list(p_values.values()))).tolist(), strict=True))
    over = "simultaneous" if error_rate == "familywise" else "false discovery rate"
    scope = f"{', rows by run' if predictions.resplit else ''}, {over} over {tests}"
    rows = []
    for i, pair in enumerate(pairs):
        row = replace(_build_row(pair, settings, family, reference), error_rate=error_rate)
        match pair.evidence:
            case Missing():
                pass
            case Permutation(p_value):
                row = replace(row, interval=PERMUTED, p_value=p_value, p_adjusted=adjusted[i])
            case evidence:
                row = _judge_row(row, pair, limits[i], f"{evidence.method}{scope}")
        rows.append(row)
    arms = len({pair.identity.candidate for pair in pairs}) + 1
    return settle(rows, [pair.identity.direction for pair in pairs], arms)


def _members(pairs: list[PairedEstimate], settings: Settings, *, judged: bool) -> Members:
    """Find the tests of a family, and the margins of those that get a verdict.

    A rate and its complement (true positive and false negative rate) are the same test and count once:
    counting both would widen every interval of the family for no protection.
    """
    first: dict[tuple[object, ...], int] = {}
    copies, margins = [], []
    for i, pair in enumerate(pairs):
        who = pair.identity
        key = (who.candidate, who.attribute, who.group, who.class_name, who.complement_key)
        copies.append(first.setdefault(key, i))
        margin = margin_of(who, settings) if judged else None
        margins.append(NAN if margin is None or who.direction == 0 else margin)
    return Members(pairs, np.array(margins), np.array(copies))


def _joint_distribution(family: Members, predictions: Predictions, seed: int) -> Family:
    """Return the joint distribution of a family's statistics."""
    members = [family.pairs[i] for i in family.distinct]
    rows = len(predictions.label)
    if len(members) < 2 or len(members) * rows > MAX_MATRIX_ELEMENTS:
        return independent(len(members))
    influence = np.zeros((len(members), rows))
    for i, p in enumerate(members):
        if p.influence is not None:
            influence[i, p.influence.rows] = p.influence.values
    covariance = row_covariance(influence, np.arange(rows), predictions)
    # Runs add variance that is independent between comparisons: it shrinks their correlation, which can only
    # raise the critical value. Comparisons without influence values have rows of zeros: independent.
    total = np.diagonal(covariance) + np.array([p.run_variance for p in members])
    scale = np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)
    correlation = np.clip(covariance * scale[:, None] * scale[None, :], -1, 1)
    np.fill_diagonal(correlation, 1.0)
    # The limits of the verdict `harmless` lie on the side of harm.
    towards_harm = np.where(family.directions[family.distinct] > 0, -1.0, 1.0)
    return correlated(correlation, np.random.default_rng((seed, 1)), towards_harm)


def margin_of(who: Identity, settings: Settings) -> float | None:
    """Return the margin of a metric: its own, else the default where it applies, else None."""
    if who.metric in settings.margins:
        return settings.margins[who.metric]
    return settings.margin if who.margin_rule else None


def _build_row(pair: PairedEstimate, settings: Settings, family: str, reference: str) -> ComparisonRow:
    """Build a row without interval, p-value and verdict."""
    who, flips, evidence = pair.identity, pair.flips, pair.evidence
    status: Status = "ok"
    reason = ""
    if isinstance(evidence, Missing | Permutation):
        status, reason = evidence.status, evidence.reason
    return ComparisonRow(
        reference=reference,
        candidate=who.candidate,
        attribute=who.attribute,
        group=who.group,
        class_name=who.class_name,
        metric=who.metric,
        family=family,
        difference=pair.difference,
        level=1 - settings.alpha,
        margin=margin_of(who, settings),
        n=pair.n,
        n_right_to_wrong=round(flips.right_to_wrong, 6),
        n_wrong_to_right=round(flips.wrong_to_right, 6),
        n_right_to_wrong_between_runs=round(flips.between_runs, 6),
        runs=pair.runs,
        unit=pair.unit,
        status=status,
        reason=reason,
    )


def _judge_row(row: ComparisonRow, pair: PairedEstimate, limits: Limits, interval: str) -> ComparisonRow:
    """Add interval and p-value; and in the primary family the verdict."""
    who = pair.identity
    detectable = minimum_detectable((limits.high - limits.low) / 2, limits.critical)
    harm_limit = limits.harm if row.family == "primary" else NAN
    verdict = judge(limits.low, limits.high, who.direction, row.margin, harm_limit)
    row = replace(
        row,
        low=limits.low,
        high=limits.high,
        harm_limit=harm_limit,
        interval=interval,
        p_value=limits.p,
        p_adjusted=limits.adjusted,
        # A difference larger than the metric's range is not detectable at any true value.
        minimum_detectable=detectable if detectable <= who.span else NAN,
        equivalent=verdict.equivalent,
        beyond_margin=verdict.beyond_margin,
        **pair.variance_parts(),
        critical=limits.critical,
        harm_critical=limits.harm_critical if row.family == "primary" else NAN,
    )
    if row.family != "primary":
        return row
    return replace(row, verdict=verdict.word)

"""An attack from signals to result, on one page.

load -> score every arm with every attack -> observe groups -> rates, curves, control -> pairs -> verdict
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand import registry
from evenhand.errors import CallError, nearest
from evenhand.judge.attacks import ATTACKS, Evidence
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy import compare, control, curves, unscored
from evenhand.judge.privacy.choice import Attack, choose_attacks, required_signals
from evenhand.judge.privacy.observe import AttackEstimates, Scored, observe, unscored_remarks
from evenhand.judge.privacy.rates import rate_row
from evenhand.judge.privacy.result import AttackResult, document
from evenhand.judge.privacy.rows import AttackTables, LeakageRow
from evenhand.judge.privacy.settings import AUC, PrivacySettings
from evenhand.judge.stats.quantiles import z_of
from evenhand.tables.schema import BoolArray, Columns, FloatArray, IntArray, Source
from evenhand.tables.signals.schema import SignalArm, Signals

#: An AUC below this, with its whole interval below 1/2, is too low for chance: the signal is probably
#: reversed.
MAX_REVERSED_AUC = 0.4


def run_attack(source: Source, columns: Columns, settings: PrivacySettings) -> AttackResult:
    """Attack models by their signals, and judge the leakage by group and between arms.

    Args:
        source: files, folders, globs or tables in memory.
        columns: which columns hold attributes, arms and runs.
        settings: the attacks, and the settings of the judgement.

    Raises:
        InputError: the call or a table is invalid; all complaints together.
    """
    from evenhand.tables.signals.read import load_signals  # noqa: PLC0415  (duckdb: a refused call needs none)

    return attack_signals(load_signals(source, columns, required_signals(settings)), columns, settings)


def attack_signals(signals: Signals, columns: Columns, settings: PrivacySettings) -> AttackResult:
    """Attack models whose signals are already checked and aligned."""
    reference = _reference(signals, settings)
    attacks = choose_attacks(signals, settings)
    groups = groups_of(signals)
    tables = AttackTables()
    pairs: list[tuple[AttackEstimates, AttackEstimates]] = []
    problems = list(signals.problems)
    for attack in attacks:
        scored = []
        for arm in signals.arms:
            scores, remarks = score_arm(arm, attack)
            scored.append(scores)
            problems += [*remarks, *unscored_remarks(scores, groups)]
        estimates = [_observe(s, groups, settings) for s in scored]
        for arm_estimates in estimates:
            _add_rows(tables, arm_estimates, groups, signals, settings)
        for i, arm in enumerate(signals.arms):
            if i != reference:
                pair = _pair_targets(
                    estimates[reference], estimates[i], signals.arms[reference], arm, groups, settings
                )
                if isinstance(pair, str):
                    problems.append(pair)
                else:
                    pairs.append(pair)
    problems += _reversal_remarks(tables.rates)
    if pairs:
        tables.comparisons = compare.build_comparisons(pairs, groups, signals.attributes, settings)
    names = [attack.name for attack in attacks]
    return AttackResult(document(signals, columns, settings, names, reference, tables, problems))


def _reversal_remarks(rates: Sequence[LeakageRow]) -> list[str]:
    """Remark on attacks that rank non-members above members: a column may have the opposite meaning."""
    return [
        f"{r.input}, {r.attack}: members look less like members than non-members do (ROC AUC "
        f"{r.value:.3f}, {r.low:.3f} to {r.high:.3f}); is 'in_training' 1 for members, and is the "
        "signal what its column is called (a likelihood is not a loss)?"
        for r in rates
        if r.attribute is None and r.metric == AUC and r.high < 1 / 2 and r.value < MAX_REVERSED_AUC
    ]


def groups_of(signals: Signals) -> list[Group]:
    """Return the group of all rows, and every group of every attribute, empty groups included."""
    n = len(signals.ids)
    groups = [Group(None, None, np.arange(n), n)]
    for attribute in signals.attributes:
        for index, name in enumerate(attribute.groups):
            rows = np.flatnonzero(attribute.in_group(index))
            groups.append(Group(attribute.name, name, rows, len(rows)))
    return groups


def score_arm(arm: SignalArm, attack: Attack) -> tuple[Scored, list[str]]:
    """Score the targets of one arm by one attack, with remarks on targets without usable scores.

    Targets without usable scores are left out where others remain; if none remains, their reason becomes the
    reason of every number.
    """
    evidence = Evidence(arm.member, arm.targets, arm.shared, arm.loss, arm.margin, arm.base_loss)
    scores: FloatArray = registry.load(ATTACKS, attack.module).score(evidence, attack.config)
    member = arm.member[arm.targets]
    causes = unscored.find_causes(evidence, scores, attack.needs)
    reasons = [_undefined_reason(*columns) for columns in zip(scores, member, causes, strict=True)]
    scored_targets = [i for i, reason in enumerate(reasons) if not reason]
    runs = arm.target_runs
    if not scored_targets:
        reason = next((r for r in reasons if r), "")
        return Scored(arm.name, attack.name, runs, scores, member, reason, causes), []
    scored = Scored(arm.name, attack.name, runs, scores, member, "", causes, tuple(range(len(runs))))
    if len(scored_targets) == len(runs):
        return scored, []
    remarks = [
        f"{arm.name}, {attack.name}: run {run} is left out: {reason}."
        for run, reason in zip(runs, reasons, strict=True)
        if reason
    ]
    return scored.select(scored_targets), remarks


def _undefined_reason(scores: FloatArray, member: BoolArray, causes: IntArray) -> str:
    """Explain why the scores of one target are unusable; empty when they are usable."""
    known = np.isfinite(scores)
    for name, of in (("row", np.ones_like(member)), ("member", member), ("non-member", ~member)):
        if not (known & of).any():
            return f"no {name} has a score ({unscored.describe_causes(causes[of])})"
    low, high = np.nanmin(scores), np.nanmax(scores)
    return "constant signals: every row has the same score" if low == high else ""


def _observe(scored: Scored, groups: Sequence[Group], settings: PrivacySettings) -> AttackEstimates:
    if scored.reason:
        none = np.zeros((len(scored.runs), len(groups)), dtype=np.int64)
        return AttackEstimates(scored, none, none, {}, (), ())
    return observe(scored, groups, settings.fprs, float(z_of(settings.alpha)))


def _add_rows(
    tables: AttackTables,
    estimates: AttackEstimates,
    groups: Sequence[Group],
    signals: Signals,
    settings: PrivacySettings,
) -> None:
    """Add the rows of one attack on one arm to each table."""
    for metric in settings.metrics:
        tables.rates += [rate_row(estimates, metric, group, g, settings) for g, group in enumerate(groups)]
    tables.roc += [curves.roc_row(estimates, group, settings.fprs) for group in groups]
    tables.stability += [
        curves.stability_row(estimates, group, g, settings) for g, group in enumerate(groups)
    ]
    for number, attribute in enumerate(signals.attributes):
        numbered = [(g, group) for g, group in enumerate(groups) if group.attribute == attribute.name]
        rng = np.random.default_rng((settings.rng, number))
        tables.vulnerability += control.vulnerability_rows(estimates, attribute, numbered, settings, rng)


def _pair_targets(
    reference: AttackEstimates,
    candidate: AttackEstimates,
    first: SignalArm,
    second: SignalArm,
    groups: Sequence[Group],
    settings: PrivacySettings,
) -> tuple[AttackEstimates, AttackEstimates] | str:
    """Return the estimates of two arms for their matching targets, or the reason why no targets match."""
    if reference.scored.reason or candidate.scored.reason:
        return reference, candidate
    reference_member, candidate_member = reference.scored.member, candidate.scored.member
    same = (reference_member[:, None, :] == candidate_member[None, :, :]).all(axis=2)
    pairs = compare.match_targets(reference.scored.runs, candidate.scored.runs, same)
    if not pairs:
        return f"{second.name} against {first.name}: {compare.UNMATCHED}."
    identity = [(i, i) for i in range(len(reference_member))]
    if pairs == identity and len(reference_member) == len(candidate_member):
        return reference, candidate
    selected = [
        _observe(estimates.scored.select(at), groups, settings)
        for estimates, at in zip((reference, candidate), zip(*pairs, strict=True), strict=True)
    ]
    return selected[0], selected[1]


def _reference(signals: Signals, settings: PrivacySettings) -> int:
    names = [arm.name for arm in signals.arms]
    if settings.reference is None:
        return 0
    if settings.reference not in names:
        near = nearest(settings.reference, names)
        raise CallError(f"--reference: no arm is called {settings.reference!r}: {near}")
    return names.index(settings.reference)

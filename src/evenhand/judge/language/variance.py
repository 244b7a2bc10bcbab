"""Variance components of a preference: templates, option sets, snippets and seeds.

The preference for a meaning in a context is the meaning's share: exp(score) over the sum of exp(score) of the
context's options, by the declared scoring; by `raw` it is the probability of the meaning among the options.
Its variance is split for every arm, and so is that of the difference of two arms on the same contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenhand import registry
from evenhand.judge.language.rows import VarianceRow
from evenhand.judge.prompts.choices import SCORINGS, TIE_TOLERANCE, Chosen
from evenhand.judge.prompts.crossing import Crossing, crossing_of
from evenhand.judge.prompts.forms import log_shares
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.judge.stats.variance import Components, components, limits
from evenhand.tables.answers.likelihoods import NONE
from evenhand.tables.schema import FloatArray

SNIPPET, SEED, RESIDUAL = "snippet", "seed", "residual"

#: Names of sums of components.
PROMPT, WITH_SNIPPET, WITH_SEED = "all prompts", "prompts x snippet", "seed and interactions"

#: A variance below the square of the tie tolerance is rounding error.
ZERO_VARIANCE = TIE_TOLERANCE**2

#: With fewer clusters of snippets the jackknife interval does not hold its level.
ENOUGH_CLUSTERS = 100

INTERVAL = "jackknife over snippets, for these prompts and seeds"


@dataclass(frozen=True)
class _Effect:
    """An effect: its factors in words, its index among the components, its sum and its degrees of freedom."""

    name: str
    factors: str
    index: int
    total: str | None
    degrees: int
    pure: bool


def variance_rows(chosen: Chosen, reference: int, settings: Settings) -> tuple[list[VarianceRow], list[str]]:
    """Split the variance of the preference for every meaning, of every arm and of every difference.

    Args:
        chosen: the options by the declared scoring.
        reference: index of the reference arm.
        settings: the level.

    Returns:
        Rows and remarks; `share` is the share in the sum of all components, with negative ones taken as 0.
    """
    table = chosen.table
    arms = list(dict.fromkeys(arm for arm, _ in table.arm_runs))
    scores = np.asarray(registry.load(SCORINGS, chosen.scoring).compute(table, chosen.blocks))
    shares = np.exp(log_shares(scores, table.there))
    rows: list[VarianceRow] = []
    left_out = {}
    for code in np.unique(table.meaning[chosen.scored]):
        at = table.meaning == code
        offered = chosen.scored & at.any(axis=1)
        if code == NONE or not offered.any():
            continue
        crossing = crossing_of(table, offered)
        left_out[table.meanings[code]] = crossing.left_out, int(offered.sum())
        preference = np.where(at, shares, 0.0).sum(axis=2)[:, crossing.context]
        for k, arm in enumerate(arms):
            head = VarianceRow(
                input=arm,
                scoring=chosen.scoring,
                class_name=table.meanings[code],
                level=1 - settings.alpha,
            )
            values = _arm_preference(preference, chosen, arm)
            rows += _split_rows(head, values, crossing, "", settings)
            if k != reference:
                head = replace(head, input=None, candidate=arm, reference=arms[reference])
                values, remark = _preference_difference(preference, chosen, arm, arms[reference])
                rows += _split_rows(head, values, crossing, remark, settings)
    return rows, _remarks(left_out)


def _arm_preference(preference: FloatArray, chosen: Chosen, arm: str) -> FloatArray:
    """[prompts, runs, snippets] preference of an arm, with its runs in the order of their names."""
    of = sorted((run, k) for k, (a, run) in enumerate(chosen.table.arm_runs) if a == arm)
    return np.moveaxis(preference[[k for _, k in of]], 0, 1)


def _preference_difference(
    preference: FloatArray, chosen: Chosen, candidate: str, reference: str
) -> tuple[FloatArray, str]:
    """[prompts, runs, snippets] candidate minus reference, by run; or of means over runs, with the reason."""
    a, b = (_arm_preference(preference, chosen, arm) for arm in (reference, candidate))
    runs = [{run for arm, run in chosen.table.arm_runs if arm == name} for name in (reference, candidate)]
    if runs[0] == runs[1] or a.shape[1] == b.shape[1] == 1:
        return b - a, ""
    means = b.mean(axis=1, keepdims=True) - a.mean(axis=1, keepdims=True)
    return means, "the runs of both arms have different names, so means over runs are compared"


def _split_rows(
    head: VarianceRow, values: FloatArray, crossing: Crossing, remark: str, settings: Settings
) -> list[VarianceRow]:
    """Build the rows of the preference of one arm, or of one difference, for one meaning."""
    prompts, runs, snippets = values.shape
    lacking = dict(crossing.groupings.lacking)
    if snippets == 1:
        lacking[SNIPPET] = "one snippet only, so variation over snippets cannot be estimated"
    if runs == 1:
        lacking[SEED] = remark or "one run only, so variation over seeds cannot be estimated"
    head = replace(
        head, mean=float(values.mean()), n=prompts * snippets, left_out=crossing.left_out, runs=runs
    )
    undefined = [
        replace(head, component=name, factors=name, reason=reason) for name, reason in lacking.items()
    ]
    factors = [*crossing.groupings.codes, *[SNIPPET] * (snippets > 1), *[SEED] * (runs > 1)]
    if len(factors) < 2:
        alone = [
            replace(head, component=f, factors=f, reason=f"only {f} varies, so no variance can be split")
            for f in factors
        ]
        return [*undefined, *alone]
    cluster = np.arange(snippets) if crossing.cluster is None else crossing.cluster
    estimates = components(values, list(crossing.groupings.codes.values()), cluster)
    effects = _effects(estimates, crossing, runs, snippets)
    no_interval = _interval_obstacle(estimates, crossing)
    parts = [(replace(head, component=effect.name, factors=effect.factors), [effect]) for effect in effects]
    parts += [
        (replace(head, kind="sum", component=total), [e for e in effects if e.total == total])
        for total in dict.fromkeys(e.total for e in effects)
        if total is not None
    ]
    rows = [_component_row(row, estimates, of, no_interval, settings) for row, of in parts]
    return [*rows, *undefined]


def _effects(estimates: Components, crossing: Crossing, runs: int, snippets: int) -> list[_Effect]:
    """List all effects in reading order: prompts, snippets, both, and all of these with seeds."""
    names = list(crossing.groupings.codes)
    degrees = [crossing.groupings.degrees[name] for name in names]
    effects = []
    last = len(estimates.at) - 1
    for index, (grouping, seed, snippet) in sorted(
        enumerate(estimates.at), key=lambda entry: (entry[1][1], entry[1][2], entry[0])
    ):
        name = " x ".join(
            [*([names[grouping]] if grouping >= 0 else []), *[SNIPPET] * snippet, *[SEED] * seed]
        )
        total = WITH_SEED if seed else (WITH_SNIPPET if snippet else PROMPT) if grouping >= 0 else None
        freedom = (degrees[grouping] if grouping >= 0 else 1) * (runs - 1 if seed else 1)
        freedom *= snippets - 1 if snippet else 1
        effects.append(_Effect(RESIDUAL if index == last else name, name, index, total, freedom, not snippet))
    return effects


def _component_row(
    row: VarianceRow,
    estimates: Components,
    effects: Sequence[_Effect],
    no_interval: str,
    settings: Settings,
) -> VarianceRow:
    """Fill in the row of one component, or of the sum of several."""
    which = [e.index for e in effects]
    # Estimates of variance components may be negative; shares are reported with these truncated at 0, while
    # the interval is that of the untruncated share.
    positive = np.maximum(estimates.estimates, 0.0)
    row = replace(
        row,
        variance=float(positive[which].sum()),
        variance_untruncated=float(estimates.estimates[which].sum()),
        degrees=sum(e.degrees for e in effects),
    )
    if not estimates.estimates.sum() > ZERO_VARIANCE:
        return replace(row, reason="nothing varies: all shares are the same")
    share = float(positive[which].sum() / positive.sum())
    untruncated, without = estimates.shares(which)
    row = replace(row, share=share, share_untruncated=untruncated)
    # The jackknife over snippets covers their sampling only. A component that varies over prompts or seeds
    # needs enough of these as well.
    fewest = min((e.degrees for e in effects if e.pure), default=MIN_RUNS)
    reason = no_interval
    if fewest < MIN_RUNS - 1:
        reason = (
            f"{fewest} {'degree' if fewest == 1 else 'degrees'} of freedom, fewer than {MIN_RUNS - 1}: "
            "no interval holds, and the result does not extend to other prompts or seeds"
        )
    if reason:
        return replace(row, status="too_small", reason=reason)
    low, high = limits(untruncated, without, settings.alpha)
    return replace(row, low=min(low, share), high=max(high, share), interval=INTERVAL, status="ok")


def _interval_obstacle(estimates: Components, crossing: Crossing) -> str:
    """Explain why an interval over snippets is impossible; empty if it is possible."""
    if crossing.cluster is None:
        return "clusters cut across prompts: no interval"
    clusters = len(np.unique(crossing.cluster))
    if clusters < ENOUGH_CLUSTERS:
        return f"{clusters} independent snippets, fewer than {ENOUGH_CLUSTERS}: no interval holds"
    if not estimates.without.sum(axis=1).min() > ZERO_VARIANCE:
        return "all of the variance is in one snippet: no interval"
    return ""


def _remarks(left_out: dict[str, tuple[int, int]]) -> list[str]:
    """Report the number of contexts outside every complete crossing."""
    meaning, (most, of) = max(left_out.items(), key=lambda entry: entry[1][0], default=("", (0, 0)))
    if not most:
        return []
    return [
        f"Variance: up to {most:,} of {of:,} contexts ('{meaning}') are left out of the split, which uses "
        "snippets that occur in every prompt (template and option set)."
    ]

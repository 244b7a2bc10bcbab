"""Averages: the arms of a method, on average, against the reference.

All ranks of LoRA against full fine-tuning, say: the answers of equal runs are averaged over the arms, so that
a run of the average is one run of every arm, with its own flips and shifts. The average is then compared like
any arm: the mean over arms of a share, of an influence value or of a run's value is one of the average.
Averages are declared in the settings, and form a family of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.judge.across_arms.contrasts import judged_metrics, needs_scores
from evenhand.judge.core.estimates import (
    Group,
    Observed,
    classes_of,
    collapse_equal_rows,
    flips_of,
    groups_of,
    observe,
)
from evenhand.judge.core.evidence import Missing, PairedEstimate, Score
from evenhand.judge.core.families import adjust_family
from evenhand.judge.core.flips import Flips
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.core.moderation import moderate
from evenhand.judge.core.pairs import compare_arms, module_name
from evenhand.judge.metrics import Estimate
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.combine import MIN_RUNS_MODERATED
from evenhand.tables.schema import Arm, FloatArray, Predictions

#: The family of the rows.
FAMILY = "averages"

#: Averaged answers that differ by less from the reference's are equal up to rounding.
ROUNDING = 1e-9


def averages(predictions: Predictions, reference: int, settings: Settings) -> list[dict[str, Any]]:
    """Compare each declared average of arms with the reference, in every group and primary metric.

    Disparities and calibration errors are not linear in the arms, and have none.

    Args:
        predictions: all arms.
        reference: index of the reference arm.
        settings: averages, primary metrics, level, margins, smallest group and seed.

    Returns:
        Rows like those of `comparisons`, with the `arms` that are averaged. An average of fewer than two arms
        has no rows.
    """
    names = [arm.name for arm in predictions.arms]
    chosen = {name: arms for name, arms in settings.averaged(names, reference).items() if len(arms) > 1}
    if not chosen:
        return []
    rows_used = predictions if needs_scores(settings) else collapse_equal_rows(predictions)
    members = {f"{name} ({len(arms)} arms)": arms for name, arms in chosen.items()}
    pairs = [
        pair
        for name in judged_metrics(settings)
        for member in members.items()
        for pair in _pairs(registry.load(METRICS, name), member, rows_used, reference, settings)
    ]
    rows = adjust_family(moderate(pairs), rows_used, settings, "primary", names[reference])
    return [{**row.to_dict(), "family": FAMILY, "arms": members[row.candidate]} for row in rows]


def too_few_arms(arms: Sequence[str], reference: int, settings: Settings) -> list[str]:
    """List the declared averages that have no rows, each with its reason: runs of a study may have failed.

    Args:
        arms: names of all arms.
        reference: index of the reference arm.
        settings: the averages.
    """
    return [
        f"The arms of {name} are not averaged: {f'only {chosen[0]} has' if chosen else 'none of them has'} "
        "runs that can be compared."
        for name, chosen in settings.averaged(arms, reference).items()
        if len(chosen) < 2
    ]


def _pairs(
    metric: ModuleType,
    member: tuple[str, Sequence[str]],
    p: Predictions,
    reference: int,
    settings: Settings,
) -> list[PairedEstimate]:
    """Compare one average, given by its name and its arms, with the reference by one metric."""
    arms = [arm for arm in p.arms if arm.name in member[1]]
    fewest = min(len(arm.runs) for arm in arms)
    average = Arm(member[0], arms[0].runs[:fewest], arms[0].prediction[:fewest])
    pairs = []
    for class_name, positive in classes_of(metric.INFO, p):
        for group in (g for a in p.attributes or (None,) for g in groups_of(a, p)):
            first, *others = (observe(metric, arm, group, p, positive) for arm in (p.arms[reference], *arms))
            same = (module_name(metric), metric.INFO, class_name, group, first)
            matched = [
                PairedArms(*same, of_arm, p.arms[reference], arm, p)
                for of_arm, arm in zip(others, arms, strict=True)
            ]
            flips = _flips_of_runs(metric, arms, group, p, positive)
            mean = _without_rounding(average_observations(others, flips), first)
            pooled = replace(matched[0], candidate=mean, candidate_arm=average)
            pairs.append(_compare(pooled, matched, settings))
    return pairs


def _compare(pooled: PairedArms, of_arms: Sequence[PairedArms], settings: Settings) -> PairedEstimate:
    """Compare the average with the reference; its flips are the means of the arms' flips."""
    rng, least = np.random.default_rng(settings.rng), settings.min_group_size
    pair = compare_arms(pooled, least, rng)
    singles = [compare_arms(m, least, rng).flips for m in of_arms]
    means = (
        float(np.mean([getattr(f, name) for f in singles]))
        for name in ("right_to_wrong", "wrong_to_right", "between_runs")
    )
    pair = replace(pair, flips=Flips(*means), runs=min(len(m.candidate_arm.runs) for m in of_arms))
    fault = unlike_runs([m.candidate_arm for m in of_arms])
    if fault and not isinstance(pair.evidence, Missing):
        return replace(pair, evidence=Missing("undefined", fault))
    if isinstance(pair.evidence, Score):
        # The exact test is of answers that are right or wrong, which an average is not.
        unknown = np.asarray(np.nan)
        estimate = replace(pair.evidence.estimate, better=unknown, worse=unknown)
        return replace(pair, evidence=replace(pair.evidence, estimate=estimate))
    return pair


def unlike_runs(arms: Sequence[Arm]) -> str:
    """Return why the runs of some arms cannot be averaged one by one; empty where they can.

    Runs of the same names share their seeds, and vary together. Where no names are shared, runs vary
    independently, and any of one arm may be averaged with any of another.
    """
    numbers = sorted({len(arm.runs) for arm in arms})
    if len(numbers) > 1:
        return f"the arms have between {numbers[0]} and {numbers[-1]} runs; an average needs equally many"
    if all(arm.runs == arms[0].runs for arm in arms):
        return ""
    names = [name for arm in arms for name in arm.runs]
    if len(set(names)) == len(names):
        return ""
    return "the arms share some of their seeds; an average needs arms that share all of them or none"


def average_observations(of_arms: Sequence[Observed], flips: float) -> Observed:
    """Average the observations of some arms, run by run.

    Args:
        of_arms: of each arm, in the same group and with equally many runs.
        flips: variance of a single run's average that flips of single answers give.
    """
    fewest = min(len(o.values) for o in of_arms)
    first = of_arms[0]
    shares = [o.numerator for o in of_arms if o.numerator is not None]
    return replace(
        first,
        values=np.mean([o.values[:fewest] for o in of_arms], axis=0),
        value=float(np.mean([o.value for o in of_arms])),
        influence=np.mean([o.influence for o in of_arms], axis=0),
        numerator=np.mean(shares, axis=0) if len(shares) == len(of_arms) else None,
        right=np.mean([o.right for o in of_arms], axis=0),
        reason="; ".join(dict.fromkeys(o.reason for o in of_arms if o.reason)),
        right_by_run=None,
        influence_by_run=None,
        flips=flips,
    )


def _without_rounding(mean: Observed, reference: Observed) -> Observed:
    """Return an average whose answers equal the reference's where they differ by a rounding error.

    Rows whose answers differ are counted, and few of them give no interval.
    """

    def snap(values: FloatArray | None, of_reference: FloatArray | None) -> FloatArray | None:
        if values is None or of_reference is None:
            return values
        return np.where(np.abs(values - of_reference) < ROUNDING, of_reference, values)

    right = snap(mean.right, reference.right)
    assert right is not None
    return replace(mean, right=right, numerator=snap(mean.numerator, reference.numerator))


def _flips_of_runs(
    metric: ModuleType, arms: Sequence[Arm], group: Group, p: Predictions, positive: int
) -> float:
    """Variance of a single run's average that flips of single answers give; see `flips_of`.

    NaN for other metrics than shares, whose averages are not moderated.
    """
    runs = min(len(arm.runs) for arm in arms)
    if metric.INFO.inference != "score" or p.resplit or runs < MIN_RUNS_MODERATED or unlike_runs(arms):
        return float("nan")
    estimates = []
    for run in range(runs):
        single = [observe(metric, _run_of(arm, run), group, p, positive) for arm in arms]
        mean = average_observations(single, float("nan"))
        estimates.append(Estimate(mean.value, mean.influence, mean.numerator, mean.denominator, mean.reason))
    return flips_of(metric, estimates, group.rows, p)


def _run_of(arm: Arm, run: int) -> Arm:
    """Return an arm with one of its runs."""
    score = None if arm.score is None else arm.score[run : run + 1]
    return Arm(arm.name, arm.runs[run : run + 1], arm.prediction[run : run + 1], score)

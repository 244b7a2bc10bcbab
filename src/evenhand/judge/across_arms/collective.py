"""Collective claims: at least how many groups of an attribute a candidate harms, or helps.

A claim is declared for every candidate, attribute and primary metric, in both directions. All claims of an
audit hold together with probability 1 - alpha (Bonferroni over the claims), beside the family of verdicts on
single groups. See `stats/groups/closed.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from evenhand.judge.core.evidence import PairedEstimate, Score, Wald
from evenhand.judge.core.moderation import moderate
from evenhand.judge.rows import NAN, CollectiveRow, ComparisonRow
from evenhand.judge.settings import Settings
from evenhand.judge.stats.groups import closed
from evenhand.judge.stats.moderated import RunCells
from evenhand.judge.stats.paired import ScorePaired, WaldPaired, stack
from evenhand.tables.schema import BoolArray, FloatArray, Predictions

#: The two ways in which a claim is tested, as a row names them.
SETS, SINGLE = "closed testing over sets of groups", "Holm over single groups"

#: Candidate, attribute, class and metric.
Key = tuple[str, str, str | None, str]


def collective_claims(
    pairs: Sequence[PairedEstimate],
    comparisons: Sequence[ComparisonRow],
    predictions: Predictions,
    settings: Settings,
) -> list[CollectiveRow]:
    """Count the groups that each candidate harms or helps, at least, in each primary metric with a direction.

    A group is harmed if it is worse off, unless its own interval shows that the loss is below the margin.

    Args:
        pairs: all comparisons.
        comparisons: their rows of the result.
        predictions: the rows, with the attributes.
        settings: what is primary, and the level.
    """
    family = [p for p in pairs if p.identity.attribute is not None and p.identity.metric in settings.declared]
    members: dict[Key, list[PairedEstimate]] = {}
    for pair in moderate(family):
        who = pair.identity
        if who.direction and who.group is not None and who.attribute is not None:
            members.setdefault((who.candidate, who.attribute, who.class_name, who.metric), []).append(pair)
    rows = {(r.candidate, r.attribute, r.class_name, r.metric, r.group): r for r in comparisons}
    distinct = {(*key[:3], of_groups[0].identity.complement_key) for key, of_groups in members.items()}
    level = settings.alpha / max(2 * len(distinct), 1)
    united = _unite(members, predictions)
    claims = []
    for key, of_groups in members.items():
        judged = [rows[*key, p.identity.group] for p in of_groups]
        usable = [isinstance(p.evidence, Score | Wald) for p in of_groups]
        tests = Tests([p for p, use in zip(of_groups, usable, strict=True) if use], united.get(key), level)
        claims += [_row(word, key, judged, tests, settings.alpha) for word in ("harm", "help")]
    return claims


@dataclass(frozen=True)
class United:
    """A candidate on all sets of groups of an attribute.

    Attributes:
        sets: [m, G] the groups of each set.
        cells: the runs of all arms, with the sets as columns; None where runs are too few.
        arm: the candidate's index in the cells.
    """

    sets: BoolArray
    cells: RunCells | None
    arm: int


def _unite(members: Mapping[Key, list[PairedEstimate]], p: Predictions) -> dict[Key, United]:
    """Unite the groups of every set where they are disjoint, few, and of equal, independent rows."""
    if p.weighted or p.resplit or p.cluster is not None:
        return {}
    disjoint = {a.name for a in p.attributes if a.kind != "memberships"}
    scores: dict[tuple[str, str | None, str], dict[Key, list[Score]]] = {}
    for key, pairs in members.items():
        of_groups = [q.evidence for q in pairs if isinstance(q.evidence, Score)]
        if key[1] in disjoint and 1 < len(of_groups) <= closed.MAX_GROUPS:
            scores.setdefault(key[1:], {})[key] = of_groups
    united = {}
    for of_arms in scores.values():
        sets = closed.sets_of(len(next(iter(of_arms.values()))))
        of_runs = {key: s for key, s in of_arms.items() if all(e.runs is not None for e in s)}
        cells = closed.unite_cells(_cells(list(of_runs.values())), sets) if of_runs else None
        arms = {key: arm for arm, key in enumerate(of_runs, 1)}
        for key in of_arms:
            united[key] = United(sets, cells if key in arms else None, arms.get(key, 0))
    return united


def _cells(candidates: list[list[Score]]) -> RunCells:
    """Arrange the runs of the reference and of some candidates, with the groups as columns."""
    runs = [[e.runs for e in of_groups if e.runs is not None] for of_groups in candidates]
    values = [[r.values[0] for r in runs[0]], *([r.values[1] for r in of_arm] for of_arm in runs)]
    flips = [[r.flips[0] for r in runs[0]], *([r.flips[1] for r in of_arm] for of_arm in runs)]
    unknown = [float("nan")] * len(runs[0])
    return RunCells(
        [np.array(v) for v in values],
        np.array(flips),
        np.array([r.rows for r in runs[0]]),
        np.arange(len(runs[0])),
        0,
        np.array([True, *(of_arm[0].paired for of_arm in runs)]),
        np.array([unknown, *([r.flips_of_difference for r in of_arm] for of_arm in runs)]),
    )


@dataclass(frozen=True)
class Tests:
    """The tests behind a claim, of single groups and of sets of them.

    Attributes:
        pairs: the groups that can be compared.
        united: their sets; None where only single groups are tested.
        level: of the claim.
    """

    pairs: Sequence[PairedEstimate]
    united: United | None
    level: float

    @cached_property
    def singles(self) -> tuple[FloatArray, FloatArray]:
        """[G] differences of the groups and their two-sided p-values."""
        of_score = [p.evidence.estimate for p in self.pairs if isinstance(p.evidence, Score)]
        of_wald = [p.evidence.estimate for p in self.pairs if isinstance(p.evidence, Wald)]
        estimates: ScorePaired | WaldPaired = stack(of_score) if of_score else stack(of_wald)
        return estimates.difference, estimates.p_values()

    @cached_property
    def sets(self) -> ScorePaired | None:
        """The comparisons on all rows of each set."""
        if self.united is None:
            return None
        groups = stack([p.evidence.estimate for p in self.pairs if isinstance(p.evidence, Score)])
        return closed.compare_sets(groups, self.united.cells, self.united.arm, self.united.sets)

    @cached_property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """[m] limits of each set, at the level of the claim."""
        assert self.sets is not None
        return self.sets.interval(self.level)

    @cached_property
    def every(self) -> tuple[FloatArray, FloatArray] | None:
        """[1] difference on the rows of all groups and its two-sided p-value; None without sets."""
        if self.sets is None:
            return None
        groups = closed.all_groups(self.sets)
        return groups.difference, groups.p_values()

    def count(self, direction: int, selected: BoolArray) -> int:
        """Return the lower bound for the number of selected groups that differ in a direction."""
        singles = closed.one_sided(*self.singles, direction)
        if self.united is None:
            return closed.holm_selected(singles, selected, self.level)
        low, high = self.limits
        rejected = low > 0 if direction > 0 else high < 0
        return closed.count_selected(singles, rejected, self.united.sets, selected, self.level)

    def p_value(self, direction: int) -> float:
        """Return the p-value of "at least one group": small where the claim counts any."""
        singles = closed.one_sided(*self.singles, direction)
        least = len(singles) * float(singles.min())
        if self.every is None:
            return min(least, 1.0)
        p_value = closed.one_sided(*self.every, direction)
        return min(2 * min(least, float(p_value[0])), 1.0)


def _row(
    word: Literal["harm", "help"],
    key: Key,
    judged: Sequence[ComparisonRow],
    tests: Tests,
    alpha: float,
) -> CollectiveRow:
    """Build the row of one claim from the rows of its groups and the tests."""
    usable = {p.identity.group for p in tests.pairs}
    of_groups = [r for r in judged if r.group in usable]
    row = CollectiveRow(
        reference=judged[0].reference,
        candidate=key[0],
        attribute=key[1],
        class_name=key[2],
        metric=key[3],
        claim=word,
        at_least=0,
        groups_used=[str(r.group) for r in of_groups],
        groups_left_out=[
            {"group": str(r.group), "reason": r.reason} for r in judged if r.group not in usable
        ],
        level=1 - alpha,
        runs=judged[0].runs,
        unit="rows" if any(r.unit == "rows" for r in of_groups) else "rows and runs",
    )
    if len(of_groups) < 2:
        return replace(row, status="undefined", reason="fewer than two groups can be compared")
    better = tests.pairs[0].identity.direction
    direction = better if word == "help" else -better
    p_value = tests.p_value(direction)
    low = high = difference = NAN
    if tests.sets is not None:
        low, high = (float(v[-1]) for v in tests.limits)
        difference = float(tests.sets.difference[-1])
    return replace(
        row,
        at_least=tests.count(direction, ~np.array([_within_margin(r) for r in of_groups])),
        test=SINGLE if tests.sets is None else SETS,
        p_value=p_value,
        p_adjusted=min(p_value * alpha / tests.level, 1.0),
        difference=difference,
        low=low,
        high=high,
    )


def _within_margin(row: ComparisonRow) -> bool:
    """Return whether a group's own interval shows that a loss, or any difference, is below the margin."""
    return row.verdict == "harmless" or row.equivalent is True

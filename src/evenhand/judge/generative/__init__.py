"""Measures of generated texts and of likelihoods of answer options.

Each file here is a set of measures; it defines `INFO` (a `GenerativeInfo`) and `compute(answers)`, where
answers are `Generations` or `Chosen` options. It returns `MetricByGroup` numbers: values of every arm by
group, with the influence value of each row. Intervals, clusters, runs, families and verdicts are then those
of any audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from evenhand.judge.core import estimates as counts
from evenhand.judge.core.estimates import Group, Observed
from evenhand.judge.metrics import NO_ROWS, Estimate, Measure, MetricInfo, Sample, ratio
from evenhand.tables.schema import Arm, ArmRun, Attribute, BoolArray, IntArray, Predictions

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class GenerativeInfo:
    """Facts about a set of measures.

    Attributes:
        title: its name in a report.
        needs: the kind of table that it is computed from.
        measures: its numbers, by their names in results.
        primary: the measures that get verdicts unless the call names others.
        reference: definition or source.
    """

    title: str
    needs: Literal["generations", "likelihoods"]
    measures: Mapping[str, MetricInfo]
    primary: tuple[str, ...]
    reference: str


@dataclass(frozen=True)
class MetricByGroup:
    """One number of every arm by group, the input of rates, comparisons and families.

    Attributes:
        measure: its name and facts.
        predictions: the rows; all numbers of one family share them.
        groups: the groups.
        observed: [arm][group] values and influence values.
        class_name: the class (option, rendering) that it describes, if any.
    """

    measure: Measure
    predictions: Predictions
    groups: list[Group]
    observed: list[list[Observed]]
    class_name: str | None = None


@dataclass(frozen=True)
class RateByGroup:
    """A rate over eligible rows, computed by the code of any metric.

    Attributes:
        measure: its name, facts and formula.
        predictions: the rows with the answers; all rates of one table share their order and clusters.
        eligible: [n] mask of the rows that it covers, independent of the answers; None for all rows.
        class_name: the class that it describes, if any.
    """

    measure: Measure
    predictions: Predictions
    eligible: BoolArray | None = None
    class_name: str | None = None

    def evaluate(self, attributes: Sequence[Attribute | None]) -> MetricByGroup:
        """Compute the rate in every group of these attributes; None stands for all rows."""
        return self.evaluate_groups([g for a in attributes for g in self.groups(a)])

    def evaluate_groups(self, groups: list[Group]) -> MetricByGroup:
        """Compute the rate in some of its groups."""
        p = self.predictions
        observed = [[counts.observe(self.measure, arm, g, p, 0) for g in groups] for arm in p.arms]
        return MetricByGroup(self.measure, p, groups, observed, self.class_name)

    def groups(self, attribute: Attribute | None) -> list[Group]:
        """Return every group of an attribute, with its eligible rows."""
        return [self._within(g) for g in counts.groups_of(attribute, self.predictions)]

    def _within(self, group: Group) -> Group:
        """Restrict a group to its eligible rows."""
        if self.eligible is None:
            return group
        rows = group.rows[self.eligible[group.rows]]
        return Group(group.attribute, group.name, rows, len(rows))


def arms_of(arm_runs: Sequence[ArmRun], answers: IntArray) -> tuple[Arm, ...]:
    """Build the arms with their answers.

    Args:
        arm_runs: the runs of the table.
        answers: [runs, n] codes.
    """
    names = dict.fromkeys(arm for arm, _ in arm_runs)
    runs = [tuple(run for a, run in arm_runs if a == arm) for arm in names]
    return tuple(Arm(*fields) for fields in zip(names, runs, by_arm(arm_runs, answers), strict=True))


def by_arm(arm_runs: Sequence[ArmRun], values: npt.NDArray[T]) -> list[npt.NDArray[T]]:
    """Split [runs, ...] values by arm: a list of [runs, ...] arrays."""
    names = dict.fromkeys(arm for arm, _ in arm_runs)
    return [values[[k for k, (a, _) in enumerate(arm_runs) if a == arm]] for arm in names]


def rows_of(
    classes: Sequence[str],
    label: IntArray,
    arms: tuple[Arm, ...],
    attributes: tuple[Attribute, ...],
    cluster: IntArray,
    *,
    resplit: bool = False,
) -> Predictions:
    """Build predictions of examples with weight 1 and a cluster each.

    Args:
        classes: names of the answers.
        label: [n] code of the answer that is right, or that is counted.
        arms: their answers, `ABSENT` where a run lacks the row.
        attributes: the groups.
        cluster: [n] code of each row's cluster.
        resplit: runs have different rows.
    """
    ones = np.ones(len(label))
    return Predictions(
        classes=tuple(classes),
        positive=None,
        label=label,
        arms=arms,
        attributes=attributes,
        count=ones,
        weight=ones,
        weight_squared=ones,
        cluster=cluster,
        resplit=resplit,
    )


def share_of(name: str, info: MetricInfo) -> Measure:
    """Return the share of rows whose answer equals the label, which holds the answer to count."""

    def compute(sample: Sample) -> Estimate:
        return ratio(sample, sample.answer == sample.true, None, NO_ROWS)

    return Measure(name, info, compute)


def share_info(title: str, direction: Literal[-1, 0, 1], reference: str) -> MetricInfo:
    """Return the facts about a share of rows."""
    return MetricInfo(
        title=title, direction=direction, range=(0, 1), needs="prediction", classes="whole",
        inference="score", reference=reference,
    )  # fmt: skip

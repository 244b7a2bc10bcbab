"""What is measured of generated texts and of likelihoods of answer options.

A file here is one thing measured; it defines `INFO` (a `GenerativeInfo`) and `compute(answers)`, where
answers are `Generations` or `Chosen` options. It gives `MetricByGroup` numbers: of every arm by group, with
the influence of each row. Intervals, clusters, runs, families and verdicts are then those of any audit.
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
from evenhand.tables.schema import Arm, Attribute, BoolArray, IntArray, Predictions

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class GenerativeInfo:
    """Facts about a thing measured.

    Attributes:
        title: its name in a report.
        needs: which table it is computed from.
        measures: its numbers, by the names they have in results.
        primary: those that get verdicts unless the call names others.
        reference: definition or source.
    """

    title: str
    needs: Literal["generations", "likelihoods"]
    measures: Mapping[str, MetricInfo]
    primary: tuple[str, ...]
    reference: str


@dataclass(frozen=True)
class MetricByGroup:
    """One number of every arm by group: what rates, comparisons and families are made of.

    Attributes:
        measure: its name and facts.
        predictions: the rows; all that belongs to one family shares them.
        groups: the groups.
        observed: [arm][group] values and influence values.
        class_name: which of several classes (options, renderings) it is about.
    """

    measure: Measure
    predictions: Predictions
    groups: list[Group]
    observed: list[list[Observed]]
    class_name: str | None = None


@dataclass(frozen=True)
class RateByGroup:
    """A rate that any metric's code can compute: answers of every row, and rows that it is about.

    Attributes:
        measure: its name, facts and formula.
        predictions: the rows with the answers; all that one table gives share their order and clusters.
        eligible: [n] rows that it is about, whatever the answers are; None is all of them.
        class_name: which of several classes it is about.
    """

    measure: Measure
    predictions: Predictions
    eligible: BoolArray | None = None
    class_name: str | None = None

    def evaluate(self, attributes: Sequence[Attribute | None]) -> MetricByGroup:
        """The rate in every group of these attributes; None is all rows."""
        return self.evaluate_groups([g for a in attributes for g in self.groups(a)])

    def evaluate_groups(self, groups: list[Group]) -> MetricByGroup:
        """The rate in some of its groups."""
        p = self.predictions
        observed = [[counts.observe(self.measure, arm, g, p, 0) for g in groups] for arm in p.arms]
        return MetricByGroup(self.measure, p, groups, observed, self.class_name)

    def groups(self, attribute: Attribute | None) -> list[Group]:
        """Every group of an attribute, with the rows that the rate is about."""
        return [self._within(g) for g in counts.groups_of(attribute, self.predictions)]

    def _within(self, group: Group) -> Group:
        """The group's rows that the rate is about."""
        if self.eligible is None:
            return group
        rows = group.rows[self.eligible[group.rows]]
        return Group(group.attribute, group.name, rows, len(rows))


def arms_of(places: Sequence[tuple[str, str]], answers: IntArray) -> tuple[Arm, ...]:
    """The arms with their answers.

    Args:
        places: the (arm, run) of each place.
        answers: [places, n] codes.
    """
    names = dict.fromkeys(arm for arm, _ in places)
    runs = [tuple(run for a, run in places if a == arm) for arm in names]
    return tuple(Arm(*fields) for fields in zip(names, runs, by_arm(places, answers), strict=True))


def by_arm(places: Sequence[tuple[str, str]], values: npt.NDArray[T]) -> list[npt.NDArray[T]]:
    """[arms] the values of each arm's runs, out of [places, ...]."""
    names = dict.fromkeys(arm for arm, _ in places)
    return [values[[k for k, (a, _) in enumerate(places) if a == arm]] for arm in names]


def rows_of(
    classes: Sequence[str],
    label: IntArray,
    arms: tuple[Arm, ...],
    attributes: tuple[Attribute, ...],
    cluster: IntArray,
    *,
    resplit: bool = False,
) -> Predictions:
    """Rows as judges take them: each an example of weight 1 in a cluster.

    Args:
        classes: names of the answers.
        label: [n] the answer that is right, or counted.
        arms: their answers, `ABSENT` where a run lacks the row.
        attributes: the groups.
        cluster: [n] code of each row's cluster.
        resplit: whether every run has rows of its own.
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
    """The share of rows whose answer is the label: labels hold the answer that is counted."""

    def compute(sample: Sample) -> Estimate:
        return ratio(sample, sample.answer == sample.true, None, NO_ROWS)

    return Measure(name, info, compute)


def share_info(title: str, direction: Literal[-1, 0, 1], reference: str) -> MetricInfo:
    """Facts about a share of rows."""
    return MetricInfo(
        title=title, direction=direction, range=(0, 1), needs="prediction", classes="whole",
        inference="score", reference=reference,
    )  # fmt: skip

"""What is measured of generated texts and of likelihoods of answer options.

A file here is one thing measured; it defines `INFO` (a `GenerativeInfo`) and `compute(table)`, which gives
`Measured` rates: for each row of the table whether it is a hit, as every arm and run answered it. Intervals,
groups, clusters, families and verdicts are those of any audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.judge.metrics import NO_ROWS, Estimate, Measure, MetricInfo, Sample, ratio
from evenhand.tables.schema import Arm, Attribute, BoolArray, IntArray, Predictions


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
class Measured:
    """One number of every arm, row by row.

    Attributes:
        measure: its name, facts and formula.
        predictions: the rows; all that one table gives share their order, clusters and attributes.
        eligible: [n] rows that it is about, whatever the answers are; None is all of them.
        class_name: which of several classes it is about.
    """

    measure: Measure
    predictions: Predictions
    eligible: BoolArray | None = None
    class_name: str | None = None


def arms_of(places: Sequence[tuple[str, str]], answers: IntArray) -> tuple[Arm, ...]:
    """The arms with their answers.

    Args:
        places: the (arm, run) of each place.
        answers: [places, n] codes.
    """
    return tuple(
        Arm(
            arm,
            tuple(run for a, run in places if a == arm),
            answers[[k for k, (a, _) in enumerate(places) if a == arm]],
        )
        for arm in dict.fromkeys(a for a, _ in places)
    )


def rows_of(
    classes: Sequence[str],
    label: IntArray,
    arms: tuple[Arm, ...],
    attributes: tuple[Attribute, ...],
    cluster: IntArray,
) -> Predictions:
    """Rows as judges take them: each an example of weight 1 in a cluster."""
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

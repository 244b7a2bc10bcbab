"""The observations of two arms in one group, from which pairs are built."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.judge.core.estimates import Group, Observed
from evenhand.judge.metrics import MetricInfo
from evenhand.judge.stats.combine import unit_of
from evenhand.tables.schema import Arm, Predictions


@dataclass(frozen=True)
class PairedArms:
    """Two arms' observations of one metric in one group, with the predictions behind them."""

    name: str
    info: MetricInfo
    class_name: str | None
    group: Group
    reference: Observed
    candidate: Observed
    reference_arm: Arm
    candidate_arm: Arm
    predictions: Predictions

    @property
    def unit(self) -> str:
        """The source of variation in the interval: `rows`, or `rows and runs`."""
        fewest = min(len(self.reference_arm.runs), len(self.candidate_arm.runs))
        return unit_of(fewest)

    @property
    def same_runs(self) -> bool:
        """True when the runs of both arms have the same names in the same order, and so share seeds."""
        return self.reference_arm.runs == self.candidate_arm.runs

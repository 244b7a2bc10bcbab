"""Two arms side by side in one group: what pairs are made of."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.judge.core.estimates import MIN_RUNS, Group, Observed
from evenhand.judge.metrics import MetricInfo
from evenhand.tables.schema import Arm, Predictions


@dataclass(frozen=True)
class PairedArms:
    """Two arms' observations of one metric in one group, and where they come from."""

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
        """What varies: rows, or rows and runs."""
        fewest = min(len(self.reference_arm.runs), len(self.candidate_arm.runs))
        return "rows and runs" if fewest >= MIN_RUNS else "rows"

    @property
    def same_runs(self) -> bool:
        """Whether the runs of both arms have the same names, in the same order."""
        return self.reference_arm.runs == self.candidate_arm.runs

"""The observations of two arms in one group, from which pairs are built."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.judge.core.estimates import Group, Observed
from evenhand.judge.metrics import MetricInfo
from evenhand.judge.stats.combine import Variation
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
    def same_seeds(self) -> bool:
        """True when the runs of both arms have the same names in the same order, and so share their seeds."""
        return self.reference_arm.runs == self.candidate_arm.runs

    def variation(self, row_dof: float) -> Variation:
        """Variation of the difference over runs, with the degrees of freedom of its part over rows.

        Runs that share their seeds are paired; otherwise the arms vary independently.
        """
        a, b = self.reference.values, self.candidate.values
        if self.same_seeds:
            return Variation.of_runs(row_dof, b - a)
        return Variation.of_runs(row_dof, a, b)

"""Differences between two arms before adjustment within a family, and the evidence for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, TypedDict

import numpy as np

from evenhand.judge.core.disparities.inputs import Maximum
from evenhand.judge.core.flips import Flips
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.metrics import MetricInfo
from evenhand.judge.rows import Status
from evenhand.judge.stats.combine import MIN_RUNS, MIN_RUNS_MODERATED, Variation, unit_of
from evenhand.judge.stats.paired import ScorePaired, WaldPaired
from evenhand.tables.schema import FloatArray, IntArray


@dataclass(frozen=True)
class RowInfluence:
    """Influence of rows on a difference, from which its correlation with other differences is computed.

    Attributes:
        rows: [n] indices of the rows.
        values: [n] change of the difference per unit of a row's weight.
    """

    rows: IntArray
    values: FloatArray


@dataclass(frozen=True)
class Missing:
    """No evidence: the difference is undefined, or it rests on too few rows for an interval."""

    status: Status
    reason: str


@dataclass(frozen=True)
class RunsOfArms:
    """The values of single runs of two arms, reference first, from which variances are moderated.

    Attributes:
        values: [runs] of each arm.
        flips: the variance of a run's value that flips of single answers give, in each arm.
        flips_of_difference: the same of the difference between runs of the same seed; NaN where not paired.
        rows: independent rows.
        paired: whether the runs of both arms share their seeds, in this order.
        size: in each arm, the square of what one flip moves a row by.
    """

    values: tuple[FloatArray, FloatArray]
    flips: tuple[float, float]
    flips_of_difference: float
    rows: float
    paired: bool
    size: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Score:
    """Shares of the same rows: Tango's interval and the exact test.

    Attributes:
        estimate: of a single difference; its fields have no axes.
        influence: None where too few rows differ to estimate correlations from.
        runs: None where runs are too few for a moderated variance, or have rows of their own.
        moderated: whether the estimate's variance over runs is moderated within its family.
        reference_share: share of the reference's runs in that variance; NaN unless moderated.
    """

    method: ClassVar[str] = "paired score (Tango)"
    estimate: ScorePaired
    influence: RowInfluence | None
    runs: RunsOfArms | None = None
    moderated: bool = False
    reference_share: float = float("nan")


@dataclass(frozen=True)
class Wald:
    """Influence values: normal or t limits.

    Attributes:
        estimate: of a single difference; its fields have no axes.
        influence: of each row; None in a family of metrics that refer to other rows.
        runs, moderated, reference_share: as of `Score`.
    """

    method: ClassVar[str] = "paired influence values"
    estimate: WaldPaired
    influence: RowInfluence | None
    runs: RunsOfArms | None = None
    moderated: bool = False
    reference_share: float = float("nan")


@dataclass(frozen=True)
class Swap:
    """Calibration errors: the variance comes from swaps of the arms within rows.

    Attributes:
        estimate: of a single difference; its fields have no axes.
        noise: the calibration error that noise of this size can hide.
    """

    method: ClassVar[str] = "arms swapped within rows"
    estimate: WaldPaired
    noise: float


@dataclass(frozen=True)
class Permutation:
    """A number that depends on the number of rows: at most a p-value, and no interval.

    Attributes:
        p_value: NaN where there is none, with the reason.
        status: of the difference.
        reason: of the status, or of the missing p-value.
    """

    p_value: float = float("nan")
    status: Status = "ok"
    reason: str = ""


@dataclass(frozen=True)
class Contrasts:
    """Disparities: simultaneous bounds of all contrasts between groups."""

    method: ClassVar[str] = "simultaneous contrasts"
    maximum: Maximum


#: Evidence that gives an interval, and any evidence.
Resolvable = Score | Wald | Swap | Contrasts
Evidence = Missing | Permutation | Resolvable


@dataclass(frozen=True)
class Identity:
    """Keys of a comparison, and the facts about its metric that a verdict needs.

    Attributes:
        candidate, attribute, group, class_name, metric: keys of a row of the result.
        complement_key: equal for metrics whose comparisons are the same test (a rate and its complement).
        direction: +1 when higher is better, -1 when lower is, 0 for neither.
        margin_rule: whether the default margin applies.
        span: largest minus smallest value of the metric.
    """

    candidate: str
    attribute: str | None
    group: str | None
    class_name: str | None
    metric: str
    complement_key: str
    direction: int
    margin_rule: bool
    span: float

    @classmethod
    def of(
        cls,
        candidate: str,
        group: tuple[str | None, str | None],
        class_name: str | None,
        metric: str,
        info: MetricInfo | DisparityInfo,
    ) -> Identity:
        """Return the identity of a difference in an (attribute, group)."""
        complement = info.complement if isinstance(info, MetricInfo) else None
        key, span = min(metric, complement or metric), info.range[1] - info.range[0]
        return cls(candidate, *group, class_name, metric, key, info.direction, info.margin, span)


class VarianceParts(TypedDict, total=False):
    """Parts of the variance of a difference, as fields of its row; absent where unknown.

    Keys:
        row_variance: over rows, at the present numbers of rows and runs, flips of single answers included.
        flip_variance: the part of it that more runs reduce as well; only of moderated variances.
        run_variance: what shifts of whole runs add; where variances are not moderated, with the flips.
        row_dof: degrees of freedom of the quantile for `row_variance`, where it is no normal quantile.
        run_dof: the same for `run_variance`.
        reference_share: share of the reference's runs in the variance over runs; only of moderated ones.
    """

    row_variance: float
    flip_variance: float
    run_variance: float
    row_dof: float
    run_dof: float
    reference_share: float


@dataclass(frozen=True)
class PairedEstimate:
    """One difference between a candidate and the reference.

    Attributes:
        identity: what is compared.
        difference: candidate minus reference; NaN when undefined.
        n: examples.
        runs: of the arm that has fewer.
        flips: numbers of rows whose answers change; NaN where answers are neither right nor wrong.
        evidence: the inputs of its interval and p-value.
    """

    identity: Identity
    difference: float
    n: int
    runs: int
    flips: Flips
    evidence: Evidence

    @property
    def unit(self) -> str:
        """The sources of variation in its interval."""
        moderated = isinstance(self.evidence, Score) and self.evidence.moderated
        return unit_of(self.runs, least=MIN_RUNS_MODERATED if moderated else MIN_RUNS)

    @property
    def influence(self) -> RowInfluence | None:
        """Influence of rows on the difference, where correlations can be estimated from it."""
        return self.evidence.influence if isinstance(self.evidence, Score | Wald) else None

    @property
    def run_variance(self) -> float:
        """Variance over runs; 0 for few runs and where it enters in another way."""
        match self.evidence:
            case Score(estimate) | Wald(estimate) | Swap(estimate):
                return float(estimate.variation.run_variance)
            case _:
                return 0.0

    def variance_parts(self) -> VarianceParts:
        """Return the parts of its variance, from which other numbers of rows and runs can be planned."""
        parts = VarianceParts()
        if not isinstance(self.evidence, Score | Wald | Swap):
            return parts
        estimate, variation = self.evidence.estimate, self.evidence.estimate.variation
        variance = estimate.row_variance
        parts["row_variance"] = float(variance(self.runs) if callable(variance) else variance)
        if np.isfinite(variation.row_dof):
            parts["row_dof"] = float(variation.row_dof)
        if self.unit != "rows and runs":
            return parts
        parts["run_variance"] = float(variation.run_variance)
        if np.isfinite(variation.run_dof):
            parts["run_dof"] = float(variation.run_dof)
        if isinstance(self.evidence, Score | Wald) and self.evidence.moderated:
            parts["flip_variance"] = float(variation.flip_variance)
            parts["reference_share"] = self.evidence.reference_share
        return parts

    def without_influence(self) -> PairedEstimate:
        """Return the difference as one that is independent of all others."""
        match self.evidence:
            case Score() | Wald() as evidence:
                return replace(self, evidence=replace(evidence, influence=None))
            case _:
                return self


def wald(difference: float, row_variance: float, variation: Variation) -> WaldPaired:
    """Return the estimate of a single difference."""
    return WaldPaired(np.asarray(difference), np.asarray(row_variance), variation)

"""What is to be judged, declared before the data are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from evenhand import registry
from evenhand.errors import CallError, nearest

METRICS, DISPARITIES = "evenhand.judge.metrics", "evenhand.judge.disparities"
GENERATIVE = "evenhand.judge.generative"
PRIMARY = ("accuracy", "true_positive_rate", "false_positive_rate")
MARGIN = 0.02


def metric_names() -> tuple[str, ...]:
    """Names of all metrics."""
    return registry.names(METRICS)


def disparity_names() -> tuple[str, ...]:
    """Names of all disparities."""
    return registry.names(DISPARITIES)


def measure_names() -> tuple[str, ...]:
    """Names of all that is measured of generations and likelihoods."""
    return tuple(
        m for name in registry.names(GENERATIVE) for m in registry.load(GENERATIVE, name).INFO.measures
    )


@dataclass(frozen=True)
class Settings:
    """How to judge. All are fixed before a row is read, so that no choice depends on what it shows.

    Attributes:
        reference: name of the reference arm; None is the first one.
        metrics: metrics and disparities to compute; empty means all that the data allow.
        primary: metrics and disparities whose comparisons get verdicts; empty means accuracy, true and
            false positive rate, or what `metrics` leaves of them, or else all that `metrics` names.
        margin: the largest harmless difference of rates on [0, 1].
        margins: margins of single metrics, which go before `margin`.
        alpha: 1 - alpha is the simultaneous level of each family of intervals.
        min_group_size: smaller groups keep their rows and are left out of disparities and verdicts.
        rng: seed of every random draw.
    """

    reference: str | None = None
    metrics: tuple[str, ...] = ()
    primary: tuple[str, ...] = ()
    margin: float = MARGIN
    margins: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    alpha: float = 0.05
    min_group_size: int = 10
    rng: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, all at once."""
        known = (*metric_names(), *disparity_names(), *measure_names())
        bad = [
            f"{option}: {name!r} is no metric and no disparity: {nearest(name, known)}"
            for option, given in (("--metric", self.metrics), ("--primary", self.primary))
            for name in given
            if name not in known
        ]
        bad += [
            f"--margin: {name!r} is no metric and no disparity: {nearest(name, known)}"
            for name in self.margins
            if name not in known
        ]
        bad += [
            f"--margin {name}: got {value}; a margin is a number above 0."
            for name, value in {"": self.margin, **self.margins}.items()
            if not (math.isfinite(value) and value > 0)
        ]
        if not 0 < self.alpha < 1:
            bad.append(f"--alpha: got {self.alpha}; alpha lies between 0 and 1 (0.05 gives 95 % intervals).")
        if self.min_group_size < 1:
            bad.append(f"--min-group-size: got {self.min_group_size}; it is at least 1.")
        if self.rng < 0:
            bad.append(f"--rng: got {self.rng}; the seed is an integer of at least 0.")
        if bad:
            raise CallError(bad)

    def refuse_names(self, known: Sequence[str], kind: str) -> None:
        """Complain of metrics and margins that this kind of table does not have.

        Raises:
            CallError: there are such.
        """
        asked = {"--metric": self.metrics, "--primary": self.primary, "--margin": tuple(self.margins)}
        wrong = [
            f"{option}: {name!r} is not measured of {kind}: {nearest(name, known)}"
            for option, names in asked.items()
            for name in names
            if name not in known
        ]
        if wrong:
            raise CallError(wrong)

    @property
    def declared(self) -> tuple[str, ...]:
        """The primary metrics and disparities."""
        if self.primary:
            return self.primary
        if not self.metrics:
            return PRIMARY
        return tuple(name for name in PRIMARY if name in self.metrics) or self.metrics

    @property
    def chosen_metrics(self) -> tuple[str, ...]:
        """Metrics to compute."""
        wanted = {*self.metrics, *self.declared}
        return tuple(n for n in metric_names() if not self.metrics or n in wanted)

    @property
    def chosen_disparities(self) -> tuple[str, ...]:
        """Disparities to compute."""
        wanted = {*self.metrics, *self.declared}
        return tuple(n for n in disparity_names() if not self.metrics or n in wanted)

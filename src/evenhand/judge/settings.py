"""Settings of an audit, declared before the data are read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from evenhand import registry
from evenhand.errors import CallError, nearest
from evenhand.spec.sections.margins import (
    RATE_RANGE,
    alpha_fault,
    format_number,
    integer_fault,
    margin_fault,
    range_of,
    to_python_number,
)

METRICS, DISPARITIES = "evenhand.judge.metrics", "evenhand.judge.disparities"
GENERATIVE = "evenhand.judge.generative"
PRIMARY = ("accuracy", "true_positive_rate", "false_positive_rate")
MARGIN = 0.02
#: The name of all rows together, beside the names of attributes.
OVERALL = "overall"
ERROR_RATES = ("familywise", "false_discovery")
#: The scoring behind the headline numbers of likelihood tables, unless the call names another.
SCORING = "raw"


def metric_names() -> tuple[str, ...]:
    """Names of all metrics."""
    return registry.names(METRICS)


def disparity_names() -> tuple[str, ...]:
    """Names of all disparities."""
    return registry.names(DISPARITIES)


def measure_names() -> tuple[str, ...]:
    """Names of all measures of generations and likelihoods."""
    return tuple(
        m for name in registry.names(GENERATIVE) for m in registry.load(GENERATIVE, name).INFO.measures
    )


@dataclass(frozen=True)
class Settings:
    """Settings of an audit. All are fixed before a row is read, so that no choice depends on the data.

    Attributes:
        reference: name of the reference arm; None is the first one.
        metrics: metrics and disparities to compute; empty means all that the data allow.
        primary: metrics and disparities whose comparisons get verdicts; empty means accuracy, true and
            false positive rate, or what `metrics` leaves of them, or else all that `metrics` names.
        margin: the largest harmless difference of rates on [0, 1].
        margins: margins of single metrics, which go before `margin`.
        alpha: the error rate of each family: 1 - alpha is the simultaneous level of its intervals.
        error_rate: `familywise`, the probability of any wrong claim in a family, or `false_discovery`, the
            expected share of wrong ones among its claims.
        attribute_weights: share of alpha, relative to the others, of the primary comparisons of an attribute,
            with `overall` for those of all rows: each attribute is then a family of its own. Attributes that
            are not named have weight 1, and all rows together 0. Empty: one family of all attributes.
        min_group_size: smaller groups keep their rows and are left out of disparities and verdicts.
        rng: seed of every random draw.
        average: methods, or patterns of arms, whose arms are compared with the reference on average.
    """

    reference: str | None = None
    metrics: tuple[str, ...] = ()
    primary: tuple[str, ...] = ()
    margin: float = MARGIN
    margins: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    alpha: float = 0.05
    error_rate: str = "familywise"
    attribute_weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    min_group_size: int = 10
    rng: int = 0
    average: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check all values; report all problems together."""
        known = (*metric_names(), *disparity_names(), *measure_names())
        complaints = [
            f"{option}: unknown metric or disparity {name!r}; {nearest(name, known)}"
            for option, names in (("--metric", self.metrics), ("--primary", self.primary))
            for name in names
            if name not in known
        ]
        complaints += self._margin_complaints()
        complaints += self._weight_complaints()
        if self.error_rate not in ERROR_RATES:
            advice = nearest(str(self.error_rate), ERROR_RATES)
            complaints.append(f"--error-rate: unknown error rate {self.error_rate!r}; {advice}")
        options = {
            "--alpha": alpha_fault(self.alpha),
            "--min-group-size": integer_fault(self.min_group_size, 1, "it is an integer of at least 1"),
            "--rng": integer_fault(self.rng, 0, "the seed is an integer of at least 0"),
        }
        complaints += [f"{option}: {fault}" for option, fault in options.items() if fault is not None]
        twice = sorted({name for name in self.average if self.average.count(name) > 1})
        complaints += [f"--average {name!r} is given twice." for name in twice]
        if complaints:
            raise CallError(complaints)
        for name in ("margin", "alpha", "min_group_size", "rng"):
            object.__setattr__(self, name, to_python_number(getattr(self, name)))
        margins = {name: to_python_number(value) for name, value in self.margins.items()}
        object.__setattr__(self, "margins", MappingProxyType(margins))
        weights = {name: to_python_number(value) for name, value in self.attribute_weights.items()}
        object.__setattr__(self, "attribute_weights", MappingProxyType(weights))

    def _weight_complaints(self) -> Iterator[str]:
        """Yield a complaint for each weight that is no number of at least 0."""
        for name, value in self.attribute_weights.items():
            number = to_python_number(value)
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
                shown = format_number(value)
                yield f"--attribute-weight {name}={shown}: got {shown}; a weight is a number of at least 0."

    def alpha_shares(self, attributes: Sequence[str]) -> dict[str | None, float]:
        """Return the share of alpha of each attribute whose comparisons are judged; None is all rows.

        Args:
            attributes: names of the attributes of the data.

        Raises:
            CallError: a weight names no attribute, or all weights are 0.
        """
        known = [*attributes, OVERALL]
        unknown = [name for name in self.attribute_weights if name not in known]
        if unknown:
            raise CallError(
                [f"--attribute-weight: no attribute {name!r}; {nearest(name, known)}" for name in unknown]
            )
        weights: dict[str | None, float] = {a: self.attribute_weights.get(a, 1.0) for a in attributes}
        weights[None] = self.attribute_weights.get(OVERALL, 0.0 if attributes else 1.0)
        total = sum(weights.values())
        if total <= 0:
            raise CallError("--attribute-weight: all weights are 0; give a positive one to what is judged.")
        return {name: weight / total for name, weight in weights.items() if weight > 0}

    def _margin_complaints(self) -> Iterator[str]:
        """Yield a complaint for each margin that is invalid, out of range, or for a metric not computed."""
        fault = margin_fault(self.margin, RATE_RANGE, "accuracy and other rates are")
        if fault is not None:
            yield f"--margin {format_number(self.margin)}: {fault}"
        known = (*metric_names(), *disparity_names(), *measure_names())
        computed = {*self.metrics, *self.primary}
        for name, value in self.margins.items():
            fault = margin_fault(value, range_of(name), f"{name} is")
            if name not in known:
                fault = f"unknown metric or disparity {name!r}; {nearest(str(name), known)}"
            elif fault is None and self.metrics and name not in computed:
                fault = f"{name} is not computed; --metric names only {', '.join(self.metrics)}."
            if fault is not None:
                yield f"--margin {name}={format_number(value)}: {fault}"

    def refuse_names(self, known: Sequence[str], kind: str) -> None:
        """Refuse metrics and margins that this kind of table does not have.

        Args:
            known: the metrics of this kind of table.
            kind: `predictions`, `generations` or `likelihoods`, for the message.

        Raises:
            CallError: a name is not known; all such names are reported together.
        """
        options = {"--metric": self.metrics, "--primary": self.primary, "--margin": tuple(self.margins)}
        complaints = [
            f"{option}: {name!r} is not a metric of {kind}; {nearest(name, known)}"
            for option, names in options.items()
            for name in names
            if name not in known
        ]
        if self.average and kind != "predictions":
            complaints.append(f"--average: the arms of {kind} are not averaged; leave it out.")
        if complaints:
            raise CallError(complaints)

    def averaged(self, arms: Sequence[str], reference: int) -> dict[str, list[str]]:
        """Return the candidate arms of each average: those of a method, or those that match a pattern.

        Args:
            arms: names of all arms.
            reference: index of the reference arm.
        """
        candidates = [name for i, name in enumerate(arms) if i != reference]
        return {name: [arm for arm in candidates if _is_of(arm, name)] for name in self.average}

    def refuse_averages(self, arms: Sequence[str], reference: int) -> None:
        """Refuse averages of fewer than two arms.

        Args:
            arms: names of all arms.
            reference: index of the reference arm.

        Raises:
            CallError: an average has too few arms; all such averages are reported together.
        """
        known = list(dict.fromkeys(name.partition("[")[0] for name in arms))
        complaints = []
        for name, chosen in self.averaged(arms, reference).items():
            if len(chosen) < 2:
                count = f"only {chosen[0]!r} is" if chosen else "no arm but the reference is"
                near = nearest(name, known)
                complaints.append(
                    f"--average {name!r}: {count} of this name (NAME, NAME[...], or a pattern such as "
                    f"'lora*'); an average takes two candidate arms or more; {near}"
                )
        if complaints:
            raise CallError(complaints)

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
        requested = {*self.metrics, *self.declared}
        return tuple(n for n in metric_names() if not self.metrics or n in requested)

    @property
    def chosen_disparities(self) -> tuple[str, ...]:
        """Disparities to compute."""
        requested = {*self.metrics, *self.declared}
        return tuple(n for n in disparity_names() if not self.metrics or n in requested)

    @property
    def computed_metrics(self) -> tuple[str, ...]:
        """The chosen metrics, and those that the chosen disparities are computed from."""
        parts = _metrics_of(self.chosen_disparities)
        return tuple(n for n in metric_names() if n in parts or n in self.chosen_metrics)

    @property
    def names_scores(self) -> bool:
        """True when the call names a metric of scores, or a disparity of such a metric."""
        named = {*self.metrics, *self.primary}
        return any(needs_scores(name) for name in (named | _metrics_of(named)) & {*metric_names()})

    def refuse_scores(self) -> None:
        """Refuse metrics of scores that the call names; those that are computed by default are skipped.

        Raises:
            CallError: the call names one.
        """
        named = dict.fromkeys((*self.metrics, *self.primary, *self.margins))
        lacking = [name for name in named if name in metric_names() and needs_scores(name)]
        if lacking:
            what = ", ".join(lacking)
            raise CallError(
                f"{what}: needs scores, and not every table has them; name their column with --score."
            )

    def reference_index(self, arms: Sequence[str]) -> int:
        """Find the reference among the arms.

        Raises:
            CallError: no arm has the name of the reference.
        """
        if self.reference is None:
            return 0
        if self.reference not in arms:
            near = nearest(self.reference, arms)
            raise CallError(f"--reference: no arm is called {self.reference!r}; {near}")
        return arms.index(self.reference)


def _is_of(arm: str, name: str) -> bool:
    """Return whether an arm is of a method, or matches a pattern in which a star stands for any text."""
    if "*" not in name:
        return arm == name or arm.startswith(f"{name}[")
    return re.fullmatch(".*".join(map(re.escape, name.split("*"))), arm) is not None


def needs_scores(metric: str) -> bool:
    """Return True for a metric that is computed from scores."""
    return bool(registry.load(METRICS, metric).INFO.needs == "score")


def _metrics_of(disparities: Iterable[str]) -> set[str]:
    """Return the metrics that these disparities are computed from; other names are ignored."""
    known = {*disparity_names()}
    return {m for d in disparities if d in known for m in registry.load(DISPARITIES, d).INFO.of}

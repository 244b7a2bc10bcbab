"""Settings of an attack, declared before the signals are read, and the names of its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evenhand import registry
from evenhand.errors import CallError, nearest
from evenhand.judge.attacks import ATTACKS, attack_name
from evenhand.judge.metrics import MetricInfo
from evenhand.judge.settings import MARGIN
from evenhand.spec.base import Frozen
from evenhand.spec.sections.margins import (
    RATE_RANGE,
    alpha_fault,
    format_number,
    integer_fault,
    margin_fault,
    to_python_number,
)

AUC, BALANCED = "roc_auc", "balanced_accuracy"
FPRS = (0.001, 0.01, 0.05)
DEFAULT_FPR = 0.01
_PREFIX = "true_positive_rate_at_fpr_"


def at_fpr(fpr: float) -> str:
    """Name of the true positive rate at the false positive rate `fpr`."""
    return f"{_PREFIX}{fpr:g}"


def measure(name: str) -> MetricInfo | None:
    """Return the facts about a number of an attack, or None for an unknown name. Larger values are worse."""
    titles = {AUC: "AUC of the attack", BALANCED: "balanced accuracy of the attack"}
    title = titles.get(name)
    if title is None and name.startswith(_PREFIX):
        title = f"TPR at {100 * float(name.removeprefix(_PREFIX)):g} % FPR"
    if title is None:
        return None
    reference = "Carlini et al. 2022, https://arxiv.org/abs/2112.03570"
    return MetricInfo(title, -1, (0, 1), "score", "whole", "wald", reference)


@dataclass(frozen=True)
class PrivacySettings:
    """Settings of attacks and their judgement, fixed before any row is read: no choice depends on the data.

    Attributes:
        attacks: names and options; empty means all that the signals and references allow.
        reference: name of the reference arm; None for the first one.
        primary: numbers whose comparisons get verdicts; empty means the AUC and the true positive rate at 1 %
            FPR, or else at the smallest of `fprs`.
        margin: the largest harmless difference; all numbers are on the scale from 0 to 1.
        alpha: 1 - alpha is the simultaneous level of each family of intervals.
        fprs: false positive rates at which true positive rates are reported.
        min_group_size: groups with fewer members, or fewer non-members where these count, keep their rows and
            get no verdict.
        rng: seed of every random draw.
        permutations: number of permutations of membership, for the control of disparate vulnerability.
    """

    attacks: tuple[tuple[str, Frozen], ...] = ()
    reference: str | None = None
    primary: tuple[str, ...] = ()
    margin: float = MARGIN
    alpha: float = 0.05
    fprs: tuple[float, ...] = FPRS
    min_group_size: int = 10
    rng: int = 0
    permutations: int = 499

    def __post_init__(self) -> None:
        """Refuse invalid values, all together."""
        complaints = list(self._of_attacks())
        if not self.fprs or not all(0 < f < 1 for f in self.fprs) or len(set(self.fprs)) < len(self.fprs):
            complaints.append(
                f"--fpr: got {list(self.fprs)}; give different rates between 0 and 1, such as 0.01."
            )
        complaints += [
            f"--primary: unknown number of an attack {name!r}: {nearest(name, self.metrics)}"
            for name in self.primary
            if name not in self.metrics
        ]
        fault = margin_fault(self.margin, RATE_RANGE, f"{AUC} and the other numbers of an attack are")
        if fault is not None:
            complaints.append(f"--margin {format_number(self.margin)}: {fault}")
        options = {
            "--alpha": alpha_fault(self.alpha),
            "--min-group-size": integer_fault(self.min_group_size, 1, "it is an integer of at least 1"),
            "--permutations": integer_fault(
                self.permutations, 19, "it is an integer, and a p-value of 0.05 takes at least 19"
            ),
            "--rng": integer_fault(self.rng, 0, "the seed is an integer of at least 0"),
        }
        complaints += [f"{option}: {fault}" for option, fault in options.items() if fault is not None]
        if complaints:
            raise CallError(complaints)
        for name in ("margin", "alpha", "min_group_size", "rng", "permutations"):
            object.__setattr__(self, name, to_python_number(getattr(self, name)))

    def _of_attacks(self) -> Iterable[str]:
        names: set[str] = set()
        for name, config in self.attacks:
            if name not in registry.names(ATTACKS):
                registry.load(ATTACKS, name)
            if attack_name(name, config) in names:
                yield f"--attack: {attack_name(name, config)!r} is given twice."
            names.add(attack_name(name, config))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all numbers that an attack reports."""
        return (AUC, BALANCED, *(at_fpr(f) for f in self.fprs))

    @property
    def declared(self) -> tuple[str, ...]:
        """The primary numbers."""
        if self.primary:
            return self.primary
        return (AUC, at_fpr(DEFAULT_FPR if DEFAULT_FPR in self.fprs else min(self.fprs)))

"""What is to be judged of attacks, declared before the signals are read; and what its numbers are called."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from evenhand import registry
from evenhand.errors import CallError, nearest
from evenhand.judge.attacks import ATTACKS, named
from evenhand.judge.settings import MARGIN
from evenhand.spec.base import Frozen

AUC, BALANCED = "roc_auc", "balanced_accuracy"
FPRS = (0.001, 0.01, 0.05)


def at_fpr(fpr: float) -> str:
    """The name of the true positive rate where the false positive rate is `fpr`."""
    return f"true_positive_rate_at_fpr_{fpr:g}"


@dataclass(frozen=True)
class PrivacySettings:
    """How to attack and judge. All are fixed before a row is read, so that no choice depends on what it shows.

    Attributes:
        attacks: names and options; empty means all that the signals and references allow.
        reference: name of the reference arm; None is the first one.
        primary: numbers whose comparisons get verdicts.
        margin: the largest harmless difference; all numbers lie on [0, 1].
        alpha: 1 - alpha is the simultaneous level of each family of intervals.
        fprs: false positive rates at which true positive rates are told.
        min_group_size: groups with fewer members, or fewer non-members where these count, keep their rows and
            get no verdict.
        rng: seed of every random draw.
        permutations: of membership, for the control of disparate vulnerability.
    """

    attacks: tuple[tuple[str, Frozen], ...] = ()
    reference: str | None = None
    primary: tuple[str, ...] = (AUC, at_fpr(0.01))
    margin: float = MARGIN
    alpha: float = 0.05
    fprs: tuple[float, ...] = FPRS
    min_group_size: int = 10
    rng: int = 0
    permutations: int = 1000

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, all at once."""
        bad = list(self._of_attacks())
        if not self.fprs or not all(0 < f < 1 for f in self.fprs) or len(set(self.fprs)) < len(self.fprs):
            bad.append(f"--fpr: got {list(self.fprs)}; give different rates between 0 and 1, such as 0.01.")
        bad += [
            f"--primary: {name!r} is none of the numbers of an attack: {nearest(name, self.metrics)}"
            for name in self.primary
            if name not in self.metrics
        ]
        if not (math.isfinite(self.margin) and self.margin > 0):
            bad.append(f"--margin: got {self.margin}; a margin is a number above 0.")
        if not 0 < self.alpha < 1:
            bad.append(f"--alpha: got {self.alpha}; alpha lies between 0 and 1 (0.05 gives 95 % intervals).")
        if self.min_group_size < 1:
            bad.append(f"--min-group-size: got {self.min_group_size}; it is at least 1.")
        if self.permutations < 19:
            bad.append(f"--permutations: got {self.permutations}; a p-value of 0.05 takes at least 19.")
        if self.rng < 0:
            bad.append(f"--rng: got {self.rng}; the seed is an integer of at least 0.")
        if bad:
            raise CallError(bad)

    def _of_attacks(self) -> Iterable[str]:
        seen: set[str] = set()
        for name, config in self.attacks:
            if name not in registry.names(ATTACKS):
                registry.load(ATTACKS, name)
            if named(name, config) in seen:
                yield f"--attack: {named(name, config)!r} is given twice."
            seen.add(named(name, config))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all numbers that an attack is told in."""
        return (AUC, BALANCED, *(at_fpr(f) for f in self.fprs))

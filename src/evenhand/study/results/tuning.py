"""Of the trials of an arm the one that is judged: chosen on validation rows, before a test row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from evenhand.spec.study import Arm, Trial
from evenhand.store.runs import State
from evenhand.study.plan import Planned


@dataclass(frozen=True)
class Tried:
    """One trial of an arm on one model.

    Attributes:
        trial: what was tried.
        runs: seed -> its run, and how that stands.
    """

    trial: Trial
    runs: Mapping[int, tuple[Planned, State]]

    def scores(self) -> dict[int, tuple[float | None, float]]:
        """Accuracy and loss on the validation rows, of every finished run that measured them, by seed.

        Accuracy is None where nothing is classified.
        """
        found = {}
        for seed, (_, state) in self.runs.items():
            measured = (
                state.record["facts"].get("validation")
                if state.status == "finished" and state.record
                else None
            )
            if measured and measured["loss"] is not None:
                found[seed] = (measured["accuracy"], measured["loss"])
        return found

    def row(self, arm: str, *, chosen: bool) -> dict[str, Any]:
        """The trial in the document: means over its finished runs, null where there is none."""
        scores = list(self.scores().values())
        return {
            "arm": arm,
            "trial": self.trial.values,
            "accuracy": _mean([accuracy for accuracy, _ in scores]),
            "loss": _mean([loss for _, loss in scores]),
            "runs": len(scores),
            "chosen": chosen,
        }


def choose(trials: Sequence[Tried]) -> tuple[Tried | None, list[str]]:
    """Choose the trial of the highest mean accuracy; of equal ones that of the lower loss, then the first.

    Where nothing is classified, the loss decides: the mean over the tokens of the validation rows.

    Only trials with all seeds are compared. Where none has them all, those with the most are, over the
    seeds that they share.

    Args:
        trials: all of an arm, in the order of the study.

    Returns:
        The trial, if any run is finished, and what is worth knowing of the choice.
    """
    scores = [trial.scores() for trial in trials]
    most = max(map(len, scores))
    wanted = len(trials[0].runs)
    short = [(t, s) for t, s in zip(trials, scores, strict=True) if len(s) < wanted]
    if not most:
        return None, [
            "no run of any trial is finished and measured on validation rows, so none could be chosen."
        ]
    left = [(t, s) for t, s in zip(trials, scores, strict=True) if len(s) == most]
    common = [seed for seed in left[0][1] if all(seed in s for _, s in left)]
    told = []
    if short:
        names = ", ".join(f"{t.trial.name} has {len(s)} of {wanted}" for t, s in short)
        among = "those with all seeds" if most == wanted else f"those with {most} seeds"
        told = [f"not every run of its trials is finished ({names}), so one was chosen among {among}."]
    if not common:
        return None, [*told, "These share no seed, so none could be chosen."]

    def rank(candidate: tuple[Tried, Mapping[int, tuple[float | None, float]]]) -> tuple[float, float]:
        _, found = candidate
        return -fmean(found[seed][0] or 0.0 for seed in common), fmean(found[seed][1] for seed in common)

    return min(left, key=rank)[0], told


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where there is nothing to take it of."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def uneven(arms: Sequence[Arm]) -> list[str]:
    """Tell that some arms chose among trials while others had none to choose from."""
    tuned = [f"{arm.name} chose among {len(arm.trials)} trials" for arm in arms if arm.trials]
    fixed = [arm.name for arm in arms if not arm.trials]
    if not tuned or not fixed:
        return []
    return [
        f"The arms were not tuned alike: {', '.join(tuned)}; {', '.join(fixed)} had 1. What may choose looks "
        "better than what may not."
    ]

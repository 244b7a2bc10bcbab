"""Choose the trial of a tuned arm that is judged, on validation rows, before any test row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from evenhand.spec.study import Arm, Trial
from evenhand.store.runs import State
from evenhand.study.plan import Planned


@dataclass(frozen=True)
class TrialRuns:
    """One trial of an arm on one model.

    Attributes:
        trial: the hyperparameters of the trial.
        runs: seed -> its run and the status of that run.
    """

    trial: Trial
    runs: Mapping[int, tuple[Planned, State]]

    def scores(self) -> dict[int, tuple[float | None, float]]:
        """Return accuracy and loss on the validation rows of finished runs, by seed.

        Accuracy is None if the task is not classification.
        """
        scores = {}
        for seed, (_, state) in self.runs.items():
            measured = (
                state.record["facts"].get("validation")
                if state.status == "finished" and state.record
                else None
            )
            if measured and measured["loss"] is not None:
                scores[seed] = (measured["accuracy"], measured["loss"])
        return scores

    def row(self, arm: str, *, chosen: bool) -> dict[str, Any]:
        """Build the row of the trial in the document: means over its finished runs, null without any."""
        scores = list(self.scores().values())
        return {
            "arm": arm,
            "trial": self.trial.values,
            "accuracy": _mean([accuracy for accuracy, _ in scores]),
            "loss": _mean([loss for _, loss in scores]),
            "runs": len(scores),
            "chosen": chosen,
        }


def choose(trials: Sequence[TrialRuns]) -> tuple[TrialRuns | None, list[str]]:
    """Choose the trial with the highest mean accuracy; ties are broken by the lower loss, then by order.

    For tasks other than classification the loss decides: its mean over the tokens of the validation rows.

    Only trials with all seeds are compared. If no trial has all seeds, those with the most seeds are compared
    over the seeds that they share.

    Args:
        trials: all trials of an arm, in the order of the study.

    Returns:
        The trial, or None if none can be chosen, and remarks on the choice.
    """
    scores = [trial.scores() for trial in trials]
    most = max(map(len, scores))
    planned = len(trials[0].runs)
    short = [(t, s) for t, s in zip(trials, scores, strict=True) if len(s) < planned]
    if not most:
        return None, [
            "no run of any trial is finished and measured on validation rows, so none could be chosen."
        ]
    left = [(t, s) for t, s in zip(trials, scores, strict=True) if len(s) == most]
    common = [seed for seed in left[0][1] if all(seed in s for _, s in left)]
    remarks = []
    if short:
        names = ", ".join(f"{t.trial.name} has {len(s)} of {planned}" for t, s in short)
        among = "those with all seeds" if most == planned else f"those with {most} seeds"
        remarks = [f"not every run of its trials is finished ({names}), so one was chosen among {among}."]
    if not common:
        return None, [*remarks, "These share no seed, so none could be chosen."]

    def rank(candidate: tuple[TrialRuns, Mapping[int, tuple[float | None, float]]]) -> tuple[float, float]:
        _, by_seed = candidate
        return -fmean(by_seed[seed][0] or 0.0 for seed in common), fmean(by_seed[seed][1] for seed in common)

    return min(left, key=rank)[0], remarks


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the known values; None without any."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def remark_on_uneven_tuning(arms: Sequence[Arm]) -> list[str]:
    """Remark on arms that were tuned while others were not."""
    tuned = [f"{arm.name} chose among {len(arm.trials)} trials" for arm in arms if arm.trials]
    fixed = [arm.name for arm in arms if not arm.trials]
    if not tuned or not fixed:
        return []
    return [
        f"The arms were not tuned alike: {', '.join(tuned)}; {', '.join(fixed)} had 1. Tuned arms have "
        "an advantage over untuned ones."
    ]

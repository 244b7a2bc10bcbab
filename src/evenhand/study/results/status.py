"""The status of a study, read from its folders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean

from evenhand.spec.stored import load
from evenhand.store.folder import StudyFolder
from evenhand.store.runs import State
from evenhand.study.plan import Planned, plan


@dataclass(frozen=True)
class StudyStatus:
    """The status of a study.

    Attributes:
        name: the name of the study.
        runs: each run of its plan, with its status.
    """

    name: str
    runs: tuple[tuple[Planned, State], ...]

    def counts(self) -> dict[tuple[str, str], Counter[str]]:
        """Count runs by status, for each model and arm."""
        counts: dict[tuple[str, str], Counter[str]] = {}
        for planned, state in self.runs:
            key = planned.job.model.label, planned.kind
            counts.setdefault(key, Counter())[state.status] += 1
        return counts

    def seconds_left(self) -> float | None:
        """Estimate the seconds left from the durations of finished runs; None if none is known."""
        taken: dict[tuple[str, str], list[float]] = {}
        for planned, state in self.runs:
            if state.status == "finished" and state.record:
                key = planned.job.model.label, planned.kind
                total = state.record["facts"].get("seconds", {}).get("total")
                if total is not None:
                    taken.setdefault(key, []).append(total)
        running = sum(state.status == "running" for _, state in self.runs)
        if not taken or not running:
            return None
        every = fmean(seconds for known in taken.values() for seconds in known)
        missing = [
            fmean(taken.get((planned.job.model.label, planned.kind), [every]))
            for planned, state in self.runs
            if state.status in ("planned", "running", "interrupted")
        ]
        return sum(missing) / running


def read_status(folder: StudyFolder) -> StudyStatus:
    """Read the status of every run of a study.

    Raises:
        InputError: the folder contains no readable study.
    """
    study, runs = load(folder.study), folder.runs()
    states = {p.run_id: p for p in plan(study)}
    return StudyStatus(study.name, tuple((p, runs.look(run_id)) for run_id, p in states.items()))

"""How a study stands, by looking at its folders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean

from evenhand.spec.stored import load
from evenhand.store.folder import StudyFolder
from evenhand.store.runs import State
from evenhand.study.plan import Planned, plan


@dataclass(frozen=True)
class Standing:
    """How a study stands.

    Attributes:
        name: the study's.
        runs: each run that it asks for, and how that stands.
    """

    name: str
    runs: tuple[tuple[Planned, State], ...]

    def counts(self) -> dict[tuple[str, str], Counter[str]]:
        """Runs by status, of each model and arm."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for planned, state in self.runs:
            key = planned.job.model.label, planned.kind
            found.setdefault(key, Counter())[state.status] += 1
        return found

    def seconds_left(self) -> float | None:
        """About how long the runs that are missing take at the pace of now; None when nothing tells it."""
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


def look(folder: StudyFolder) -> Standing:
    """Look at every run of a study.

    Raises:
        InputError: the folder holds no study that can be read.
    """
    study, runs = load(folder.study), folder.runs()
    states = {p.run_id: p for p in plan(study)}
    return Standing(study.name, tuple((p, runs.look(run_id)) for run_id, p in states.items()))

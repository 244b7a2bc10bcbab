"""The schedule of a study's runs: it reads status and decides, but starts nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evenhand.store.runs import Runs, State
from evenhand.study.plan import Planned, steps
from evenhand.study.results.collect import last_line
from evenhand.study.workers.progress import Progress


@dataclass
class Schedule:
    """The runs of a study while they are trained.

    Attributes:
        runs: the folders of the runs.
        planned: all runs, by id.
        sizes: number of rows of each part.
        queue: ids of the runs to train, in order.
        running: id -> completed share of the runs in progress here.
        elsewhere: ids of the runs that other processes train.
        ended: id -> final status of ended runs.
        failures: id -> attempts of a failure known at the start; these runs are retried.
    """

    runs: Runs
    planned: dict[str, Planned]
    sizes: Mapping[str, int]
    queue: deque[str] = field(default_factory=deque)
    running: dict[str, float] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Runs, planned: Iterable[Planned], sizes: Mapping[str, int]) -> Schedule:
        """Read the status of every run once, and queue the runs that are not finished."""
        schedule = cls(runs, {}, sizes)
        for run in planned:
            schedule.planned.setdefault(run.run_id, run)
        for run_id in schedule.planned:
            state = runs.look(run_id)
            if state.status == "finished":
                schedule.ended[run_id] = state.status
            else:
                schedule.failures[run_id] = state.attempts
                schedule.queue.append(run_id)
        return schedule

    @property
    def open(self) -> bool:
        """True while runs are queued, running here or running elsewhere."""
        return bool(self.queue or self.running or self.elsewhere)

    def next(self) -> Planned:
        """Take the next run from the queue, and mark it as running."""
        run_id = self.queue.popleft()
        self.running[run_id] = 0.0
        return self.planned[run_id]

    def settle(self, run_id: str, state: State) -> None:
        """Record the status of a run that no longer runs here."""
        self.running.pop(run_id, None)
        self.elsewhere.discard(run_id)
        failed = state.status == "failed" and state.attempts > self.failures[run_id]
        if state.status == "running":
            self.elsewhere.add(run_id)
        elif state.status == "finished" or failed:
            self.ended[run_id] = state.status
        else:
            self.queue.appendleft(run_id)

    def end(self, run_id: str) -> str | None:
        """Read the status of a run that a worker has ended, and return the reason if it failed."""
        state = self.runs.look(run_id)
        self.settle(run_id, state)
        if state.status != "failed" or state.record is None:
            return None
        return f"{self.planned[run_id].title} failed: {last_line(state.record['error'])}"

    def look_elsewhere(self) -> None:
        """Read the status of runs that other processes train."""
        for run_id in sorted(self.elsewhere):
            self.settle(run_id, self.runs.look(run_id))

    def progress(self, message: str | None = None) -> Progress:
        """Compute the progress; runs are weighted by their number of training steps."""
        weights = {run_id: steps(p.job, self.sizes) for run_id, p in self.planned.items()}
        done = sum(weights[run_id] for run_id in self.ended)
        share = done + sum(weights[run_id] * part for run_id, part in self.running.items())
        return Progress(
            phase="training",
            runs=len(self.planned),
            finished=sum(status == "finished" for status in self.ended.values()),
            failed=sum(status == "failed" for status in self.ended.values()),
            running={self.planned[run_id].title: part for run_id, part in self.running.items()},
            share=share / max(1, sum(weights.values())),
            message=message,
        )

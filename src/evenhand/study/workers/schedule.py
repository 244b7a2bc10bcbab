"""Which run of a study is where. Looks and decides; starts nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evenhand.store.runs import Runs, State
from evenhand.study.plan import Planned, steps
from evenhand.study.workers.progress import Progress


@dataclass
class Schedule:
    """The runs of a study while they are done.

    Attributes:
        runs: their folders.
        planned: all of them, by id.
        sizes: how many rows each part has.
        queue: runs to do, in order.
        running: runs under way here, with the share that is done.
        elsewhere: runs that another process does.
        ended: how runs ended.
        failures: attempts of the failures that were known at the start: those runs are done again.
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
        """Look at every run once, and queue what is not finished."""
        made = cls(runs, {}, sizes)
        for one in planned:
            made.planned.setdefault(one.run_id, one)
        for run_id in made.planned:
            state = runs.look(run_id)
            if state.status == "finished":
                made.ended[run_id] = state.status
            else:
                made.failures[run_id] = state.attempts
                made.queue.append(run_id)
        return made

    @property
    def open(self) -> bool:
        """Whether anything is left to do or to wait for."""
        return bool(self.queue or self.running or self.elsewhere)

    def next(self) -> Planned:
        """Take the next run off the queue; it is under way from now on."""
        run_id = self.queue.popleft()
        self.running[run_id] = 0.0
        return self.planned[run_id]

    def settle(self, run_id: str, state: State) -> None:
        """Take note of how a run stands that is not under way here any more."""
        self.running.pop(run_id, None)
        self.elsewhere.discard(run_id)
        failed = state.status == "failed" and state.attempts > self.failures[run_id]
        if state.status == "running":
            self.elsewhere.add(run_id)
        elif state.status == "finished" or failed:
            self.ended[run_id] = state.status
        else:
            self.queue.appendleft(run_id)

    def look_elsewhere(self) -> None:
        """See what has become of the runs of other processes."""
        for run_id in sorted(self.elsewhere):
            self.settle(run_id, self.runs.look(run_id))

    def progress(self, told: str | None = None) -> Progress:
        """How far all is; a run weighs as many steps as it takes."""
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
            told=told,
        )

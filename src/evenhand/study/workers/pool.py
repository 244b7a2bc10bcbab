"""The pool of workers: single processes that train one run after another, or a group per run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from evenhand.errors import CallError, InputError
from evenhand.spec.study import Study
from evenhand.store.runs import State
from evenhand.study.bases import Bases
from evenhand.study.plan import Planned, as_plain
from evenhand.study.results.collect import last_line
from evenhand.study.workers.process import GROUP_MODULE, WorkerProcess, ready
from evenhand.study.workers.progress import Watch
from evenhand.study.workers.schedule import Schedule

Executor = Literal["processes", "local", "accelerate"]
EXECUTORS: tuple[Executor, ...] = ("processes", "local", "accelerate")
TRAINER = "evenhand.finetune.run"
_SECONDS_BETWEEN_LOOKS = 0.25


def refuse_call(study: Study, workers: int | None, executor: str) -> None:
    """Refuse a combination of study, workers and executor that cannot work."""
    if executor not in EXECUTORS:
        raise CallError(f"executor: got {executor!r}; must be one of {', '.join(EXECUTORS)}.")
    if workers is not None and workers < 1:
        raise CallError(f"workers: got {workers}; must be at least 1.")
    if workers == 1 and executor == "accelerate":
        raise CallError(
            "workers: got 1; the executor accelerate divides each run among at least 2 processes. Use "
            "--executor local for a single process."
        )
    if study.training.parallel == "fsdp" and executor != "accelerate":
        raise CallError(
            f"{study.name}: training.parallel is fsdp, which divides a model among the processes of one run, "
            f"but the executor '{executor}' trains each run in one process; use --executor accelerate."
        )


def count_workers(requested: int | None, executor: Executor, runs: int) -> int:
    """Return the number of runs to train at once: the requested number or one per core, at most `runs`."""
    if executor != "processes":
        return 1
    return max(1, min(requested or _cores(), runs))


def _cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool:
    """The workers of one study; a context manager that stops them at the end of its block."""

    def __init__(
        self,
        study: Study,
        data: Mapping[str, Any],
        trainer: str = TRAINER,
        *,
        group: int | None = None,
        bases: Bases | None = None,
    ) -> None:
        """Store the settings; workers are started when they are needed.

        Args:
            study: the study.
            data: facts of its rows.
            trainer: module with `prepare` and `train`.
            group: number of processes that train a run together, 0 for as many as fit the machine; None if
                each worker is a single process.
            bases: the files of the study's models.
        """
        self._study, self._data, self._group = study, data, group
        self._bases = bases or Bases()
        #: Estimated bytes of each run's saved model, known once models are prepared.
        self.stored: dict[str, int | None] = {}
        self._open = {
            "do": "open",
            "dataset": study.dataset.model_dump(mode="json"),
            "seeds": list(study.split_seeds),
            "sha256": data["sha256"],
            "trainer": trainer,
        }
        self._idle: list[WorkerProcess] = []
        self._starting: set[WorkerProcess] = set()
        self._busy: dict[WorkerProcess, Planned] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._everyone():
            worker.close()

    def prepare(self, planned: Sequence[Planned], workers: int = 1) -> list[str]:
        """Fetch or build every model in one process, and check every job, while other workers start.

        Args:
            planned: the runs.
            workers: number of workers that will train.

        Returns:
            Remarks on the jobs.

        Raises:
            InputError: a job cannot run (all complaints together), or the system killed the process.
            RuntimeError: the process crashed.
        """
        worker, *_ = [self._start() for _ in range(workers)]
        self._refuse(worker.answer())
        jobs = {p.run_id: as_plain(p.job) for p in planned}
        worker.send({"do": "prepare", "jobs": list(jobs.values())})
        prepared = worker.answer()
        self._refuse(prepared)
        self._starting.remove(worker)
        self._idle.append(worker)
        # Branches on the hub move: pin every run of the study to the commits that were checked here.
        self._bases = replace(self._bases, revisions={**prepared["revisions"], **self._bases.revisions})
        self.stored = dict(zip(jobs, prepared["stored"], strict=False))
        return list(prepared["remarks"])

    def train(self, schedule: Schedule, workers: int, watch: Watch) -> None:
        """Train all queued runs, and wait for runs that other processes train.

        Raises:
            InputError: a worker cannot load the rows or cannot write, or the system killed it before it had
                a run.
            RuntimeError: a worker crashed before it had a run.
        """
        watch(schedule.progress())
        while schedule.open:
            self._hand_out(schedule, workers)
            for worker in ready(self._everyone(), _SECONDS_BETWEEN_LOOKS):
                answers = worker.receive()
                if answers is None:
                    self._on_exit(worker, schedule, watch)
                for answer in answers or ():
                    self._on_message(worker, answer, schedule, watch)
            if schedule.elsewhere:
                schedule.look_elsewhere()
                watch(schedule.progress())

    def _about(self, planned: Planned) -> dict[str, Any]:
        """Build the planned part of a run's record."""
        return planned.about(self._study.name, self._data) | self._bases.record(planned.job.model)

    def _everyone(self) -> list[WorkerProcess]:
        return [*self._idle, *self._starting, *self._busy]

    def _start(self) -> WorkerProcess:
        """Start a worker, which loads the rows before it answers."""
        worker = WorkerProcess() if self._group is None else WorkerProcess(GROUP_MODULE, str(self._group))
        self._starting.add(worker)
        worker.send(self._open)
        return worker

    def _hand_out(self, schedule: Schedule, workers: int) -> None:
        """Give every idle worker a run, and start more workers while runs are queued."""
        while self._idle and schedule.queue:
            worker, planned = self._idle.pop(), self._bases.pinned(schedule.next())
            self._busy[worker] = planned
            worker.send(
                {
                    "do": "train",
                    "run_id": planned.run_id,
                    "runs": str(schedule.runs.path),
                    "failures": schedule.failures[planned.run_id],
                    "about": self._about(planned),
                }
            )
        while len(self._everyone()) < workers and len(self._starting) < len(schedule.queue):
            self._start()

    def _on_message(
        self, worker: WorkerProcess, answer: Mapping[str, Any], schedule: Schedule, watch: Watch
    ) -> None:
        """Handle a message from a worker."""
        self._refuse(answer)
        if answer["event"] == "opened":
            self._starting.remove(worker)
            self._idle.append(worker)
        elif answer["event"] == "step":
            schedule.running[self._busy[worker].run_id] = answer["done"] / max(1, answer["all"])
            watch(schedule.progress())
        else:
            planned = self._busy.pop(worker)
            self._idle.append(worker)
            for remark in answer["remarks"]:
                watch(schedule.progress(remark))
            self._end(planned, schedule, watch)

    def _on_exit(self, worker: WorkerProcess, schedule: Schedule, watch: Watch) -> None:
        """Record the death of a worker as the failure of its run; a new worker replaces it."""
        planned = self._busy.pop(worker, None)
        self._starting.discard(worker)
        if planned is None:
            raise worker.end_of_all()
        schedule.runs.record_crash(planned.run_id, self._about(planned), worker.exit_reason())
        self._end(planned, schedule, watch)

    def _end(self, planned: Planned, schedule: Schedule, watch: Watch) -> None:
        """Read the status of a run that a worker has ended, and report it."""
        state = schedule.runs.look(planned.run_id)
        schedule.settle(planned.run_id, state)
        watch(schedule.progress(_failure_message(planned, state)))

    @staticmethod
    def _refuse(answer: Mapping[str, Any]) -> None:
        if answer.get("complaints"):
            raise InputError(answer["complaints"])


def _failure_message(planned: Planned, state: State) -> str | None:
    """Return a message if the run failed, with the reason; otherwise None."""
    if state.status != "failed" or state.record is None:
        return None
    return f"{planned.title} failed: {last_line(state.record['error'])}"

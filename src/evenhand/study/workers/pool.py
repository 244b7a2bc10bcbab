"""The pool of workers: single processes that train one run after another, or a group per run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Literal, Self, get_args

from evenhand.errors import CallError, InputError
from evenhand.finetune import Job
from evenhand.spec.study import Study
from evenhand.study.workers.messages import (
    Ended,
    Models,
    Open,
    Opened,
    Prepare,
    Refused,
    Step,
    Train,
    receive,
    send,
)
from evenhand.study.workers.process import GROUP_MODULE, WorkerProcess

Executor = Literal["processes", "local", "accelerate"]
TRAINER = "evenhand.finetune.run"
_SECONDS_BETWEEN_LOOKS = 0.25


def refuse_call(study: Study, workers: int | None, executor: str) -> None:
    """Refuse a combination of study, workers and executor that cannot work."""
    if executor not in get_args(Executor):
        raise CallError(f"executor: got {executor!r}; must be one of {', '.join(get_args(Executor))}.")
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

    def __init__(self, opening: Open, workers: int, *, group: int | None = None) -> None:
        """Store the settings; workers are started when they are needed.

        Args:
            opening: the rows, and the module with `prepare` and `train`.
            workers: number of workers that train at once.
            group: number of processes that train a run together, 0 for as many as fit the machine; None if
                each worker is a single process.
        """
        self._open, self._workers, self._group = opening, workers, group
        self._idle: list[WorkerProcess] = []
        self._starting: set[WorkerProcess] = set()
        self._busy: dict[WorkerProcess, Train] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._everyone():
            worker.close()

    def prepare(self, jobs: Sequence[Job]) -> Models:
        """Fetch or build every model in one process, and check every job, while other workers start.

        Raises:
            InputError: a job cannot run (all complaints together), or the system killed the process.
            RuntimeError: the process crashed.
        """
        worker, *_ = [self._start() for _ in range(self._workers)]
        worker.answer()
        send(worker.connection, Prepare(jobs))
        prepared = worker.answer()
        assert isinstance(prepared, Models)
        self._starting.remove(worker)
        self._idle.append(worker)
        return prepared

    @property
    def has_idle(self) -> bool:
        """True if a worker has no run."""
        return bool(self._idle)

    def train(self, run: Train) -> None:
        """Give a run to an idle worker."""
        worker = self._idle.pop()
        self._busy[worker] = run
        send(worker.connection, run)

    def start(self, runs: int) -> None:
        """Start more workers while fewer than `runs` are starting."""
        while len(self._everyone()) < self._workers and len(self._starting) < runs:
            self._start()

    def wait(self) -> Iterator[tuple[Train, Step | Ended]]:
        """Wait for steps and ends of runs, at most a quarter of a second; the death of a worker ends its run.

        Raises:
            InputError: a worker cannot load the rows or cannot write, or the system killed it before it had
                a run.
            RuntimeError: a worker crashed before it had a run.
        """
        workers = {worker.connection: worker for worker in self._everyone()}
        for connection in wait(list(workers), _SECONDS_BETWEEN_LOOKS):
            worker = workers[connection]  # type: ignore[index]
            match answer := receive(worker.connection):
                case Refused():
                    raise InputError(answer.complaints)
                case Opened():
                    self._starting.remove(worker)
                    self._idle.append(worker)
                case Step():
                    yield self._busy[worker], answer
                case Ended():
                    self._idle.append(worker)
                    yield self._busy.pop(worker), answer
                case None:
                    run = self._busy.pop(worker, None)
                    self._starting.discard(worker)
                    if run is None:
                        raise worker.end_of_all()
                    yield run, Ended(crash=worker.exit_reason())

    def _everyone(self) -> list[WorkerProcess]:
        return [*self._idle, *self._starting, *self._busy]

    def _start(self) -> WorkerProcess:
        """Start a worker, which loads the rows before it answers."""
        worker = WorkerProcess() if self._group is None else WorkerProcess(GROUP_MODULE, str(self._group))
        self._starting.add(worker)
        send(worker.connection, self._open)
        return worker

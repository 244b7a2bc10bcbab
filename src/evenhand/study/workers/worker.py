"""A worker: the process that loads the rows once and then trains one run after the other.

`python -m evenhand.study.workers.worker CONNECTION` answers messages (`messages.py`), and ends when its
parent does. Its standard output is not part of this protocol.
"""

from __future__ import annotations

import importlib
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from evenhand.errors import InputError, MissingExtraError
from evenhand.finetune import Job
from evenhand.store.runs import Attempt, Runs
from evenhand.study.faults import disk_fault, memory_fault
from evenhand.study.workers import messages
from evenhand.study.workers.messages import Answer, Ended, Follow, Open, Prepare, Refused, Request, Train

if TYPE_CHECKING:
    from evenhand.study.data import Loaded

_SECONDS_BETWEEN_STEPS = 0.2

Send = Callable[[Answer], None]


def main(address: str) -> None:
    """Answer messages until the other end is closed.

    Args:
        address: the file descriptor of a connection; in a group, the path of a socket, to which the worker
            first sends its rank.
    """
    if address.isdigit():
        serve(Connection(int(address)), Worker)
    connection = Client(address, "AF_UNIX")
    messages.send(connection, (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])))
    serve(connection, Worker)


def serve(connection: Connection, build: Callable[[Send], Callable[[Any], Answer]]) -> NoReturn:
    """Answer messages until the other end is closed.

    Args:
        connection: to the parent.
        build: returns the function that answers, given one that sends messages before the answer.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group: the parent decides what happens to workers
    requests = _listen(connection)

    def send(message: Answer) -> None:
        messages.send(connection, message)

    answer = build(send)
    while True:
        send(answer(requests.get()))


def _listen(connection: Connection) -> queue.SimpleQueue[Request]:
    """Read messages into a queue in a thread, which ends this process when its parent ends."""
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while (message := messages.receive(connection)) is not None:
                requests.put(message)
        except Exception:  # a plug-in that a message names cannot be imported here
            traceback.print_exc()
        finally:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    return requests


def describe_missing_package(error: ImportError) -> str:
    """Return the complaint about missing packages, with the command that installs them."""
    return f"Training needs more packages ({error}): pip install 'evenhand[train]'."


class Worker:
    """The rows, and the module that trains."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._processes = 1
        self._rows: Loaded
        self._trainer: ModuleType

    def __call__(self, message: Request) -> Answer:
        """Answer a message."""
        match message:
            case Open():
                return self._open(message)
            case Prepare():
                return self._prepare(message)
            case Train():
                return self._train(message)
            case Follow():
                return self._follow(message)

    def _open(self, message: Open) -> Answer:
        from evenhand.study import data  # noqa: PLC0415  (numpy; the parent sets its number of threads)

        try:
            self._rows = data.load(message.dataset, message.seeds)
            self._trainer = importlib.import_module(message.trainer)
        except InputError as error:
            return Refused(error.complaints)
        except MissingExtraError as error:
            return Refused([str(error)])
        except ImportError as error:
            return Refused([describe_missing_package(error)])
        if self._rows.facts["sha256"] != message.sha256:
            complaint = (
                "The dataset gave other rows in a second process: its files are changing, or it is not "
            )
            return Refused([f"{complaint}determined by its options."])
        self._processes = message.processes
        return messages.Opened()

    def _prepare(self, message: Prepare) -> Answer:
        jobs, rows = message.jobs, self._rows.of(message.jobs[0].seed)
        try:
            prepared = self._trainer.prepare(jobs, rows)
        except InputError as error:
            return Refused(error.complaints)
        except Exception as error:
            if not memory_fault(error):
                raise
            complaint = (
                "The memory ran out while the models were prepared. Use fewer processes at once "
                "(--workers 1), a smaller model, or a machine with more memory."
            )
            return Refused([complaint])
        if prepared.complaints:
            return Refused(prepared.complaints)
        stored = getattr(self._trainer, "stored", None)
        return messages.Models(prepared.remarks, prepared.revisions, stored(jobs, rows) if stored else ())

    def _train(self, message: Train) -> Answer:
        """Train a run, unless another process has claimed it, and record its end."""
        from evenhand.study.bases import changed_since  # noqa: PLC0415

        runs = Runs(message.runs, message.about["data"]["sha256"])
        try:
            if (changed := changed_since(message.about)) is not None:
                return Refused([changed])
            begun = runs.begin(message.run_id, failures=message.failures)
            if not isinstance(begun, Attempt):
                return Ended()
            if self._processes > 1:
                self._send(messages.Begun(begun.folder))
            failed = self._train_run(begun, message)
        except (OSError, InputError) as error:
            return Refused([f"{runs.path}: cannot be written: {error}"])
        return Ended(begun.remarks, failed)

    def _train_run(self, begun: Attempt, message: Train) -> bool:
        """Train a run; return True if it failed, which does not affect other runs.

        Raises:
            InputError: the disk is full or read-only.
        """
        from evenhand.study.plan import tables  # noqa: PLC0415

        try:
            facts = self._call_trainer(message.job, begun.folder, progress=_limit_rate(self._send))
            written = tables(message.job, self._rows.examples.task)
            begun.finish(message.about, as_json(facts), tables=written)
        except Exception as error:
            if (full := disk_fault(error)) is not None:
                # Every other run would be trained completely and then fail in the same way.
                begun.abandon()
                raise InputError(
                    f"{full}. The run was discarded and does not count as failed. Free some space, or give "
                    "another --output, and repeat the command to continue."
                ) from None
            begun.fail(message.about, traceback.format_exc())
            return True
        return False

    def _follow(self, message: Follow) -> Answer:
        """Take part in a run that the first process of the group has claimed and will end."""
        try:
            self._call_trainer(message.job, message.folder)
        except Exception:
            return messages.Failed(traceback.format_exc())
        return Ended()

    def _call_trainer(self, job: Job, folder: Path, **options: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Train a run with the trainer module."""
        rows = self._rows.of(job.seed, job.membership)
        facts: Mapping[str, Any] = self._trainer.train(
            job, rows, folder, processes=self._processes, **options
        )
        return facts


def _limit_rate(send: Send) -> Callable[[int, int], None]:
    """Return a callback that reports steps: at most one every 0.2 s, and the last one."""
    last = 0.0

    def step(done: int, every: int) -> None:
        nonlocal last
        if done == every or time.monotonic() - last >= _SECONDS_BETWEEN_STEPS:
            last = time.monotonic()
            send(messages.Step(done, every))

    return step


def as_json(value: Any) -> Any:  # noqa: ANN401  (any plain value)
    """Convert to JSON values: tuples to lists, numpy numbers to numbers, NaN and infinity to null."""
    if isinstance(value, Mapping):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(v) for v in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if hasattr(value, "item"):
        return as_json(value.item())
    number = float(value)
    return number if math.isfinite(number) else None


if __name__ == "__main__":
    main(sys.argv[1])

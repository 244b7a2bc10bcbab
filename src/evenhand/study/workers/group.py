"""A group: processes that train one run together, with the interface of a single worker.

`python -m evenhand.study.workers.group CONNECTION PROCESSES` answers the same messages as a worker. torchrun
starts the workers, and each has its own connection to the group. The first worker claims a run and writes it;
when it has started, the others follow. If one worker fails or dies, the others would wait for it forever in a
collective operation, so all are stopped: the run is recorded as failed, and the next run gets new workers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait

from evenhand.errors import InputError
from evenhand.store.runs import Runs
from evenhand.study.workers import messages
from evenhand.study.workers.messages import Answer, Ended, Open, Refused, Request, Train
from evenhand.study.workers.process import SHUTDOWN_TIMEOUT, WORKER_MODULE, read_output_tail, stop
from evenhand.study.workers.worker import Send, describe_missing_package, serve

_SECONDS_BETWEEN_LOOKS = 0.25


class GroupError(Exception):
    """The workers of a group cannot continue; the message is the reason in the run's record."""


class Group:
    """Workers started by torchrun."""

    def __init__(self, processes: int) -> None:
        """Start the workers, and wait until all are connected.

        Raises:
            GroupError: a worker died, or torchrun started a different number of workers.
        """
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the workers)
        self._lines: list[Connection] = []
        torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
        with tempfile.TemporaryDirectory(prefix="evenhand-") as folder, socket.socket(socket.AF_UNIX) as meet:
            address = os.path.join(folder, "line")
            meet.bind(address)
            meet.listen(processes)
            self._process = subprocess.Popen(
                [*torchrun, f"--nproc-per-node={processes}", "-m", WORKER_MODULE, address],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # signals of the terminal go to the parent only
            )
            try:
                self._lines = self._meet(meet, processes)
            except BaseException:
                self.stop()
                raise

    def _meet(self, meet: socket.socket, processes: int) -> list[Connection]:
        """Wait until every worker has sent its rank."""
        meet.settimeout(_SECONDS_BETWEEN_LOOKS)
        by_rank: dict[int, Connection] = {}
        while len(by_rank) < processes:
            try:
                line = Connection(meet.accept()[0].detach())
            except TimeoutError:
                if self._process.poll() is not None:
                    output = read_output_tail(self._output)
                    raise GroupError(f"{output}torchrun ended before all workers had started.") from None
                continue
            message = messages.receive(line)
            if message is None:
                raise GroupError(f"{read_output_tail(self._output)}A worker died before it had started.")
            rank, started = message
            if started != processes:
                raise GroupError(
                    f"{processes} workers were requested, but torchrun started a group of {started}."
                )
            by_rank[rank] = line
        return [by_rank[rank] for rank in range(processes)]

    def open(self, message: Open) -> list[str]:
        """Let every worker load the rows and the code, and return their complaints."""
        for line in self._lines:
            messages.send(line, message)
        waiting, complaints = len(self._lines), dict[str, None]()
        for _, answer in self._answers():
            waiting -= 1
            complaints |= dict.fromkeys(answer.complaints if isinstance(answer, Refused) else ())
            if not waiting:
                break
        return list(complaints)

    def ask(self, message: messages.Prepare | Train, report: Send) -> Answer:
        """Let the first worker answer; when it starts a run, the others follow, and all end together."""
        messages.send(self._lines[0], message)
        waiting, ended = {0}, None
        for rank, answer in self._answers():
            match answer:
                case messages.Begun():
                    assert isinstance(message, Train)
                    for line in self._lines[1:]:
                        messages.send(line, messages.Follow(message.job, answer.folder))
                    waiting |= set(range(1, len(self._lines)))
                case messages.Step():
                    report(answer)
                case messages.Failed():
                    raise GroupError(answer.error)
                case _:
                    waiting.remove(rank)
                    ended = answer if rank == 0 else ended
            if not waiting or _is_final(ended):
                break
        assert ended is not None
        return ended

    def stop(self) -> None:
        """End all workers."""
        for line in self._lines:
            line.close()
        stop(self._process)
        self._output.close()

    def _answers(self) -> Iterator[tuple[int, Answer]]:
        """Yield (rank, message) as messages arrive.

        Raises:
            GroupError: a worker died.
        """
        while True:
            for line in wait(self._lines):
                rank = self._lines.index(line)  # type: ignore[arg-type]
                answer = messages.receive(self._lines[rank])
                if answer is None:
                    raise GroupError(self._death(rank))
                yield rank, answer

    def _death(self, rank: int) -> str:
        """Describe the death of a worker, with the last output of torchrun."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SHUTDOWN_TIMEOUT)
        output = read_output_tail(self._output)
        return f"{output}Process {rank + 1} of the {len(self._lines)} that trained together died."


def _is_final(answer: Answer | None) -> bool:
    """Return True for an answer after which the other workers would wait forever."""
    return isinstance(answer, Refused) or (isinstance(answer, Ended) and answer.failed)


class GroupWorker:
    """The group as a worker of its parent."""

    def __init__(self, requested: int, send: Send) -> None:
        self._requested, self._send = requested, send
        self._group: Group | None = None
        self._opening: Open

    def __call__(self, message: Request) -> Answer:
        """Answer a message."""
        match message:
            case Open():
                return self._open(message)
            case Train():
                return self._train(message)
            case messages.Prepare():
                return self._prepare(message)
            case _:
                raise AssertionError(message)

    def _open(self, message: Open) -> Answer:
        """Start the workers."""
        try:
            from evenhand.finetune.hardware.devices import group_size  # noqa: PLC0415  (torch)

            size = group_size(self._requested or None)
        except InputError as error:
            return Refused(error.complaints)
        except ImportError as error:
            return Refused([describe_missing_package(error)])
        self._opening = replace(message, processes=size)
        return self._start()

    def _start(self) -> messages.Opened | Refused:
        try:
            self._group = Group(self._opening.processes)
            complaints = self._group.open(self._opening)
        except GroupError as error:
            complaints = [str(error)]
        return Refused(complaints) if complaints else messages.Opened()

    def _prepare(self, message: messages.Prepare) -> Answer:
        """Let the first worker fetch every model into the cache, where the others find it."""
        assert self._group is not None
        try:
            return self._group.ask(message, self._send)
        except GroupError as error:
            return Refused([str(error)])

    def _train(self, message: Train) -> Answer:
        """Train a run with all workers; a run that breaks the group is recorded as failed."""
        if self._group is None and isinstance(started := self._start(), Refused):
            return started
        assert self._group is not None
        try:
            ended = self._group.ask(message, self._send)
            if not _is_final(ended):
                return ended
            self._group.stop()
        except GroupError as error:
            self._group.stop()  # this releases the claim
            runs = Runs(message.runs, message.about["data"]["sha256"])
            runs.record_crash(message.run_id, message.about, str(error))
            ended = Ended()
        self._group = None
        return ended


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), partial(GroupWorker, int(sys.argv[2])))

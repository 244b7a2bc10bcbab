"""A group: processes that train one run together, with the interface of a single worker.

`python -m evenhand.study.workers.group SOCKET PROCESSES` answers the same messages as a worker. torchrun
starts the workers, and each has its own connection to the group. The first worker claims a run and writes it;
when it has started, the others follow. If one worker fails or dies, the others would wait for it forever in a
collective operation, so all are stopped: the run is recorded as failed, and the next run gets new workers.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evenhand.errors import InputError
from evenhand.store.runs import Runs
from evenhand.study.workers.channel import JsonConnection, Message
from evenhand.study.workers.process import WORKER_MODULE, read_output_tail
from evenhand.study.workers.worker import Answer, Send, describe_missing_package, serve

_SECONDS_BETWEEN_LOOKS = 0.25
_SHUTDOWN_TIMEOUT = 5.0


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
        self._lines: list[JsonConnection] = []
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

    def _meet(self, meet: socket.socket, processes: int) -> list[JsonConnection]:
        """Wait until every worker has sent its rank."""
        meet.settimeout(_SECONDS_BETWEEN_LOOKS)
        by_rank: dict[int, JsonConnection] = {}
        while len(by_rank) < processes:
            try:
                line = JsonConnection(meet.accept()[0])
            except TimeoutError:
                if self._process.poll() is not None:
                    output = read_output_tail(self._output)
                    raise GroupError(f"{output}torchrun ended before all workers had started.") from None
                continue
            here = line.message()
            if here is None:
                raise GroupError(f"{read_output_tail(self._output)}A worker died before it had started.")
            if here["processes"] != processes:
                raise GroupError(
                    f"{processes} workers were requested, but torchrun started a group of "
                    f"{here['processes']}."
                )
            by_rank[here["rank"]] = line
        return [by_rank[rank] for rank in range(processes)]

    def open(self, message: Message) -> list[str]:
        """Let every worker load the rows and the code, and return their complaints."""
        for line in self._lines:
            line.send(message)
        waiting, complaints = len(self._lines), dict[str, None]()
        for _, answer in self._answers():
            waiting -= 1
            complaints |= dict.fromkeys(answer.get("complaints", ()))
            if not waiting:
                break
        return list(complaints)

    def ask(self, message: Message, tell: Send) -> Message:
        """Let the first worker answer; when it starts a run, the others follow, and all end together."""
        self._lines[0].send(message)
        waiting, ended = {0}, dict[str, Any]()
        for rank, answer in self._answers():
            if answer["event"] == "begun":
                for line in self._lines[1:]:
                    line.send({"do": "follow", "folder": answer["folder"], "about": message["about"]})
                waiting |= set(range(1, len(self._lines)))
            elif answer["event"] == "step":
                tell(answer)
            elif answer["event"] == "failed":
                raise GroupError(answer["error"])
            else:
                waiting.remove(rank)
                ended = answer if rank == 0 else ended
            if not waiting or ended.get("failed") or ended.get("complaints"):
                break
        return ended

    def stop(self) -> None:
        """End all workers."""
        for line in self._lines:
            line.close()
        self._process.terminate()
        try:
            self._process.wait(_SHUTDOWN_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _answers(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (rank, message) as messages arrive.

        Raises:
            GroupError: a worker died.
        """
        with selectors.DefaultSelector() as selector:
            for rank, line in enumerate(self._lines):
                selector.register(line, selectors.EVENT_READ, rank)
            while True:
                for key, _ in selector.select():
                    answers = self._lines[key.data].receive()
                    if answers is None:
                        raise GroupError(self._death(key.data))
                    yield from ((key.data, answer) for answer in answers)

    def _death(self, rank: int) -> str:
        """Describe the death of a worker, with the last output of torchrun."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SHUTDOWN_TIMEOUT)
        output = read_output_tail(self._output)
        return f"{output}Process {rank + 1} of the {len(self._lines)} that trained together died."


def _open(message: Message, work: dict[str, Any], tell: Send) -> Message:
    """Start the workers."""
    try:
        from evenhand.finetune.hardware.devices import group_size  # noqa: PLC0415  (torch)

        size = group_size(work["requested"] or None)
    except InputError as error:
        return {"event": "refused", "complaints": error.complaints}
    except ImportError as error:
        return {"event": "refused", "complaints": [describe_missing_package(error)]}
    work["open"] = {**message, "processes": size}
    return _start(work)


def _start(work: dict[str, Any]) -> Message:
    try:
        work["group"] = Group(work["open"]["processes"])
        complaints = work["group"].open(work["open"])
    except GroupError as error:
        complaints = [str(error)]
    return {"event": "refused", "complaints": complaints} if complaints else {"event": "opened"}


def _prepare(message: Message, work: dict[str, Any], tell: Send) -> Message:
    """Let the first worker fetch every model into the cache, where the others find it."""
    try:
        prepared: Message = work["group"].ask(message, tell)
    except GroupError as error:
        return {"event": "refused", "complaints": [str(error)]}
    return prepared


def _train(message: Message, work: dict[str, Any], tell: Send) -> Message:
    """Train a run with all workers; a run that breaks the group is recorded as failed."""
    if "group" not in work and (started := _start(work))["event"] == "refused":
        return started
    about, group = message["about"], work["group"]
    try:
        ended: Message = group.ask(message, tell)
        if not (ended.get("failed") or ended.get("complaints")):
            return ended
    except GroupError as error:
        group.stop()  # this releases the claim
        Runs(Path(message["runs"]), about["data"]["sha256"]).record_crash(
            message["run_id"], about, str(error)
        )
        ended = {"event": "ended", "remarks": ()}
    else:
        group.stop()
    del work["group"]
    return ended


_ANSWERS: dict[str, Answer] = {"open": _open, "prepare": _prepare, "train": _train}

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        serve(parent, _ANSWERS, requested=int(sys.argv[2]))

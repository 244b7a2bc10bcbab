"""A group: processes that do one run together, and look like one worker to whoever has started it.

`python -m evenhand.study.workers.group SOCKET PROCESSES` answers what a worker answers. torchrun starts the
workers, and each has a line of its own to the group. The first one claims a run and writes it; when it has
begun, the others follow. Once one has failed or died the others would wait for it for ever, so then all are
ended: that run has failed, and the next one gets new workers.
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
from evenhand.study.workers.process import ALONE, last_words
from evenhand.study.workers.worker import Answer, Tell, lacking, serve

_SECONDS_BETWEEN_LOOKS = 0.25
_SHUTDOWN_TIMEOUT = 5.0


class GroupError(Exception):
    """The workers of a group cannot go on; it says why, for a run's record."""


class Group:
    """Workers that torchrun has started."""

    def __init__(self, processes: int) -> None:
        """Start them, and wait for all.

        Raises:
            GroupError: there are not so many.
        """
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the workers)
        self._lines: list[JsonConnection] = []
        torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
        with tempfile.TemporaryDirectory(prefix="evenhand-") as folder, socket.socket(socket.AF_UNIX) as meet:
            place = os.path.join(folder, "line")
            meet.bind(place)
            meet.listen(processes)
            self._process = subprocess.Popen(
                [*torchrun, f"--nproc-per-node={processes}", "-m", ALONE, place],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # what a terminal says is for the parent
            )
            try:
                self._lines = self._meet(meet, processes)
            except BaseException:
                self.stop()
                raise

    def _meet(self, meet: socket.socket, processes: int) -> list[JsonConnection]:
        """Wait until every worker has said which one it is."""
        meet.settimeout(_SECONDS_BETWEEN_LOOKS)
        found: dict[int, JsonConnection] = {}
        while len(found) < processes:
            try:
                line = JsonConnection(meet.accept()[0])
            except TimeoutError:
                if self._process.poll() is not None:
                    told = last_words(self._output)
                    raise GroupError(f"{told}torchrun ended before all workers had begun.") from None
                continue
            here = line.message()
            if here is None:
                raise GroupError(f"{last_words(self._output)}A worker has died before it had begun.")
            if here["processes"] != processes:
                raise GroupError(
                    f"{processes} workers were to train together, but torchrun has made a group of "
                    f"{here['processes']}."
                )
            found[here["rank"]] = line
        return [found[rank] for rank in range(processes)]

    def open(self, message: Message) -> list[str]:
        """Let every worker load the rows and the code; returns complaints."""
        for line in self._lines:
            line.send(message)
        waiting, complaints = len(self._lines), dict[str, None]()
        for _, answer in self._answers():
            waiting -= 1
            complaints |= dict.fromkeys(answer.get("complaints", ()))
            if not waiting:
                break
        return list(complaints)

    def ask(self, message: Message, tell: Tell) -> Message:
        """Let the first worker answer, and the others follow when it begins a run; all end together."""
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
        """What workers say, for as long as anybody listens.

        Raises:
            GroupError: one has died.
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
        """That a worker has died, with what torchrun says of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SHUTDOWN_TIMEOUT)
        told = last_words(self._output)
        return f"{told}Process {rank + 1} of the {len(self._lines)} that trained together has died."


def _open(message: Message, work: dict[str, Any], tell: Tell) -> Message:
    """Start the workers."""
    try:
        from evenhand.finetune.hardware.devices import group_size  # noqa: PLC0415  (torch)

        size = group_size(work["wanted"] or None)
    except InputError as error:
        return {"event": "refused", "complaints": error.complaints}
    except ImportError as error:
        return {"event": "refused", "complaints": [lacking(error)]}
    work["open"] = {**message, "processes": size}
    return _start(work)


def _start(work: dict[str, Any]) -> Message:
    try:
        work["group"] = Group(work["open"]["processes"])
        complaints = work["group"].open(work["open"])
    except GroupError as error:
        complaints = [str(error)]
    return {"event": "refused", "complaints": complaints} if complaints else {"event": "opened"}


def _prepare(message: Message, work: dict[str, Any], tell: Tell) -> Message:
    """Let the first worker fetch every model, from where the others take it later."""
    try:
        prepared: Message = work["group"].ask(message, tell)
    except GroupError as error:
        return {"event": "refused", "complaints": [str(error)]}
    return prepared


def _train(message: Message, work: dict[str, Any], tell: Tell) -> Message:
    """Let all do a run; one that breaks the group has failed."""
    if "group" not in work and (started := _start(work))["event"] == "refused":
        return started
    about, group = message["about"], work["group"]
    try:
        ended: Message = group.ask(message, tell)
        if not (ended.get("failed") or ended.get("complaints")):
            return ended
    except GroupError as error:
        group.stop()  # which lets go of the claim
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
        serve(parent, _ANSWERS, wanted=int(sys.argv[2]))

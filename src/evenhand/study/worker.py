"""A worker: the process that loads the rows once and then trains one run after the other.

It talks to the process that started it in lines of JSON over a socket, and ends when that process does:
`python -m evenhand.study.worker SOCKET`. What it prints goes where its output goes, and is no answer.

    open     {dataset, seeds, sha256, trainer}   -> opened | refused {complaints}
    prepare  {jobs}                              -> prepared {complaints, remarks}
    train    {run_id, runs, failures, about}     -> step {done, all} ... ended {remarks} | refused
"""

from __future__ import annotations

import importlib
import json
import math
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evenhand.errors import InputError, MissingExtraError
from evenhand.store.runs import Attempt, Runs

_SECONDS_BETWEEN_STEPS = 0.2

Message = Mapping[str, Any]
Tell = Callable[[Message], None]


def main(handle: int) -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent decides what becomes of us
    with socket.socket(fileno=handle) as line:
        wanted = _listen(line)
        work: dict[str, Any] = {}
        while True:
            message = wanted.get()
            answer = _ANSWERS[message["do"]](message, work, lambda told: _send(line, told))
            _send(line, answer)


def _listen(line: socket.socket) -> queue.SimpleQueue[Message]:
    """Put every message into a queue, from a thread of its own, which ends this process with its parent."""
    wanted: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def listen() -> None:
        try:
            with line.makefile("rb") as lines:
                for text in lines:
                    wanted.put(json.loads(text))
        finally:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    return wanted


def _open(message: Message, work: dict[str, Any], tell: Tell) -> Message:
    """Load the rows and the code that trains."""
    from evenhand.study import data  # noqa: PLC0415  (numpy, which the parent has told how many threads to use)

    try:
        loaded = data.load(data.restore(message["dataset"]), message["seeds"])
        trainer = importlib.import_module(message["trainer"])
    except InputError as error:
        return {"event": "refused", "complaints": error.complaints}
    except MissingExtraError as error:
        return {"event": "refused", "complaints": [str(error)]}
    except ImportError as error:
        told = f"Training needs more packages ({error}): pip install 'evenhand[train]'."
        return {"event": "refused", "complaints": [told]}
    if loaded.facts["sha256"] != message["sha256"]:
        told = "The dataset gave other rows in a second process: its files are changing, or it is not "
        return {"event": "refused", "complaints": [f"{told}determined by its options."]}
    work.update(rows=loaded, trainer=trainer)
    return {"event": "opened"}


def _prepare(message: Message, work: dict[str, Any], tell: Tell) -> Message:
    from evenhand.study.plan import from_plain  # noqa: PLC0415

    try:
        jobs = [from_plain(job) for job in message["jobs"]]
        prepared = work["trainer"].prepare(jobs, work["rows"].of(jobs[0].seed))
    except InputError as error:
        return {"event": "prepared", "complaints": error.complaints, "remarks": ()}
    return {"event": "prepared", "complaints": prepared.complaints, "remarks": prepared.remarks}


def _train(message: Message, work: dict[str, Any], tell: Tell) -> Message:
    """Do a run, unless another process has it, and put it in its place."""
    runs = Runs(Path(message["runs"]), message["about"]["data"]["sha256"])
    try:
        begun = runs.begin(message["run_id"], failures=message["failures"])
        if not isinstance(begun, Attempt):
            return {"event": "ended", "remarks": ()}
        _do(begun, message["about"], work, tell)
    except (OSError, InputError) as error:
        return {"event": "refused", "complaints": [f"{runs.path}: cannot be written: {error}"]}
    return {"event": "ended", "remarks": begun.remarks}


def _do(begun: Attempt, about: Mapping[str, Any], work: dict[str, Any], tell: Tell) -> None:
    """Train; whatever goes wrong there is the failure of this run alone."""
    from evenhand.study.plan import from_plain, tables  # noqa: PLC0415

    try:
        job = from_plain(about["job"])
        data = work["rows"].of(job.seed, job.membership)
        facts = work["trainer"].train(job, data, begun.folder, progress=_throttled(tell))
        begun.finish(about, as_json(facts), tables=tables(job, data.examples.task))
    except Exception:
        begun.fail(about, traceback.format_exc())


def _throttled(tell: Tell) -> Callable[[int, int], None]:
    """Steps for a person to see: a few in a second, and the last one."""
    last = 0.0

    def step(done: int, every: int) -> None:
        nonlocal last
        if done == every or time.monotonic() - last >= _SECONDS_BETWEEN_STEPS:
            last = time.monotonic()
            tell({"event": "step", "done": done, "all": every})

    return step


def as_json(value: Any) -> Any:  # noqa: ANN401  (any plain value)
    """A value as JSON has it: tuples are lists, numbers of numpy are numbers, what is not finite is null."""
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


def _send(line: socket.socket, message: Message) -> None:
    line.sendall(json.dumps(message).encode() + b"\n")


_ANSWERS = {"open": _open, "prepare": _prepare, "train": _train}

if __name__ == "__main__":
    main(int(sys.argv[1]))

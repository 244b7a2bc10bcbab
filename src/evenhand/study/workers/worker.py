"""A worker: the process that loads the rows once and then trains one run after the other.

It exchanges lines of JSON with its parent over a socket, and ends when the parent does:
`python -m evenhand.study.workers.worker SOCKET`. Its standard output is not part of this protocol.

    open     {dataset, seeds, sha256, trainer}   -> opened | refused {complaints}
    prepare  {jobs}                              -> prepared {complaints, remarks}
    train    {run_id, runs, failures, about}     -> step {done, all} ... ended {remarks, failed} | refused
    follow   {folder, about}                     -> ended | failed {error}

Workers of a group receive the number of `processes` with `open`. The first one prepares and trains, and sends
`begun {folder}` once it has claimed a run; the others follow.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from evenhand.errors import InputError, MissingExtraError
from evenhand.store.runs import Attempt, Runs
from evenhand.study.faults import disk_fault, memory_fault
from evenhand.study.workers.channel import JsonConnection, Message

_SECONDS_BETWEEN_STEPS = 0.2

Send = Callable[[Message], None]
Answer = Callable[[Message, dict[str, Any], Send], Message]


def main(line: str) -> None:
    """Answer messages until the other end is closed.

    Args:
        line: the file descriptor of a socket; in a group, the path of a socket, to which the worker first
            sends its rank.
    """
    if line.isdigit():
        with socket.socket(fileno=int(line)) as end:
            serve(end, _ANSWERS)
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(line)
        JsonConnection(end).send(
            {"rank": int(os.environ["RANK"]), "processes": int(os.environ["WORLD_SIZE"])}
        )
        serve(end, _ANSWERS)


def serve(line: socket.socket, answers: Mapping[str, Answer], **work: Any) -> NoReturn:  # noqa: ANN401
    """Answer messages until the other end is closed; `work` is the state shared by all answers."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group: the parent decides what happens to workers
    requests, tell = _listen(line), JsonConnection(line).send
    while True:
        message = requests.get()
        tell(answers[message["do"]](message, work, tell))


def _listen(line: socket.socket) -> queue.SimpleQueue[Message]:
    """Read messages into a queue in a thread, which ends this process when its parent ends."""
    requests: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def listen() -> None:
        try:
            with line.makefile("rb") as lines:
                for text in lines:
                    requests.put(json.loads(text))
        finally:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    return requests


def _open(message: Message, work: dict[str, Any], tell: Send) -> Message:
    """Load the rows and the code that trains."""
    from evenhand.study import data  # noqa: PLC0415  (numpy; the parent sets its number of threads)

    try:
        loaded = data.load(data.restore(message["dataset"]), message["seeds"])
        trainer = importlib.import_module(message["trainer"])
    except InputError as error:
        return {"event": "refused", "complaints": error.complaints}
    except MissingExtraError as error:
        return {"event": "refused", "complaints": [str(error)]}
    except ImportError as error:
        return {"event": "refused", "complaints": [describe_missing_package(error)]}
    if loaded.facts["sha256"] != message["sha256"]:
        complaint = "The dataset gave other rows in a second process: its files are changing, or it is not "
        return {"event": "refused", "complaints": [f"{complaint}determined by its options."]}
    work.update(rows=loaded, trainer=trainer, processes=message.get("processes", 1))
    return {"event": "opened"}


def describe_missing_package(error: ImportError) -> str:
    """Return the complaint about missing packages, with the command that installs them."""
    return f"Training needs more packages ({error}): pip install 'evenhand[train]'."


def _prepare(message: Message, work: dict[str, Any], tell: Send) -> Message:
    from evenhand.study.plan import from_plain  # noqa: PLC0415

    try:
        jobs = [from_plain(job) for job in message["jobs"]]
        prepared = work["trainer"].prepare(jobs, work["rows"].of(jobs[0].seed))
    except InputError as error:
        return {"event": "prepared", "complaints": error.complaints, "remarks": (), "revisions": {}}
    except Exception as error:
        if not memory_fault(error):
            raise
        complaint = (
            "The memory ran out while the models were prepared. Use fewer processes at once (--workers 1), "
            "a smaller model, or a machine with more memory."
        )
        return {"event": "refused", "complaints": [complaint]}
    stored = getattr(work["trainer"], "stored", None)
    known = stored(jobs, work["rows"].of(jobs[0].seed)) if stored and not prepared.complaints else []
    return {"event": "prepared", **asdict(prepared), "stored": known}


def _train(message: Message, work: dict[str, Any], tell: Send) -> Message:
    """Train a run, unless another process has claimed it, and record its end."""
    from evenhand.study.bases import changed_since  # noqa: PLC0415

    runs = Runs(Path(message["runs"]), message["about"]["data"]["sha256"])
    try:
        if (changed := changed_since(message["about"])) is not None:
            return {"event": "refused", "complaints": [changed]}
        begun = runs.begin(message["run_id"], failures=message["failures"])
        if not isinstance(begun, Attempt):
            return {"event": "ended", "remarks": (), "failed": False}
        if work["processes"] > 1:
            tell({"event": "begun", "folder": str(begun.folder)})
        failed = _train_run(begun, message["about"], work, tell)
    except (OSError, InputError) as error:
        return {"event": "refused", "complaints": [f"{runs.path}: cannot be written: {error}"]}
    return {"event": "ended", "remarks": begun.remarks, "failed": failed}


def _train_run(begun: Attempt, about: Mapping[str, Any], work: dict[str, Any], tell: Send) -> bool:
    """Train a run; return True if it failed, which does not affect other runs.

    Raises:
        InputError: the disk is full or read-only.
    """
    from evenhand.study.plan import from_plain, tables  # noqa: PLC0415

    try:
        facts = _call_trainer(about, begun.folder, work, progress=_limit_rate(tell))
        begun.finish(
            about, as_json(facts), tables=tables(from_plain(about["job"]), work["rows"].examples.task)
        )
    except Exception as error:
        if (full := disk_fault(error)) is not None:
            # Every other run would be trained completely and then fail in the same way.
            begun.abandon()
            raise InputError(
                f"{full}. The run was discarded and does not count as failed. Free some space, or give "
                "another --output, and repeat the command to continue."
            ) from None
        begun.fail(about, traceback.format_exc())
        return True
    return False


def _follow(message: Message, work: dict[str, Any], tell: Send) -> Message:
    """Take part in a run that the first process of the group has claimed and will end."""
    try:
        _call_trainer(message["about"], Path(message["folder"]), work)
    except Exception:
        return {"event": "failed", "error": traceback.format_exc()}
    return {"event": "ended"}


def _call_trainer(
    about: Mapping[str, Any],
    folder: Path,
    work: dict[str, Any],
    **options: Any,  # noqa: ANN401
) -> Mapping[str, Any]:
    """Train a run with the trainer module."""
    from evenhand.study.plan import from_plain  # noqa: PLC0415

    job = from_plain(about["job"])
    facts: Mapping[str, Any] = work["trainer"].train(
        job, work["rows"].of(job.seed, job.membership), folder, processes=work["processes"], **options
    )
    return facts


def _limit_rate(tell: Send) -> Callable[[int, int], None]:
    """Return a callback that reports steps: at most one every 0.2 s, and the last one."""
    last = 0.0

    def step(done: int, every: int) -> None:
        nonlocal last
        if done == every or time.monotonic() - last >= _SECONDS_BETWEEN_STEPS:
            last = time.monotonic()
            tell({"event": "step", "done": done, "all": every})

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


_ANSWERS: dict[str, Answer] = {"open": _open, "prepare": _prepare, "train": _train, "follow": _follow}

if __name__ == "__main__":
    main(sys.argv[1])

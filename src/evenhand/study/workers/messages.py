"""Messages between the pool and its workers: records, pickled over a connection of `multiprocessing`.

    Open     -> Opened | Refused
    Prepare  -> Models | Refused
    Train    -> Step ... Ended | Refused
    Follow   -> Ended | Failed

Workers of a group learn the number of `processes` from `Open`. The first one prepares and trains, and sends
`Begun` once it has claimed a run; the others follow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from evenhand.finetune import Job
from evenhand.spec.study import Dataset


@dataclass(frozen=True)
class Open:
    """Load the rows, whose digest is known, and the module that trains."""

    dataset: Dataset
    seeds: Sequence[int]
    sha256: str
    trainer: str
    processes: int = 1


@dataclass(frozen=True)
class Prepare:
    """Fetch or build the models of all jobs, and check the jobs."""

    jobs: Sequence[Job]


@dataclass(frozen=True)
class Train:
    """Train a run, unless it has ended, or another process has claimed it.

    Attributes:
        runs: the folder of all runs.
        failures: attempts of its known failure, which is retried.
        about: the planned part of its record.
    """

    run_id: str
    job: Job
    runs: Path
    failures: int
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Follow:
    """Take part in a run that the first process of the group has claimed."""

    job: Job
    folder: Path


@dataclass(frozen=True)
class Opened:
    """The rows and the trainer are loaded."""


@dataclass(frozen=True)
class Refused:
    """The study cannot be run here."""

    complaints: Sequence[str]


@dataclass(frozen=True)
class Models:
    """Remarks on the models, their commits on the hub by `Model.key`, and the bytes that each job saves."""

    remarks: Sequence[str]
    revisions: Mapping[str, str]
    stored: Sequence[int | None]


@dataclass(frozen=True)
class Begun:
    """A run is claimed; its files go to this folder."""

    folder: Path


@dataclass(frozen=True)
class Step:
    """Optimiser steps of a run: completed, and all."""

    done: int
    all: int


@dataclass(frozen=True)
class Ended:
    """A run has ended, and its record says how; after a `crash` (how the process died) it has no record."""

    remarks: Sequence[str] = ()
    failed: bool = False
    crash: str | None = None


@dataclass(frozen=True)
class Failed:
    """A process that follows cannot continue; the traceback."""

    error: str


Request = Open | Prepare | Train | Follow
Answer = Opened | Refused | Models | Begun | Step | Ended | Failed


def send(connection: Connection, message: object) -> None:
    """Send a message; a closed connection is detected later, when the answer is read."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(message)


def receive(connection: Connection) -> Any:  # noqa: ANN401  (the next message)
    """Wait for a message; None if the other end is closed."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None

"""Claims: of all processes that work on a study, exactly one trains each run.

A claim is a small file that its process keeps locked. The operating system releases the lock when the process
ends, however it ends. A claim whose lock is free therefore has no owner, even if another process has since
received the same process id.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: Records have a fixed size, so that one write replaces a record and readers never see half of one.
_RECORD_BYTES = 128


@dataclass(frozen=True)
class Claim:
    """The right to do a run, until it is released or this process ends.

    Attributes:
        path: the file.
        handle: file descriptor of the locked file.
        attempts: number of times the run was started, including this one.
        started: time of this start in UTC, as ISO 8601.
    """

    path: Path
    handle: int
    attempts: int
    started: str

    def count(self, attempts: int) -> None:
        """Set the number of attempts, when other files record more attempts than the claim does."""
        _write(self.handle, attempts, self.started)

    def release(self) -> None:
        """Delete the claim and its count of attempts: the run has ended."""
        self.path.unlink(missing_ok=True)
        os.close(self.handle)


def claim(path: Path, *, begins: bool = True) -> Claim | None:
    """Take a claim, which may have been left behind by a process that died.

    Args:
        path: file of the claim; created if it does not exist.
        begins: whether this counts as an attempt; False takes over an attempt of another process to end it.

    Returns:
        The claim, or None if a running process holds it.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(handle, fcntl.LOCK_EX):
            os.close(handle)
            return None
        if _is_at(handle, path):
            break
        os.close(handle)  # its holder deleted the file between open and lock: lock the new one
    attempts = _attempts(handle) + begins
    started = datetime.now(UTC).isoformat(timespec="seconds")
    _write(handle, attempts, started)
    return Claim(path, handle, attempts, started)


def is_held(path: Path) -> bool | None:
    """Check whether a running process holds a claim; None if the claim does not exist."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return not _lock(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write(handle: int, attempts: int, started: str) -> None:
    record = json.dumps({"attempts": attempts, "started": started, "process": os.getpid()})
    os.pwrite(handle, record.ljust(_RECORD_BYTES - 1).encode() + b"\n", 0)


def _attempts(handle: int) -> int:
    try:
        return int(json.loads(os.pread(handle, _RECORD_BYTES, 0))["attempts"])
    except (ValueError, KeyError, TypeError):
        return 0

"""Claims: of all processes that work on a study, one does a run.

A claim is a small file that its process keeps locked. The system lets go of the lock when the process ends,
however it ends, so that a claim whose lock is free belongs to nobody: whatever process has its number now.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: A record has one size, so that it is replaced in one write and never seen half.
_SIZE = 128


@dataclass(frozen=True)
class Claim:
    """The right to do a run, until it is released or this process ends.

    Attributes:
        path: the file.
        handle: the locked file.
        attempts: how often the run was begun, this time included.
        started: when, in UTC.
    """

    path: Path
    handle: int
    attempts: int
    started: str

    def count(self, attempts: int) -> None:
        """Set the count, where more is known of earlier attempts than the claim tells."""
        _write(self.handle, attempts, self.started)

    def release(self) -> None:
        """Give the claim up and forget its count of attempts: the run has ended."""
        self.path.unlink(missing_ok=True)
        os.close(self.handle)


def claim(path: Path, *, begins: bool = True) -> Claim | None:
    """Take a claim, or one that a process left behind when it died.

    Args:
        path: its file; made when it is not there.
        begins: whether this is one more attempt; False only ends what another process began.

    Returns:
        The claim, or None when a living process holds it.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(handle, fcntl.LOCK_EX):
            os.close(handle)
            return None
        if _is_at(handle, path):
            break
        os.close(handle)  # released by its holder between the two calls: this file has no name any more
    attempts = _attempts(handle) + begins
    started = datetime.now(UTC).isoformat(timespec="seconds")
    _write(handle, attempts, started)
    return Claim(path, handle, attempts, started)


def is_held(path: Path) -> bool | None:
    """Whether a living process holds a claim; None when there is no claim."""
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
    os.pwrite(handle, record.ljust(_SIZE - 1).encode() + b"\n", 0)


def _attempts(handle: int) -> int:
    try:
        return int(json.loads(os.pread(handle, _SIZE, 0))["attempts"])
    except (ValueError, KeyError, TypeError):
        return 0

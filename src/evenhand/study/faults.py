"""Faults of the machine (full disk, lack of memory), which are not failures of a run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: Messages of libraries that raise their own errors for these faults; safetensors gives the number.
_MESSAGES = (*(os.strerror(number) for number in _DISK), *(f"os error {number})" for number in _DISK))


def disk_fault(error: BaseException) -> str | None:
    """Return the system's message if a disk is full or read-only; None for any other error."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return os.strerror(cause.errno)
        phrase = next((text for text in _MESSAGES if text in str(cause)), None)
        if phrase is not None:
            return os.strerror(_DISK[_MESSAGES.index(phrase) % len(_DISK)])
    return None


def memory_fault(error: BaseException) -> bool:
    """Check whether an error means that the machine or its device ran out of memory."""
    return any(
        isinstance(cause, MemoryError)
        or type(cause).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(cause)
        for cause in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    visited: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in visited:
        visited.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__

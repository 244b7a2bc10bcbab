"""Faults of the machine, which are no run's own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: What libraries say of these that raise errors of their own; safetensors names the number.
_SAID = (*(os.strerror(number) for number in _DISK), *(f"os error {number})" for number in _DISK))


def disk_fault(error: BaseException) -> str | None:
    """Say that a disk is full, or takes nothing; None when an error is about something else."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in _DISK:
            return os.strerror(one.errno)
        said = next((text for text in _SAID if text in str(one)), None)
        if said is not None:
            return os.strerror(_DISK[_SAID.index(said) % len(_DISK)])
    return None


def memory_fault(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of its device."""
    return any(
        isinstance(one, MemoryError)
        or type(one).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(one)
        for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    known: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in known:
        known.add(id(one))
        yield one
        one = one.__cause__ or one.__context__

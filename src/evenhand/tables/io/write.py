"""Write files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evenhand.errors import CallError

_ORDINARY = 0o666


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file so that, at any moment, the old content or the new one is there, whole.

    Args:
        path: where; its folder must exist.
        content: text (written as UTF-8, line ends as they are) or bytes.

    Raises:
        CallError: there is no such folder, the path is a folder, or the system refuses to write.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise CallError(f"{target}: cannot be written, because there is no folder '{target.parent}'.")
    if target.is_dir():
        raise CallError(f"{target}: cannot be written, because it is a folder; give a file name.")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        _replace(target.resolve(), data)
    except OSError as error:
        raise CallError(f"{target}: cannot be written ({error.strerror or error}).") from None


def _replace(target: Path, data: bytes) -> None:
    """Write a neighbour of the target, make sure that it is on disk, and put it in the target's place."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:16]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_mode(target))
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, or those of any new file."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return _ORDINARY & ~mask

"""Write files atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from evenhand.errors import CallError

_DEFAULT_MODE = 0o666


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file atomically: at any moment it has all of the old or all of the new content.

    Args:
        path: the file; its folder must exist.
        content: text (written as UTF-8, line ends as they are) or bytes.

    Raises:
        CallError: the folder does not exist, the path is a folder, or the system refuses to write.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise CallError(f"{target}: cannot be written, because folder '{target.parent}' does not exist.")
    if target.is_dir():
        raise CallError(f"{target}: cannot be written, because it is a folder; give a file name.")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        _replace(target.resolve(), data)
    except OSError as error:
        raise CallError(f"{target}: cannot be written ({error.strerror or error}).") from None


def _replace(target: Path, data: bytes) -> None:
    """Write a temporary file beside the target, sync it to disk, and rename it to the target."""
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
    """Return the permissions of the replaced file, or the default ones of a new file."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return _DEFAULT_MODE & ~mask

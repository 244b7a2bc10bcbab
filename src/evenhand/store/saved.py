"""What a run saved of its model: the files, and whether they are still what was saved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Folders of a run that hold a model.
FOLDERS = ("adapter", "model")
#: Larger files are told by their size alone: whoever looks at a run would read them all.
_MOST = 2**24


def files(folder: Path) -> dict[str, dict[str, Any]]:
    """Every file of the model: its `bytes`, and the `sha256` of one that is not too large, by its path."""
    return {
        str(path.relative_to(folder)): _facts(path)
        for name in FOLDERS
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def damaged(folder: Path, saved: object) -> str | None:
    """Say which file is not what the run saved. One that is gone is no damage: it may have been wanted."""
    for path, facts in _known(saved).items():
        file = folder / path
        try:
            if file.exists() and _facts(file) != facts:
                return f"{file} is not what the run saved ({file.stat().st_size:,} bytes, not those of then)."
        except OSError as error:
            return f"{file} cannot be read ({error.strerror or error})."
    return None


def gone(folder: Path, saved: object) -> str | None:
    """Say what is gone of a model; None while all is there."""
    missing = [path for path in _known(saved) if not (folder / path).exists()]
    if not missing:
        return None
    more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
    return f"{folder / missing[0]}{more}"


def _facts(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > _MOST:
        return {"bytes": size}
    return {"bytes": size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _known(saved: object) -> Mapping[str, Any]:
    """What a record says; older ones say nothing."""
    return saved if isinstance(saved, Mapping) else {}

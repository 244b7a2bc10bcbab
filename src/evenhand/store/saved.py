"""The model files that a run saved, and checks that they are unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenhand.store.digests import sha256_of

#: Subfolders of a run that hold a model.
FOLDERS = ("adapter", "model")
#: Larger files are compared by size only: reading the status of a run would otherwise read all of them.
_MAX_HASHED_BYTES = 2**24


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Map each file of the model, by its path in the run, to its `bytes` and, up to 16 MiB, its `sha256`."""
    return {
        str(path.relative_to(folder)): _facts(path)
        for name in FOLDERS
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def find_damage(folder: Path, saved: object) -> str | None:
    """Return a complaint about a file that differs from the saved one; a missing file may be deliberate."""
    for path, facts in _known(saved).items():
        file = folder / path
        try:
            if file.exists() and _facts(file) != facts:
                return f"{file} differs from the file that the run saved ({file.stat().st_size:,} bytes now)."
        except OSError as error:
            return f"{file} cannot be read ({error.strerror or error})."
    return None


def find_missing(folder: Path, saved: object) -> str | None:
    """Return the first missing file and the number of others; None if no file is missing."""
    missing = [path for path in _known(saved) if not (folder / path).exists()]
    if not missing:
        return None
    more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
    return f"{folder / missing[0]}{more}"


def _facts(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > _MAX_HASHED_BYTES:
        return {"bytes": size}
    return {"bytes": size, "sha256": sha256_of(path)}


def _known(saved: object) -> Mapping[str, Any]:
    """Return the files in a record; older records have none."""
    return saved if isinstance(saved, Mapping) else {}

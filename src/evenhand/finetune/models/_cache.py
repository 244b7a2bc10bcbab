"""The cache of models that evenhand makes itself: built once per machine and user, complete or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evenhand.errors import InputError
from evenhand.store import cache
from evenhand.store.digests import sha256_of

#: Written last: names and digests of the other files. A folder that does not match it is built again.
_MANIFEST = "evenhand.json"
_log = logging.getLogger(__name__)


def get_or_make(name: str, recipe: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """Return the folder of a model, and build it if the cache has none.

    If several processes call this at the same time, one builds the model and the others wait. An interrupted
    process leaves no valid folder.

    Args:
        name: of the model's file.
        recipe: everything that determines its content, as plain JSON values.
        make: fills an empty folder.

    Returns:
        A folder whose files match their digests.

    Raises:
        InputError: the cache cannot be written.
    """
    text = json.dumps(recipe, sort_keys=True)
    root = cache.root() / "models"
    path = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if _is_intact(path):
        return path
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _exclusive(root / f"{path.name}.lock"):
            if not _is_intact(path):
                _make(name, recipe, make, path)
    except OSError as error:
        raise InputError(
            f"model '{name}': it cannot be made in {root} ({error.strerror or error}); set the environment "
            "variable EVENHAND_CACHE to a writable folder."
        ) from error
    return path


def _make(name: str, recipe: Mapping[str, object], make: Callable[[Path], None], path: Path) -> None:
    """Build a model in a draft folder, then rename it to its path; the caller holds the lock."""
    if path.exists():
        _log.warning("%s: its files were changed; it is made again", path)
        shutil.rmtree(path)
    _log.info("%s is made now, once per machine: this takes less than a minute", name)
    draft = path.with_name(f".{path.name}")
    shutil.rmtree(draft, ignore_errors=True)  # left by a killed process
    draft.mkdir()
    try:
        make(draft)
        files = {file.name: sha256_of(file) for file in sorted(draft.iterdir())}
        seal = {"name": name, "recipe": dict(recipe), "files": files}
        (draft / _MANIFEST).write_text(json.dumps(seal, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold an exclusive lock while the block runs; the system releases it when the process ends."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_intact(path: Path) -> bool:
    """Return True if a folder has all files of its manifest, byte for byte."""
    try:
        seal = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        return all(sha256_of(path / name) == digest for name, digest in seal["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False

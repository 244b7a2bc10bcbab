"""Where models that evenhand makes itself are kept: made once per machine and user, whole or not at all."""

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

#: Written last: names and digests of the other files. A folder that does not agree with it is made anew.
_MANIFEST = "evenhand.json"
_log = logging.getLogger(__name__)


def get_or_make(name: str, recipe: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """Folder of a model, which is made when there is none yet.

    Of several processes that ask at once, one makes it and the others wait. Whoever is interrupted leaves
    nothing that counts.

    Args:
        name: of the model's file.
        recipe: all that decides about its content, as plain JSON values.
        make: fills an empty folder.

    Returns:
        A folder whose files are as they were made.

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
            f"model '{name}': it cannot be made in {root} ({error.strerror or error}); let the environment "
            "variable EVENHAND_CACHE name a folder that can be written."
        ) from error
    return path


def _make(name: str, recipe: Mapping[str, object], make: Callable[[Path], None], path: Path) -> None:
    """Make a model beside its place, then move it there; nobody else does so meanwhile."""
    if path.exists():
        _log.warning("%s: its files are not as they were made; it is made anew", path)
        shutil.rmtree(path)
    _log.info("%s is made now, once: it takes less than a minute", name)
    draft = path.with_name(f".{path.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
    draft.mkdir()
    try:
        make(draft)
        files = {file.name: _digest(file) for file in sorted(draft.iterdir())}
        seal = {"name": name, "recipe": dict(recipe), "files": files}
        (draft / _MANIFEST).write_text(json.dumps(seal, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process is in the block; the system lets go of the lock when its process ends."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_intact(path: Path) -> bool:
    """Whether a folder has the files that were made, byte for byte."""
    try:
        seal = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        return all(_digest(path / name) == digest for name, digest in seal["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

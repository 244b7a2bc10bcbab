"""What is in the files of a model's folder: digests, each taken once while its file stays as it is."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from evenhand.errors import CallError
from evenhand.store import cache
from evenhand.tables.io.write import write_atomic

#: What is read of a model: its shape, its weights, its tokenizer or image processor.
_READ = (
    "config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*",
    "*vocab*", "merges.txt", "*.codes", "*.bpe", "*.tiktoken", "*.model", "special_tokens_map.json",
    "added_tokens.json", "*processor_config.json", "chat_template*",
)  # fmt: skip
#: A file that was changed so many seconds ago may change again without another time of change.
_SETTLED = 2.0


def of_folder(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model that is read, by name.

    A digest is kept in the user's cache with the file's size and times, and taken anew when one differs.

    Raises:
        InputError: a file cannot be read.
    """
    place = cache.root() / "digests.json"
    known = _known(place)
    found, new = {}, dict[str, list[object]]()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not any(fnmatch(path.name, pattern) for pattern in _READ):
            continue
        try:
            state, key = _state(path), str(path.resolve())
            if known.get(key, [])[:-1] == state:
                found[path.name] = str(known[key][-1])
                continue
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
            settled = time.time() - max(path.stat().st_mtime, path.stat().st_ctime) > _SETTLED
        except OSError as error:
            raise CallError(f"{path}: cannot be read ({error.strerror or error}).") from None
        if settled and _state(path) == state:
            new[key] = [*state, found[path.name]]
    if new:
        _keep(place, {**known, **new})
    return found


def _state(path: Path) -> list[object]:
    """What changes with a file's content; the time of change cannot be set back."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _known(place: Path) -> dict[str, list[object]]:
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, list)} if isinstance(found, dict) else {}


def _keep(place: Path, digests: Mapping[str, list[object]]) -> None:
    """Keep digests; where that cannot be done they are taken again."""
    there = {path: entry for path, entry in digests.items() if os.path.lexists(path)}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, json.dumps(there))
    except (OSError, CallError):
        return

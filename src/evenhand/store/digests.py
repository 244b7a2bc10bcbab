"""Digests of the files in a model's folder, cached until a file changes."""

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

#: Files that loading a model reads: its configuration, weights, tokenizer or image processor.
_MODEL_FILES = (
    "config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*",
    "*vocab*", "merges.txt", "*.codes", "*.bpe", "*.tiktoken", "*.model", "special_tokens_map.json",
    "added_tokens.json", "*processor_config.json", "chat_template*",
)  # fmt: skip
#: A file changed within so many seconds may change again without a new time stamp: its digest is not cached.
_SETTLE_SECONDS = 2.0


def digest_folder(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that loading a model reads, by file name.

    Digests are cached with the file's size, times and inode, and recomputed when one of these differs.

    Raises:
        InputError: a file cannot be read.
    """
    index = cache.root() / "digests.json"
    known = _known(index)
    digests, new = {}, dict[str, list[object]]()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not any(fnmatch(path.name, pattern) for pattern in _MODEL_FILES):
            continue
        try:
            state, key = _state(path), str(path.resolve())
            if known.get(key, [])[:-1] == state:
                digests[path.name] = str(known[key][-1])
                continue
            digests[path.name] = sha256_of(path)
            settled = time.time() - max(path.stat().st_mtime, path.stat().st_ctime) > _SETTLE_SECONDS
        except OSError as error:
            raise CallError(f"{path}: cannot be read ({error.strerror or error}).") from None
        if settled and _state(path) == state:
            new[key] = [*state, digests[path.name]]
    if new:
        _store(index, {**known, **new})
    return digests


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> list[object]:
    """Return size, times and inode; a program cannot set the time of change (ctime) back."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _known(path: Path) -> dict[str, list[object]]:
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in entries.items() if isinstance(v, list)} if isinstance(entries, dict) else {}


def _store(path: Path, digests: Mapping[str, list[object]]) -> None:
    """Write digests to the cache; if that fails, they are recomputed next time."""
    existing = {file: entry for file, entry in digests.items() if os.path.lexists(file)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(existing))
    except (OSError, CallError):
        return

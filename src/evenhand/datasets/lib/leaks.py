"""Leakage between the parts of a split: the same id, text or picture in two of them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evenhand.datasets.lib.schema import Examples, Parts, Picture

_MAX_SHOWN = 3


@dataclass(frozen=True)
class Leaks:
    """Examples that occur in more than one part.

    Attributes:
        counts: number of distinct values in two parts or more, by kind (`id`, `text`, `image`, `unit`).
        rows: number of validation and test rows with a duplicate in another part, by kind.
        first: descriptions of the first ones, such as `text 'abc' (train '17', test '4')`.
    """

    counts: Mapping[str, int]
    rows: Mapping[str, int]
    first: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return True when an example occurs in two parts."""
        return any(self.counts.values())

    def sentence(self) -> str:
        """Describe the leaks in one paragraph; empty when there are none."""
        if not self:
            return ""
        counts = " and ".join(
            f"{n:,} {_PLURAL[kind]} in two parts or more ({self.rows[kind]:,} validation and test rows)"
            for kind, n in self.counts.items()
            if n
        )
        return f"The parts share examples: {counts}. First: {'; '.join(self.first)}."


_PLURAL = {"id": "equal ids", "text": "equal texts", "image": "equal images", "unit": "equal units"}


def find_leaks(examples: Examples, parts: Parts) -> Leaks:
    """Find ids, texts (compared after `normalize_text`), pictures and units that are in two parts.

    Args:
        examples: all rows.
        parts: their split.
    """
    kind = "image" if examples.task == "image" else "text"
    keys: dict[str, Callable[[int], object]] = {
        "id": lambda row: examples.ids[row],
        kind: lambda row: content_hash(examples.inputs[row]),
    }
    if (units := examples.units) is not None:
        keys["unit"] = lambda row: units[row]
    counts, rows, first = {}, {}, []
    for name, key in keys.items():
        shared = _find_shared(parts, key)
        counts[name] = len(shared)
        rows[name] = sum(part != "train" for occurrences in shared for part, _ in occurrences)
        first += [_format_leak(name, occurrences, examples) for occurrences in shared[:_MAX_SHOWN]]
    return Leaks(counts, rows, tuple(first))


def normalize_text(text: str) -> str:
    """Normalize a text for comparison: Unicode form NFC, case folded, runs of whitespace as one space."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def content_hash(value: str | Picture) -> bytes:
    """Hash a text (normalized) or a picture; equal content gives equal hashes."""
    if isinstance(value, str):
        return hashlib.sha256(normalize_text(value).encode("utf-8", "surrogatepass")).digest()
    # Pictures are equal by their encoded bytes: a copy that was saved anew counts as another picture.
    if isinstance(value, bytes):
        return hashlib.sha256(value).digest()
    return hashlib.sha256(f"{value.shape}".encode() + value.tobytes()).digest()


def _find_shared(parts: Parts, key: Callable[[int], object]) -> list[list[tuple[str, int]]]:
    """List the (part, row) occurrences of every key that is in two parts or more."""
    by_value: dict[object, list[tuple[str, int]]] = {}
    for part, rows in parts.named():
        for row in rows.tolist():
            by_value.setdefault(key(row), []).append((part, row))
    return [occurrences for occurrences in by_value.values() if len({part for part, _ in occurrences}) > 1]


def _format_leak(kind: str, occurrences: list[tuple[str, int]], examples: Examples) -> str:
    """Describe one leak."""
    rows = ", ".join(f"{part} '{examples.ids[row]}'" for part, row in occurrences[:4])
    value = examples.inputs[occurrences[0][1]]
    if kind == "text" and isinstance(value, str):
        return f"text '{value[:40]}{'…' if len(value) > 40 else ''}' ({rows})"
    return f"{kind} ({rows})"

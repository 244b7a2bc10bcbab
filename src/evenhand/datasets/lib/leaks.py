"""Leaks: the same example in two parts of a split, by id, by text or by the bytes of a picture."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evenhand.datasets.lib.schema import Examples, Parts, Picture

_SHOWN = 3


@dataclass(frozen=True)
class Leaks:
    """Examples that are in more than one part.

    Attributes:
        counts: by kind (`id`, `text`, `image`, `unit`): how many different ones occur in two parts or more.
        rows: by kind: how many validation and test rows have a double in another part.
        first: a few of them, as `text 'abc': train 17, test 4`.
    """

    counts: Mapping[str, int]
    rows: Mapping[str, int]
    first: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return any(self.counts.values())

    def sentence(self) -> str:
        """What is wrong, in one paragraph; empty when there are none."""
        if not self:
            return ""
        told = " and ".join(
            f"{n:,} {_PLURAL[kind]} in two parts or more ({self.rows[kind]:,} validation and test rows)"
            for kind, n in self.counts.items()
            if n
        )
        return f"The parts share examples: {told}. First: {'; '.join(self.first)}."


_PLURAL = {"id": "equal ids", "text": "equal texts", "image": "equal images", "unit": "equal units"}


def leaks(examples: Examples, parts: Parts) -> Leaks:
    """Find ids, texts (in small letters, with single blanks) and pictures that are in two parts.

    Args:
        examples: all rows.
        parts: their split.
    """
    kind = "image" if examples.task == "image" else "text"
    keys: dict[str, Callable[[int], object]] = {
        "id": lambda row: examples.ids[row],
        kind: lambda row: fingerprint(examples.inputs[row]),
    }
    if (units := examples.units) is not None:
        keys["unit"] = lambda row: units[row]
    counts, rows, first = {}, {}, []
    for name, key in keys.items():
        found = _shared(parts, key)
        counts[name] = len(found)
        rows[name] = sum(part != "train" for places in found for part, _ in places)
        first += [_shown(name, places, examples) for places in found[:_SHOWN]]
    return Leaks(counts, rows, tuple(first))


def normal(text: str) -> str:
    """A text without what makes no difference: letter case, kinds and numbers of blanks, ways to encode."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def fingerprint(value: str | Picture) -> bytes:
    """What two rows share exactly when they hold the same text or the same picture."""
    if isinstance(value, str):
        return hashlib.sha256(normal(value).encode("utf-8", "surrogatepass")).digest()
    if isinstance(value, bytes):
        return hashlib.sha256(value).digest()
    return hashlib.sha256(f"{value.shape}".encode() + value.tobytes()).digest()


def _shared(parts: Parts, key: Callable[[int], object]) -> list[list[tuple[str, int]]]:
    """(part, row) of every key that occurs in two parts."""
    places: dict[object, list[tuple[str, int]]] = {}
    for part, rows in parts.named():
        for row in rows.tolist():
            places.setdefault(key(row), []).append((part, row))
    return [found for found in places.values() if len({part for part, _ in found}) > 1]


def _shown(kind: str, places: list[tuple[str, int]], examples: Examples) -> str:
    """One leak for a sentence."""
    told = ", ".join(f"{part} '{examples.ids[row]}'" for part, row in places[:4])
    value = examples.inputs[places[0][1]]
    if kind == "text" and isinstance(value, str):
        return f"text '{value[:40]}{'…' if len(value) > 40 else ''}' ({told})"
    return f"{kind} ({told})"

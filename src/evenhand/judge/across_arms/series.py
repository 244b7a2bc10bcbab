"""Arms along one numeric option, read from the names that a study gives them: `lora[rank=8,alpha=16]`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NAME = re.compile(r"(?P<method>[^\[\]]+)\[(?P<options>.+)\]")
_COMMA = re.compile(r",(?![^\[(]*[\])])")


@dataclass(frozen=True)
class Series:
    """Arms that differ in one numeric option only.

    Attributes:
        method: the shared part of the names: the method, with its other varied options in brackets.
        parameter: the option.
        values: its values, rising.
        arms: the arm of each value.
    """

    method: str
    parameter: str
    values: tuple[float, ...]
    arms: tuple[str, ...]


def series_of(arms: Sequence[str]) -> list[Series]:
    """Find all series of two or more different values among the names of arms, in the order of the arms."""
    by_option: dict[tuple[str, str], dict[float, str]] = {}
    for arm in dict.fromkeys(arms):
        for method, parameter, value in _points(arm):
            by_option.setdefault((method, parameter), {}).setdefault(value, arm)
    return [
        Series(method, parameter, tuple(sorted(points)), tuple(points[v] for v in sorted(points)))
        for (method, parameter), points in by_option.items()
        if len(points) > 1
    ]


def _points(arm: str) -> Iterator[tuple[str, str, float]]:
    """Each numeric option of an arm's name, with the method and the other options beside it."""
    match = _NAME.fullmatch(arm)
    if match is None:
        return
    options = [text.partition("=") for text in _COMMA.split(match["options"])]
    for i, (name, _, text) in enumerate(options):
        value = _number(text)
        if value is not None:
            rest = ",".join("".join(o) for k, o in enumerate(options) if k != i)
            yield f"{match['method']}[{rest}]" if rest else match["method"], name, value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

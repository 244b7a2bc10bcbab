"""How far a study is, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """One moment of a study.

    Attributes:
        phase: what is done now.
        runs: how many there are.
        finished: how many are finished.
        failed: how many have failed.
        running: title and share done of the runs under way here.
        share: how much of all training is done, from 0 to 1.
        told: something worth knowing that has happened now.
    """

    phase: Literal["loading", "preparing", "training", "judging"]
    runs: int = 0
    finished: int = 0
    failed: int = 0
    running: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    told: str | None = None


Watch = Callable[[Progress], None]


def unwatched(_: Progress) -> None:
    """Tell nobody."""

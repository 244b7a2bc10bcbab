"""Progress of a study, for callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """A snapshot of a study's progress.

    Attributes:
        phase: the current phase.
        runs: number of runs.
        finished: number of finished runs.
        failed: number of failed runs.
        running: title -> completed share of the runs in progress here, from 0 to 1.
        share: completed share of all training steps, from 0 to 1.
        message: a message about the latest event, if any.
    """

    phase: Literal["loading", "preparing", "training", "judging"]
    runs: int = 0
    finished: int = 0
    failed: int = 0
    running: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    message: str | None = None


Watch = Callable[[Progress], None]


def unwatched(_: Progress) -> None:
    """Ignore the progress."""

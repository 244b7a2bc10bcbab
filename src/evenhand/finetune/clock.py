"""How long the phases of a run take."""

from __future__ import annotations

import time


class Clock:
    """Seconds of every phase of a run."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """A phase ends now."""
        now = time.perf_counter()
        self._laps[phase] = round(self._laps.get(phase, 0.0) + now - self._last, 4)
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, and in all."""
        return self._laps | {"total": round(time.perf_counter() - self._start, 4)}

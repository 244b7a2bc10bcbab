"""Wall-clock time of the phases of a run."""

from __future__ import annotations

import time


class Clock:
    """Measures the seconds of every phase of a run."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Add the time since the last call to a phase."""
        now = time.perf_counter()
        self._laps[phase] = round(self._laps.get(phase, 0.0) + now - self._last, 4)
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase, and their `total`."""
        return self._laps | {"total": round(time.perf_counter() - self._start, 4)}

"""The log of a run, `train.jsonl`."""

from __future__ import annotations

import json
import time
from pathlib import Path


class Log:
    """Appends one line per optimiser step and one per validation; a reader sees every finished line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._start = time.perf_counter()
        self.last: dict[str, float | None] | None = None

    def step(self, step: int, epoch: float, loss: float, learning_rate: float) -> None:
        """Log a step: its number, epochs done, mean loss of its rows, rate, seconds since the start."""
        seconds = round(time.perf_counter() - self._start, 3)
        line = {"step": step, "epoch": round(epoch, 6), "loss": loss, "learning_rate": learning_rate}
        self._write({**line, "seconds": seconds})

    def validation(self, step: int, epoch: int, accuracy: float | None, loss: float) -> None:
        """Log accuracy (None for models that generate) and loss on the validation rows after an epoch."""
        self.last = {"accuracy": accuracy, "loss": loss}
        self._write({"step": step, "epoch": epoch, "validation": {"loss": loss, "accuracy": accuracy}})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")

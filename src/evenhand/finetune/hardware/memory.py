"""The most memory that a run takes, above what its process held before."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import resource
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

_PAGE_BYTES = 4096


class Peak:
    """The peak from now on. What earlier runs of the process have left is given back first."""

    def __init__(self) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self._start_bytes = int(torch.cuda.memory_allocated())
            return
        _release_free_memory()
        if _CLEAR.exists():
            with contextlib.suppress(OSError):
                _CLEAR.write_text("5")
        self._start_bytes = _read_status("VmRSS")

    def bytes_above_start(self) -> int:
        """Bytes at the peak, less those at the start: of the device if there is one, else of the process.

        Where the system has no peak that can be forgotten, it is that of the process since it began.
        """
        return max(0, self.peak_bytes() - self._start_bytes)

    def peak_bytes(self) -> int:
        """Bytes at the peak."""
        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else _read_status("VmHWM")


def load_pages(model: torch.nn.Module) -> int:
    """Bytes of a model's weights in the memory that is measured: a base waits outside of a device.

    Weights come into memory when they are first read, page by page; here all of them do.
    """
    if torch.cuda.is_available():
        return 0
    for p in model.parameters():
        p.detach().flatten()[:: _PAGE_BYTES // p.element_size()].sum()
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _release_free_memory() -> None:
    """Let the C library return what is free, where it can: otherwise a second run finds it there."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


def _read_status(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    if match:
        return int(match[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if name == "VmHWM" else 0

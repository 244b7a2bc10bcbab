"""Peak memory of a run, above the memory that its process held before."""

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
    """Measures the peak memory from its creation on; memory left by earlier runs is released first."""

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
        """Return the bytes at the peak minus those at the start: of the GPU if available, else the process.

        Where the system cannot reset the peak, the peak since the start of the process is used.
        """
        return max(0, self.peak_bytes() - self._start_bytes)

    def peak_bytes(self) -> int:
        """Return the bytes at the peak."""
        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else _read_status("VmHWM")


def load_pages(model: torch.nn.Module) -> int:
    """Read every memory page of a model's weights, and return their bytes; 0 with a GPU.

    Weights are memory-mapped and loaded at the first access, page by page: loading them here keeps them out
    of the peak of a run. With a GPU, the base stays outside of the measured memory.
    """
    if torch.cuda.is_available():
        return 0
    for p in model.parameters():
        p.detach().flatten()[:: _PAGE_BYTES // p.element_size()].sum()
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _release_free_memory() -> None:
    """Have the C library return free memory to the system; otherwise the next run would reuse it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


def _read_status(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    if match:
        return int(match[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if name == "VmHWM" else 0

"""What a benchmark's figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from evenhand import __version__


def describe(*packages: str) -> dict[str, object]:
    """Processor, cores, memory, and versions of the packages that matter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory GiB": round(memory, 1),
        "python": platform.python_version(),
        "packages": {p: __version__ if p == "evenhand" else version(p) for p in packages},
    }

"""The user's cache: what takes long to make and is the same for every study."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def root() -> Path:
    """Its folder: EVENHAND_CACHE, or what the platform has for it."""
    if given := os.environ.get("EVENHAND_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "evenhand"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evenhand"

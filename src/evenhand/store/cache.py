"""The user's cache: results that are expensive to compute and shared by all studies."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def root() -> Path:
    """Return the cache folder: EVENHAND_CACHE, or the platform's default."""
    if override := os.environ.get("EVENHAND_CACHE"):
        return Path(override).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "evenhand"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evenhand"

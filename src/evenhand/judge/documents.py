"""Parts that documents of every kind share: audits, attacks, judgements of answers, and studies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from evenhand._version import __version__


def head(schema: str) -> dict[str, Any]:
    """Return the first keys of a document: its schema, evenhand's version, and the time in UTC."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"schema": schema, "evenhand": __version__, "created": created}


def without_nan(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Convert a document to JSON values: NaN and infinite numbers become None, tuples become lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return value

"""Base class of all models in a spec: frozen, closed, plain data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A part of a spec: unknown keys are errors, instances are immutable, and defaults are stored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

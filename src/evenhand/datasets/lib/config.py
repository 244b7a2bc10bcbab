"""What the `Config` of every dataset is made of, so that a dataset's file need not know pydantic."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from evenhand.spec.base import Frozen

__all__ = ["Field", "Frozen", "Limit", "Seed", "Share", "field_validator", "model_validator"]

#: A number from 0 to 1.
Share = Annotated[float, Field(ge=0, le=1)]
#: How many rows to keep.
Limit = Annotated[int, Field(ge=1)]
#: The start of a random stream.
Seed = Annotated[int, Field(ge=0)]

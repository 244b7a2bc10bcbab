"""Building blocks of a dataset's `Config`, so that the dataset's file does not import pydantic itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from evenhand.spec.base import Frozen

__all__ = ["Field", "Frozen", "Limit", "Seed", "Share", "field_validator", "model_validator"]

#: A number from 0 to 1.
Share = Annotated[float, Field(ge=0, le=1)]
#: A number of rows to keep.
Limit = Annotated[int, Field(ge=1)]
#: Seed of a random stream.
Seed = Annotated[int, Field(ge=0)]
